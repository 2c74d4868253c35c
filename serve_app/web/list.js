/** A list of the server that is shown page by page. */

import { askJson } from "./api.js";
import { byId, copyOf, make } from "./dom.js";
import { showError } from "./notices.js";

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
 * @typedef {object} Content of a list
 * @property {() => string} address of a listing, without its page
 * @property {(found: any) => HTMLElement[]} rows
 * @property {() => string} empty why there are none
 */

/** Its name, `voice` or `history`, is the beginning of the ids. */
export class PagedList {
  #page = 1;
  #asking = new AbortController();

  /** @param {string} name @param {Content} content */
  constructor(name, content) {
    this.name = name;
    this.content = content;
    this.root = byId(`${name}-list`);
  }

  /** Show a page; the answer for one that was asked for before is not waited for any more. */
  async show(/** @type {number} */ page = 1) {
    this.#asking.abort();
    const { signal } = (this.#asking = new AbortController());
    this.root.ariaBusy = "true";
    const path = `${this.content.address()}&page=${page}`;
    const found = await askJson(path, { signal }).catch(showError);
    if (signal.aborted) return;
    this.root.ariaBusy = "false";
    if (found) await this.#fill(found);
  }

  /** Show the page again without a row that was deleted; the focus goes to the one after it. */
  async reload() {
    const at = [...this.root.children].indexOf(document.activeElement?.closest("li"));
    await this.show(this.#page);
    const next = this.root.children[Math.min(at, this.root.children.length - 1)];
    (next?.querySelector("button:last-child") ?? this.#title).focus();
  }

  get #title() {
    return this.root.closest("section").querySelector("h2");
  }

  /** @param {any} found a page of the listing */
  async #fill(found) {
    const rows = this.content.rows(found);
    if (!rows.length && found.page > 1) return this.show(found.page - 1);
    this.#page = found.page;
    this.root.replaceChildren(...rows);
    const empty = byId(`${this.name}-empty`);
    empty.textContent = this.content.empty();
    empty.hidden = rows.length > 0;
    this.#showPages(found);
  }

  /** @param {any} found a page of the listing */
  #showPages({ page, total_pages, has_previous, has_next }) {
    const pages = byId(`${this.name}-pages`);
    pages.hidden = total_pages < 2;
    pages.replaceChildren(
      step("Previous", has_previous, () => this.#turn(page - 1)),
      make("span", { className: "hint", textContent: `Page ${page} of ${total_pages}` }),
      step("Next", has_next, () => this.#turn(page + 1)),
    );
  }

  /** @param {number} page */
  async #turn(page) {
    await this.show(page);
    this.root.focus();
  }
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
