/** Light or dark: what the system prefers, until the reader has chosen. */

import { keep, kept } from "./kept.js";

const STORED = "serve-app.theme";
const system = matchMedia("(prefers-color-scheme: dark)");
let chosen = kept("localStorage", STORED);

/** @returns {boolean} */
function isDark() {
  return chosen ? chosen === "dark" : system.matches;
}

function apply() {
  document.documentElement.dataset.theme = isDark() ? "dark" : "light";
  document.getElementById("theme")?.setAttribute("aria-pressed", String(isDark()));
  dispatchEvent(new Event("themechange"));
}

/** Let the button change between the two, and remember what was chosen. */
export function startTheme() {
  document.getElementById("theme")?.addEventListener("click", () => {
    chosen = isDark() ? "light" : "dark";
    keep("localStorage", STORED, chosen);
    apply();
  });
  apply();
}

system.addEventListener("change", apply);
apply();
