/** The words of a speech, the one that is heard now marked. */

import { make } from "./dom.js";

/** @typedef {import("./stream.js").Word} Word */

export class Transcript {
  #said = /** @type {{word: Word, element: HTMLElement}[]} */ ([]);
  #current = /** @type {HTMLElement | null} */ (null);

  /** @param {HTMLElement} root is hidden while there are no words */
  constructor(root) {
    this.root = root;
  }

  clear() {
    this.#said = [];
    this.#current = null;
    this.root.replaceChildren();
    this.root.hidden = true;
  }

  /** @param {Word[]} words that follow those before */
  add(words) {
    for (const word of words) {
      const element = make("span", { textContent: word.word });
      this.#said.push({ word, element });
      this.root.append(element, " ");
    }
    this.root.hidden = !this.#said.length;
  }

  /** @param {number} position in seconds */
  mark(position) {
    const found = this.#said.findLast(({ word }) => word.start <= position)?.element ?? null;
    if (found === this.#current) return;
    this.#current?.classList.remove("now");
    found?.classList.add("now");
    if (found) this.root.scrollTop = found.offsetTop - this.root.clientHeight / 2;
    this.#current = found;
  }
}
