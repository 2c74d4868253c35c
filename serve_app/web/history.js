/** The view of what was made before. */

import { ask, askJson, encodedPath, withQuery } from "./api.js";
import { byId, whenQuiet } from "./dom.js";
import { downloadLink } from "./files.js";
import { action, row, showList } from "./list.js";
import { confirmed, say, showError } from "./notices.js";

const PAGE_SIZE = 40;
const PLAYABLE = ["wav", "mp3", "flac", "opus", "aac"];
const LONGEST_S = 1800; // decoded it would take 350 MB
const KINDS = /** @type {Record<string, string>} */ ({ vc: "Conversion", concat: "Joined" });

/** @typedef {any} Output one file, as /api/v1/outputs lists it */

export class HistoryView {
  /** @param {import("./dock.js").Dock} dock */
  constructor(dock) {
    this.dock = dock;
    byId("history-search").addEventListener("input", whenQuiet(() => this.show()));
    byId("history-type").addEventListener("change", () => this.show());
  }

  /** @param {number} [page] */
  async show(page = 1) {
    const search = byId("history-search").value.trim();
    const generation_type = byId("history-type").value;
    byId("history-list").ariaBusy = "true";
    const query = { page, page_size: PAGE_SIZE, search, generation_type };
    const found = await askJson(withQuery("api/v1/outputs", query)).catch(showError);
    if (!found) return;
    const empty =
      search || generation_type
        ? "Nothing matches."
        : "Nothing was made yet. What you speak or convert is kept here.";
    const rows = takes(found.files).map((take) => this.#row(take));
    showList("history", rows, empty, found, (next) => this.show(next));
  }

  /** @param {Output[]} take @returns {HTMLElement} */
  #row(take) {
    const [first] = take;
    const title = titleOf(first);
    const heard = take.find((file) => PLAYABLE.includes(file.format));
    const isPlayable = heard && heard.duration_seconds < LONGEST_S;
    return row(title, metaOf(first), [
      ...(isPlayable ? [action("Play", title, () => this.dock.playFile(title, heard.path))] : []),
      ...take.map((file) => {
        const link = downloadLink(file, file.format.toUpperCase());
        link.ariaLabel = `Download ${title} as ${file.format}`;
        return link;
      }),
      action("Delete", title, () => this.#delete(take, title).catch(showError)),
    ]);
  }

  /** @param {Output[]} take @param {string} title */
  async #delete(take, title) {
    if (!(await confirmed(`Delete “${title}” for good?`))) return;
    for (const { folder_path: folder, filename } of take) {
      const path = encodedPath(folder ? `${folder}/${filename}` : filename);
      await ask(`api/v1/output/${path}?confirm=true`, { method: "DELETE" });
    }
    say("Deleted.");
    await this.show();
  }
}

/**
 * The files that hold the same sound in several formats, together.
 * @param {Output[]} files
 * @returns {Output[][]}
 */
function takes(files) {
  const stems = /** @type {Map<string, Output[]>} */ (new Map());
  for (const file of files) {
    const stem = file.path.replace(/\.[^.]*$/, "");
    stems.set(stem, [...(stems.get(stem) ?? []), file]);
  }
  return [...stems.values()];
}

/** @param {Output} file @returns {string} what was said, or what it was made of */
function titleOf(file) {
  return file.parameters.text || file.source_files.join(" → ") || file.filename;
}

/** @param {Output} file @returns {string} */
function metaOf(file) {
  const date = new Date(file.created_date);
  return [
    KINDS[file.generation_type] ?? "Speech",
    `${file.duration_seconds.toFixed(1)} s`,
    date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }),
    file.parameters.reference_audio_filename,
  ]
    .filter(Boolean)
    .join(" · ");
}
