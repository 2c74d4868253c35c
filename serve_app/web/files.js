/** The files an answer has left on the server, and how they are saved. */

import { address, apiKey, ask } from "./api.js";
import { make } from "./dom.js";
import { showError } from "./notices.js";

/** @typedef {{format: string, path: string}} AudioFile */

/**
 * The files behind a streamed answer, the streamed one first.
 * @param {Headers} headers
 * @param {string} streamed its format
 * @returns {AudioFile[]}
 */
export function filesOf(headers, streamed) {
  const name = /filename="([^"]+)"/.exec(headers.get("Content-Disposition") ?? "")?.[1];
  const others = (headers.get("X-Alternative-Formats") ?? "").split("|").filter(Boolean);
  return [
    ...(name ? [{ format: streamed, path: `/outputs/${encodeURIComponent(name)}` }] : []),
    ...others.map((part) => {
      const colon = part.indexOf(":");
      return { format: part.slice(0, colon), path: part.slice(colon + 1) };
    }),
  ];
}

/**
 * A link that saves a file; its address is plain, so that it can be copied.
 * @param {AudioFile} file
 * @param {string} label
 * @returns {HTMLAnchorElement}
 */
export function downloadLink(file, label) {
  const name = decodeURIComponent(file.path.split("/").pop() ?? "sound");
  const link = make("a", { href: address(file.path), download: name, textContent: label });
  link.addEventListener("click", (/** @type {Event} */ event) => {
    if (!apiKey()) return;
    event.preventDefault();
    saveWithKey(file.path, name).catch(showError);
  });
  return link;
}

/**
 * A link cannot carry the key, so the file is fetched first.
 * @param {string} path
 * @param {string} name
 */
async function saveWithKey(path, name) {
  const url = URL.createObjectURL(await (await ask(path)).blob());
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
