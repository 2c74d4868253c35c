/** Work on the server that one button starts, and stops again. */

import { clearError, say, showError } from "./notices.js";

/** The button says what a press does; its `data-state` is `ready` or `busy`. */
export class Task {
  #controller = /** @type {AbortController | null} */ (null);
  #label;
  #isReady = false;

  /**
   * @param {HTMLButtonElement} button
   * @param {import("./player.js").Player} player it is busy while this plays, too
   */
  constructor(button, player) {
    this.button = button;
    this.player = player;
    this.#label = button.textContent;
    button.addEventListener("click", (event) => {
      if (event.detail > 1) event.preventDefault(); // a double click would stop what it started
    });
    player.addEventListener("change", () => this.#show());
    this.#show();
  }

  get busy() {
    return this.#controller !== null || this.player.active;
  }

  /** Whether it can be started; it can always be stopped. */
  set ready(/** @type {boolean} */ isReady) {
    this.#isReady = isReady;
    this.#show();
  }

  /** Abort the request, which has the server stop, and the playing. */
  stop() {
    if (this.#controller) say("Stopped.");
    this.#controller?.abort();
    this.player.pause();
  }

  /**
   * Run to the end, or until it is stopped; what fails is shown.
   * @param {(signal: AbortSignal) => Promise<void>} work
   */
  async run(work) {
    this.stop();
    this.player.unlock();
    const controller = (this.#controller = new AbortController());
    clearError();
    this.#show();
    try {
      await work(controller.signal);
    } catch (error) {
      showError(error);
    } finally {
      if (this.#controller === controller) this.#controller = null;
      this.#show();
    }
  }

  #show() {
    this.button.disabled = !this.busy && !this.#isReady;
    this.button.dataset.state = this.busy ? "busy" : "ready";
    this.button.textContent = this.busy ? "Stop" : this.#label;
  }
}
