/** A place where a file can be chosen or dropped. */

import { byId } from "./dom.js";

/**
 * @param {string} label the id of the label around the input
 * @param {string} input the id of the file input
 * @param {(file: File) => void} onFile
 */
export function acceptFile(label, input, onFile) {
  const place = byId(label);
  const field = byId(input);
  field.addEventListener("change", () => field.files[0] && onFile(field.files[0]));
  const hover = (/** @type {DragEvent} */ event) => {
    event.preventDefault();
    place.classList.toggle("over", event.type === "dragover");
  };
  place.addEventListener("dragover", hover);
  place.addEventListener("dragleave", hover);
  place.addEventListener("drop", (/** @type {DragEvent} */ event) => {
    hover(event);
    const file = event.dataTransfer?.files[0];
    if (file) onFile(file);
  });
}
