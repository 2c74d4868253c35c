/** The view in which a text is spoken. */

import { post } from "./api.js";
import { Controls } from "./controls.js";
import { byId, make, showFacts, showOptions } from "./dom.js";
import { downloadLink, filesOf } from "./files.js";
import { say } from "./notices.js";
import { PlayerView } from "./player-view.js";
import { receive } from "./stream.js";
import { Task } from "./task.js";
import { chooseVoice, showVoices } from "./voice-choice.js";
import { Transcript } from "./words.js";

const SECONDS_PER_CHARACTER = 0.065; // of English speech, to guess how long it will be
const LISTENED = "wav"; // the one format that every browser can play while it comes

export class SpeakView {
  #text = /** @type {HTMLTextAreaElement} */ (byId("text"));
  #voice = /** @type {HTMLSelectElement} */ (byId("voice"));
  #transcript = new Transcript(byId("transcript"));
  #controls = new Controls(byId("controls"));
  #view = new PlayerView(byId("speak-player"), (position) => this.#transcript.mark(position));
  #task = new Task(byId("speak-button"), this.#view.player);
  #limit = 0; // of characters, until the service has told it
  #tellsWords = false;

  constructor() {
    byId("speak-form").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      if (this.#task.busy) this.#task.stop();
      else this.#speak();
    });
    byId("speak").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      const isAsked = event.key === "Enter" && (event.ctrlKey || event.metaKey);
      if (isAsked && !event.repeat) this.#speak();
    });
    this.#text.addEventListener("input", () => this.#count());
    this.#count();
  }

  /**
   * @param {any} config
   * @param {{value: string, label: string}[]} library
   */
  configure(config, library) {
    const { tts } = config.engines;
    const named = (/** @type {string} */ name) => ({ value: name, label: name });
    this.#limit = config.api_limits.max_text_length;
    this.#tellsWords = Boolean(tts.word_timings);
    this.#view.player.expectedRate = tts.sample_rate;
    showVoices(this.#voice, config, library);
    const own = { value: "", label: "the voice's own" };
    showOptions(byId("language"), [{ options: [own, ...tts.languages.map(named)] }]);
    showOptions(byId("format"), [{ options: config.supported_formats.map(named) }]);
    byId("format").value = config.tts_defaults.export_formats.at(-1);
    byId("language-field").hidden = tts.languages.length < 2;
    byId("seed-field").hidden = !tts.controls.includes("seed");
    this.#controls.show(config);
    this.#count();
  }

  /** @param {{value: string, label: string}} voice to speak in from now on */
  useVoice(voice) {
    chooseVoice(this.#voice, voice);
    this.#text.focus();
  }

  /** Offer the voices again, after they have changed. @param {any} config @param {any[]} library */
  showVoices(config, library) {
    showVoices(this.#voice, config, library);
  }

  /** Stop what is spoken. */
  stop() {
    this.#task.stop();
  }

  #count() {
    const { length } = [...this.#text.value.trim()]; // code points, as the server counts
    const isOver = length > this.#limit;
    const number = new Intl.NumberFormat();
    const counted = `${number.format(length)} of ${number.format(this.#limit)} characters`;
    byId("count").textContent = this.#limit ? counted : "";
    byId("count").classList.toggle("over", isOver);
    this.#task.ready = length > 0 && !isOver;
  }

  #speak() {
    if (this.#limit && byId("speak-form").reportValidity() && this.#text.value.trim()) {
      this.#task.run((signal) => this.#stream(signal));
    }
  }

  /** @param {AbortSignal} signal */
  async #stream(signal) {
    const began = performance.now();
    const since = () => (performance.now() - began) / 1000;
    byId("speak-result").hidden = true;
    this.#transcript.clear();
    say("Speaking.");
    await this.#view.awaiting(async () => {
      const response = await post("api/v1/tts", this.#body(), signal);
      let first = 0;
      await receive(response, {
        expected: this.#expected(),
        onWords: (words) => this.#transcript.add(words),
        onSound: (sound) => {
          first = since();
          this.#view.show(sound);
          this.#view.player.play();
        },
      });
      this.#report(response.headers, first, since());
    });
  }

  #body() {
    const format = byId("format").value;
    const language = byId("language").value;
    return {
      text: this.#text.value,
      reference_audio_filename: this.#voice.value || null,
      ...(language ? { language } : {}),
      export_formats: [...new Set([LISTENED, format])],
      ...this.#controls.values,
      ...(byId("seed").value ? { seed: Number(byId("seed").value) } : {}),
      ...(this.#tellsWords ? { stream_format: "sse", timestamps: "word" } : {}),
    };
  }

  #expected() {
    const speed = this.#controls.values.speed_factor ?? 1;
    return (this.#text.value.trim().length * SECONDS_PER_CHARACTER) / speed;
  }

  /** @param {Headers} headers @param {number} first @param {number} all in seconds */
  #report(headers, first, all) {
    const seconds = this.#view.sound?.seconds ?? 0;
    const ignored = headers.get("X-Ignored-Parameters");
    showFacts(byId("speak-facts"), [
      ["First sound after", `${first.toFixed(2)} s`],
      ["Real-time factor", (all / seconds).toFixed(3)],
      ["Length", `${seconds.toFixed(1)} s`],
      ["Seed", headers.get("X-Generation-Seed") ?? "unknown"],
      ...(ignored ? [/** @type {[string, string]} */ (["Without effect", ignored])] : []),
    ]);
    showDownloads(byId("speak-downloads"), headers, byId("format").value);
    byId("speak-result").hidden = false;
    say(`Done: ${seconds.toFixed(1)} seconds of speech.`);
  }
}

/**
 * Links to the files of a streamed answer, the one that was asked for first.
 * @param {HTMLElement} place
 * @param {Headers} headers
 * @param {string} wanted
 */
export function showDownloads(place, headers, wanted) {
  const files = filesOf(headers, LISTENED).sort(
    (a, b) => Number(b.format === wanted) - Number(a.format === wanted),
  );
  place.replaceChildren(
    make("span", { className: "hint", textContent: "Download" }),
    ...files.map((file) => downloadLink(file, file.format.toUpperCase())),
  );
}
