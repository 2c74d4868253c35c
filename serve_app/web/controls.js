/** A slider for each numeric field that has an effect with the running engine. */

import { make } from "./dom.js";

/**
 * @typedef {object} Range of a field, as /api/v1/config has it
 * @property {number} minimum
 * @property {number} maximum
 * @property {number | null} default
 * @property {string | null} description
 */

const SPEED = "speed_factor";
const SPEED_RANGE = { minimum: 0.5, maximum: 2, default: 1, description: "The pitch is kept." };

export class Controls {
  #sliders = /** @type {Map<string, HTMLInputElement>} */ (new Map());

  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
  }

  /** @param {any} config as /api/v1/config has it; the speed can always be changed */
  show(config) {
    const ranges = { [SPEED]: SPEED_RANGE, ...config.control_ranges };
    const names = new Set([SPEED, ...config.engines.tts.controls]);
    this.#sliders.clear();
    this.root.replaceChildren(
      ...[...names].filter((name) => name !== "seed" && ranges[name]).map((name) =>
        this.#slider(name, ranges[name]),
      ),
    );
  }

  /** The fields that are not left at their default. @returns {Record<string, number>} */
  get values() {
    const moved = [...this.#sliders].filter(([, slider]) => slider.value !== slider.defaultValue);
    return Object.fromEntries(
      moved.map(([name, slider]) => [name, Number(slider.valueAsNumber.toFixed(2))]),
    );
  }

  /** @param {string} name @param {Range} range @returns {HTMLElement} */
  #slider(name, range) {
    const { minimum: min, maximum: max } = range;
    const initial = String(range.default ?? (min + max) / 2);
    const step = "any"; // a default need not be a multiple of any step
    const slider = make("input", { type: "range", name, step, min, max, defaultValue: initial });
    const output = make("span", { className: "value" });
    const show = () => {
      const isLeft = range.default === null && slider.value === slider.defaultValue;
      output.textContent = isLeft ? "auto" : slider.valueAsNumber.toFixed(2);
    };
    slider.addEventListener("input", show);
    slider.ariaDescription = range.description;
    show();
    this.#sliders.set(name, slider);
    const title = make("span", { textContent: wordsOf(name) }, " ", output);
    const label = make("label", { className: "field slider" }, title, slider);
    label.title = range.description ?? "";
    return label;
  }
}

/** @param {string} name such as cfg_weight @returns {string} */
function wordsOf(name) {
  if (name === SPEED) return "Speed";
  const text = name.replaceAll("_", " ");
  return text[0].toUpperCase() + text.slice(1);
}
