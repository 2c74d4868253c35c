/** A list of the server that is shown page by page. */

import { byId, copyOf, make } from "./dom.js";

/**
 * A row: a title, a line about it, and what can be done with it.
 * @param {string} title
 * @param {string} meta
 * @param {HTMLElement[]} actions
 * @returns {HTMLElement}
 */
export function row(title, meta, actions) {
  const item = copyOf("row-template");
  const place = (/** @type {string} */ part) => /** @type {any} */ (item.querySelector(part));
  place(".item-title").textContent = title;
  place(".item-meta").textContent = meta;
  place(".item-actions").append(...actions);
  return item;
}

/**
 * A button of a row; its name for screen readers says what it acts on.
 * @param {string} label
 * @param {string} what
 * @param {() => void} onclick
 * @returns {HTMLButtonElement}
 */
export function action(label, what, onclick) {
  return make("button", {
    type: "button",
    className: "plain small",
    textContent: label,
    ariaLabel: `${label} ${what}`,
    onclick,
  });
}

/**
 * Show rows, or why there are none, and the way to the pages before and after.
 * @param {string} name `voice` or `history`: the beginning of the ids
 * @param {HTMLElement[]} rows
 * @param {string} empty
 * @param {{page: number, total_pages: number, has_next: boolean, has_previous: boolean}} facts
 * @param {(page: number) => void} turn
 */
export function showList(name, rows, empty, facts, turn) {
  byId(`${name}-list`).replaceChildren(...rows);
  byId(`${name}-list`).ariaBusy = "false";
  byId(`${name}-empty`).textContent = empty;
  byId(`${name}-empty`).hidden = rows.length > 0;
  const { page, total_pages, has_previous, has_next } = facts;
  const pages = byId(`${name}-pages`);
  pages.hidden = total_pages < 2;
  pages.replaceChildren(
    step("Previous", has_previous, () => turn(page - 1)),
    make("span", { className: "hint", textContent: `Page ${page} of ${total_pages}` }),
    step("Next", has_next, () => turn(page + 1)),
  );
}

/**
 * @param {string} textContent
 * @param {boolean} isThere
 * @param {() => void} onclick
 * @returns {HTMLButtonElement}
 */
function step(textContent, isThere, onclick) {
  const className = "plain small";
  return make("button", { type: "button", className, textContent, disabled: !isThere, onclick });
}
