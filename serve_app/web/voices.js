/** The view of the library's voices. */

import { ask, encodedPath, post, remove, withQuery } from "./api.js";
import { byId, whenQuiet } from "./dom.js";
import { acceptFile } from "./drop.js";
import { action, PagedList, row } from "./list.js";
import { clearError, confirmed, say, showError } from "./notices.js";

const PAGE_SIZE = 20;
const SAMPLE = "This is how I sound when I read to you.";

/**
 * @typedef {object} Elsewhere what the view has other parts of the page do
 * @property {import("./dock.js").Dock} dock
 * @property {(voice: {value: string, label: string}) => void} speakWith
 * @property {(voice: {value: string, label: string}) => void} convertTo
 * @property {() => Promise<void>} onChange
 */

export class VoicesView {
  #file = /** @type {File | null} */ (null);
  #suggested = ""; // the name that was filled in
  #list = new PagedList("voice", {
    address: () => withQuery("api/v1/voices", { page_size: PAGE_SIZE, search: this.#search }),
    rows: (found) => found.voices.map((/** @type {any} */ voice) => this.#row(voice)),
    empty: () => this.#empty,
  });

  /** @param {Elsewhere} elsewhere */
  constructor(elsewhere) {
    this.elsewhere = elsewhere;
    acceptFile("voice-drop", "voice-file", (file) => this.#choose(file));
    byId("voice-search").addEventListener("input", whenQuiet(() => this.show()));
    byId("voice-form").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#upload().catch(showError);
    });
  }

  /** Ask for the list again. */
  show() {
    return this.#list.show();
  }

  get #search() {
    return byId("voice-search").value.trim();
  }

  get #empty() {
    return this.#search
      ? `No voice matches “${this.#search}”.`
      : "No voices yet. Add a recording above, and the service can speak in its voice.";
  }

  /** @param {any} voice @returns {HTMLElement} */
  #row(voice) {
    const { name, url } = voice;
    const choice = { value: url, label: name };
    const meta = [`${voice.duration_seconds.toFixed(1)} s`, ...voice.tags, voice.description];
    return row(name, meta.filter(Boolean).join(" · "), [
      action("Listen", `to ${name}`, () => this.#listen(choice)),
      action("Speak", `with ${name}`, () => this.elsewhere.speakWith(choice)),
      action("Convert", `to ${name}`, () => this.elsewhere.convertTo(choice)),
      action("Delete", name, () => this.#delete(choice).catch(showError)),
    ]);
  }

  /** @param {{value: string, label: string}} voice */
  #listen({ value, label }) {
    const body = { text: SAMPLE, reference_audio_filename: value, export_formats: ["wav"] };
    this.elsewhere.dock.playAnswer(label, (signal) => post("api/v1/tts", body, signal));
  }

  /** @param {File} file */
  #choose(file) {
    this.#file = file;
    byId("voice-file-name").textContent = file.name;
    byId("voice-add").disabled = false;
    const name = byId("voice-name");
    if (name.value && name.value !== this.#suggested) return;
    name.value = this.#suggested = file.name.replace(/\.[^.]*$/, "");
  }

  async #upload() {
    if (!this.#file) return;
    const form = new FormData();
    form.set("voice_file", this.#file);
    form.set("name", byId("voice-name").value.trim() || this.#file.name);
    form.set("tags", byId("voice-tags").value);
    clearError();
    byId("voice-add").disabled = true;
    try {
      await ask("api/v1/voice", { method: "POST", body: form });
    } catch (error) {
      byId("voice-add").disabled = false;
      throw error;
    }
    say(`The voice ${form.get("name")} was added.`);
    byId("voice-form").reset();
    byId("voice-file-name").textContent = "or drop it here: some seconds of clear speech";
    this.#file = null;
    await Promise.all([this.show(), this.elsewhere.onChange()]);
  }

  /** @param {{value: string, label: string}} voice */
  async #delete({ value, label }) {
    if (!(await confirmed(`Delete the voice “${label}” for good?`))) return;
    await remove(`api/v1/voice/${encodedPath(value)}?confirm=true`);
    say(`The voice ${label} was deleted.`);
    await Promise.all([this.#list.reload(), this.elsewhere.onChange()]);
  }
}
