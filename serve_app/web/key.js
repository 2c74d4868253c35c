/** The panel in which the API key is entered. */

import { apiKey, setApiKey } from "./api.js";
import { byId } from "./dom.js";
import { showError } from "./notices.js";

/** @param {() => void} onKey is called once there is another key */
export function startKey(onKey) {
  byId("key-input").value = apiKey();
  byId("key-form").addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    try {
      setApiKey(byId("key-input").value.trim());
    } catch (error) {
      return showError(error);
    }
    close();
    onKey();
  });
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !byId("key").open) return;
    event.preventDefault(); // else it would stop what plays, too
    close();
  });
}

function close() {
  byId("key").open = false;
  byId("key").querySelector("summary").focus();
}
