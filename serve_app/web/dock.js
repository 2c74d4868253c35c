/** The player at the foot of the page, for sounds of the lists. */

import { ask } from "./api.js";
import { byId } from "./dom.js";
import { clearError, showError } from "./notices.js";
import { PlayerView } from "./player-view.js";
import { decoded } from "./sound.js";
import { receive } from "./stream.js";

export class Dock {
  #view = new PlayerView(byId("dock-player"));
  #controller = new AbortController();
  #opener = /** @type {any} */ (null);

  constructor() {
    byId("dock-close").addEventListener("click", () => {
      this.#opener?.focus();
      if (document.activeElement !== this.#opener) byId("main").focus();
      this.close();
    });
  }

  /** Stop, and take the player away. */
  close() {
    this.stop();
    this.#view.show(null);
    byId("dock").hidden = true;
  }

  /** Stop what plays or is to play. */
  stop() {
    this.#controller.abort();
    this.#view.player.pause();
  }

  /**
   * Play a file of the server.
   * @param {string} title
   * @param {string} path
   */
  playFile(title, path) {
    return this.#run(title, async (signal) => {
      const file = await (await ask(path, { signal })).blob();
      this.#play(await decoded(file), signal);
    });
  }

  /**
   * Play an answer while it comes.
   * @param {string} title
   * @param {(signal: AbortSignal) => Promise<Response>} request
   */
  playAnswer(title, request) {
    return this.#run(title, async (signal) => {
      const onSound = (/** @type {any} */ sound) => this.#play(sound, signal);
      await receive(await request(signal), { expected: 0, onSound });
    });
  }

  /** @param {import("./sound.js").Sound} sound @param {AbortSignal} signal */
  #play(sound, signal) {
    if (signal.aborted) return;
    this.#view.show(sound);
    this.#view.player.play();
  }

  /** @param {string} title @param {(signal: AbortSignal) => Promise<void>} work */
  async #run(title, work) {
    this.#controller.abort();
    this.#controller = new AbortController();
    const { signal } = this.#controller;
    this.#opener = document.activeElement;
    this.#view.player.unlock();
    clearError();
    byId("dock-title").textContent = title;
    byId("dock").hidden = false;
    try {
      await this.#view.awaiting(() => work(signal));
    } catch (error) {
      if (!signal.aborted) this.close();
      showError(error);
    }
  }
}
