/** Light or dark: what the system prefers, until the reader has chosen. */

const STORED = "serve-app.theme";
const system = matchMedia("(prefers-color-scheme: dark)");

/** @returns {boolean} */
function isDark() {
  const chosen = localStorage.getItem(STORED);
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
    localStorage.setItem(STORED, isDark() ? "light" : "dark");
    apply();
  });
  apply();
}

system.addEventListener("change", apply);
apply();
