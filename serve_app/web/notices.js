/** What the page says to the reader: progress quietly, errors where they are seen. */

import { byId } from "./dom.js";

/** @param {string} text read out by screen readers, and not shown */
export function say(text) {
  byId("status").textContent = text;
}

/** Take the last error away. */
export function clearError() {
  byId("notice").hidden = true;
  byId("alert").textContent = "";
}

/**
 * Show what went wrong. What the reader stopped is no error.
 * @param {unknown} error
 */
export function showError(error) {
  if (error instanceof DOMException && error.name === "AbortError") return;
  byId("notice").hidden = false;
  byId("alert").textContent = error instanceof Error ? error.message : String(error);
}

/**
 * Ask before something is deleted for good.
 * @param {string} question
 * @returns {Promise<boolean>}
 */
export function confirmed(question) {
  const dialog = byId("confirm");
  byId("confirm-text").textContent = question;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

/** Let the error be closed by hand. */
export function startNotices() {
  byId("notice-close").addEventListener("click", clearError);
}
