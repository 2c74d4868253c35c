/** The view of what was made before. */

import { remove, withQuery } from "./api.js";
import { byId, whenQuiet } from "./dom.js";
import { downloadLink } from "./files.js";
import { action, PagedList, row } from "./list.js";
import { confirmed, say, showError } from "./notices.js";

const PAGE_SIZE = 40;
const PLAYABLE = ["wav", "mp3", "flac", "opus", "aac"];
const LONGEST_S = 1800; // decoded it would take 350 MB
const KINDS = /** @type {Record<string, string>} */ ({ vc: "Conversion", concat: "Joined" });

/** @typedef {any} Output one file, as /api/v1/outputs lists it */

export class HistoryView {
  #formats = /** @type {string[]} */ ([]);
  #list = new PagedList("history", {
    address: () => withQuery("api/v1/outputs", { page_size: PAGE_SIZE, ...this.#filter }),
    rows: (found) => takes(found.files).map((take) => this.#row(take)),
    empty: () =>
      Object.values(this.#filter).some(Boolean)
        ? "Nothing matches."
        : "Nothing was made yet. What you speak or convert is kept here.",
  });

  /** @param {import("./dock.js").Dock} dock */
  constructor(dock) {
    this.dock = dock;
    byId("history-search").addEventListener("input", whenQuiet(() => this.show()));
    byId("history-type").addEventListener("change", () => this.show());
  }

  /** @param {any} config as /api/v1/config has it */
  configure(config) {
    this.#formats = config.supported_formats;
  }

  /** Ask for the list again. */
  show() {
    return this.#list.show();
  }

  get #filter() {
    return {
      search: byId("history-search").value.trim(),
      generation_type: byId("history-type").value,
    };
  }

  /** @param {Output[]} take @returns {HTMLElement} */
  #row(take) {
    const [first] = take;
    const title = titleOf(first);
    const inFormat = (/** @type {string} */ format) => take.find((file) => file.format === format);
    const heard = PLAYABLE.map(inFormat).find(Boolean);
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
    const formats = new Set([...take.map((file) => file.format), ...this.#formats]);
    const filenames = [...formats].map((format) => `${stemOf(take[0])}.${format}`).join(",");
    await remove(withQuery("api/v1/outputs", { confirm: "true", filenames }));
    say("Deleted.");
    await this.#list.reload();
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
    const stem = stemOf(file);
    stems.set(stem, [...(stems.get(stem) ?? []), file]);
  }
  return [...stems.values()];
}

/** @param {Output} file @returns {string} its path below the outputs, without the extension */
function stemOf({ folder_path: folder, filename }) {
  return (folder ? `${folder}/${filename}` : filename).replace(/\.[^.]*$/, "");
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
