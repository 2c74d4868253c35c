/** What the browser keeps for the page; it may be set to keep nothing, and then throws. */

/**
 * @param {"localStorage" | "sessionStorage"} place
 * @param {string} name
 * @returns {string | null}
 */
export function kept(place, name) {
  try {
    return window[place].getItem(name);
  } catch {
    return null;
  }
}

/**
 * @param {"localStorage" | "sessionStorage"} place
 * @param {string} name
 * @param {string} value
 */
export function keep(place, name, value) {
  try {
    window[place].setItem(name, value);
  } catch {
    // It holds for as long as the page is open.
  }
}
