/** Puts the page together: its views, and which of them is seen. */

import { askJson } from "./api.js";
import { ConvertView } from "./convert.js";
import { Dock } from "./dock.js";
import { byId } from "./dom.js";
import { HistoryView } from "./history.js";
import { startKey } from "./key.js";
import { clearError, showError, startNotices } from "./notices.js";
import { SpeakView } from "./speak.js";
import { startTheme } from "./theme.js";
import { libraryVoices } from "./voice-choice.js";
import { VoicesView } from "./voices.js";

const VIEWS = ["speak", "convert", "voices", "history"];
const PASSING = [0, 503]; // a server that starts, or a network that is gone for a moment
const RETRY_MS = 2000;

class Page {
  #config = /** @type {any} */ (null);
  #retry = 0;
  #speak = new SpeakView();
  #convert = new ConvertView();
  #dock = new Dock();
  #history = new HistoryView(this.#dock);
  #voices = new VoicesView({
    dock: this.#dock,
    speakWith: (voice) => this.#open("speak", () => this.#speak.useVoice(voice)),
    convertTo: (voice) => this.#open("convert", () => this.#convert.useVoice(voice)),
    onChange: () => this.#offerVoices(),
  });

  start() {
    startTheme();
    startNotices();
    startKey(() => this.#begin());
    addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.defaultPrevented && !byId("confirm").open) this.#stop();
    });
    addEventListener("hashchange", () => {
      if (this.#show()) byId(`${this.#name}-title`).focus();
    });
    this.#begin();
  }

  #begin() {
    clearError();
    this.#show();
    this.#load();
  }

  /** Stop whatever is spoken, converted or played. */
  #stop() {
    for (const part of [this.#speak, this.#convert, this.#dock]) part.stop();
  }

  /** The name of the view that the address names. @returns {string} */
  get #name() {
    return location.hash.slice(1) || VIEWS[0];
  }

  /** Show that view. @returns {boolean} whether there is one */
  #show() {
    const name = this.#name;
    if (!VIEWS.includes(name)) return false;
    for (const view of VIEWS) byId(view).hidden = view !== name;
    for (const link of document.querySelectorAll("nav a[href^='#']")) {
      link.ariaCurrent = link.getAttribute("href") === `#${name}` ? "page" : null;
    }
    document.title = `${byId(`${name}-title`).textContent} · serve-app`;
    if (name !== "convert") this.#convert.leave();
    if (name === "voices") this.#voices.show();
    if (name === "history") this.#history.show();
    return true;
  }

  /** @param {string} name @param {() => void} then */
  #open(name, then) {
    addEventListener("hashchange", then, { once: true });
    location.hash = name;
  }

  /** Ask what the service can do, and offer that; again and again while it cannot be told. */
  async #load(isAgain = false) {
    clearTimeout(this.#retry);
    try {
      const [config, library] = await Promise.all([askJson("api/v1/config"), libraryVoices()]);
      this.#config = config;
      this.#speak.configure(config, library);
      this.#convert.configure(config, library);
      this.#history.configure(config);
      const { tts, vc } = config.engines;
      byId("engine").textContent = `Spoken by ${tts.name}, converted by ${vc.name}.`;
      if (isAgain) this.#recover();
    } catch (/** @type {any} */ error) {
      const isPassing = PASSING.includes(error.status);
      if (!isAgain || !isPassing) showError(error);
      if (isPassing) this.#retry = setTimeout(() => this.#load(true), RETRY_MS);
    }
  }

  #recover() {
    clearError();
    this.#show();
  }

  async #offerVoices() {
    if (!this.#config) return this.#load();
    const library = await libraryVoices();
    this.#speak.showVoices(this.#config, library);
    this.#convert.showVoices(library);
  }
}

new Page().start();
