/** A player on the page: button, waveform with a play head, clock. */

import { clock, copyOf } from "./dom.js";
import { Player } from "./player.js";
import { drawWaveform } from "./waveform.js";

/** @typedef {import("./sound.js").Sound} Sound */

/** Its root tells by `data-state` what the player does, and by `--level` how loud it is. */
export class PlayerView {
  #root = copyOf("player-template");
  #canvas = /** @type {HTMLCanvasElement} */ (this.#root.querySelector("canvas"));
  #seek = /** @type {HTMLInputElement} */ (this.#root.querySelector(".seek"));
  #button = /** @type {HTMLButtonElement} */ (this.#root.querySelector(".play"));
  #clock = /** @type {HTMLElement} */ (this.#root.querySelector(".clock"));
  #frame = 0;
  #redraw = () => this.#request();
  sound = /** @type {Sound | null} */ (null);
  player = new Player();

  /** @param {(position: number) => void} [onMove] is told the position whenever it is drawn */
  constructor(place = document.createElement("div"), onMove = () => {}) {
    place.append(this.#root);
    this.onMove = onMove;
    this.player.addEventListener("change", () => this.#show());
    this.#button.addEventListener("click", () => this.#toggle());
    this.#seek.addEventListener("input", () => {
      this.player.seek(this.#seek.valueAsNumber);
      this.#request();
    });
    new ResizeObserver(this.#redraw).observe(this.#canvas);
    addEventListener("themechange", this.#redraw);
  }

  /**
   * @param {Sound | null} sound
   * @param {number} [from] in seconds
   */
  show(sound, from = 0) {
    this.sound?.removeEventListener("grow", this.#redraw);
    this.sound = sound;
    sound?.addEventListener("grow", this.#redraw);
    this.player.load(sound, from);
    this.#show();
  }

  /** Nothing is there yet, but will be when `work` has got its first samples. */
  async awaiting(/** @type {() => Promise<void>} */ work) {
    this.show(null);
    this.#root.dataset.state = "waiting";
    try {
      await work();
    } finally {
      this.#show();
    }
  }

  #toggle() {
    if (this.player.active) this.player.pause();
    else this.player.play();
  }

  #show() {
    this.#root.dataset.state = this.player.state;
    this.#button.disabled = this.#seek.disabled = this.player.state === "empty";
    this.#button.ariaLabel = this.player.active ? "Pause" : "Play";
    this.#request();
  }

  #request() {
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = 0;
    const { position } = this.player;
    drawWaveform(this.#canvas, this.sound, position);
    this.#root.style.setProperty("--level", this.player.level.toFixed(3));
    this.#tell(position);
    this.onMove(position);
    if (this.player.active) this.#request();
  }

  /** @param {number} position */
  #tell(position) {
    const total = this.sound?.total ?? 0;
    this.#seek.max = String(total);
    this.#seek.value = String(position);
    const about = this.sound?.ended === false ? "about " : "";
    this.#seek.ariaValueText = `${Math.round(position)} of ${about}${Math.round(total)} seconds`;
    this.#clock.textContent = this.sound ? `${clock(position)} / ${clock(this.sound.seconds)}` : "";
  }
}
