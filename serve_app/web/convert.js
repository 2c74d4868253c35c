/** The view in which a recording is said again in another voice. */

import { ask } from "./api.js";
import { byId, showFacts, showOptions } from "./dom.js";
import { acceptFile } from "./drop.js";
import { say, showError } from "./notices.js";
import { PlayerView } from "./player-view.js";
import { Recorder } from "./recorder.js";
import { decoded } from "./sound.js";
import { showDownloads } from "./speak.js";
import { receive } from "./stream.js";
import { Task } from "./task.js";
import { chooseVoice } from "./voice-choice.js";
import { wavFile } from "./wav.js";

/** @typedef {import("./sound.js").Sound} Sound */

export class ConvertView {
  #source = /** @type {File | null} */ (null);
  #target = /** @type {File | null} */ (null);
  #before = /** @type {Sound | null} */ (null);
  #after = /** @type {Sound | null} */ (null);
  #recorder = new Recorder();
  #recording = /** @type {Sound | null} */ (null);
  #view = new PlayerView(byId("convert-player"));
  #task = new Task(byId("convert-button"), this.#view.player);

  constructor() {
    acceptFile("source-drop", "source-file", (file) => {
      this.#discardRecording();
      this.#choose(file);
    });
    acceptFile("target-drop", "target-file", (file) => this.#chooseTarget(file));
    byId("target").addEventListener("change", () => this.#chooseTarget(null));
    byId("record").addEventListener("click", () => this.#record().catch(showError));
    byId("compare").addEventListener("change", () => this.#compare());
    byId("convert-form").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      if (this.#task.busy) this.#task.stop();
      else this.#start();
    });
  }

  /** @param {any} config @param {{value: string, label: string}[]} library */
  configure(config, library) {
    const formats = config.supported_formats.map((/** @type {string} */ name) => ({
      value: name,
      label: name,
    }));
    showOptions(byId("convert-format"), [{ options: formats }]);
    byId("convert-format").value = config.vc_defaults.export_formats.at(-1);
    this.#view.player.expectedRate = config.engines.vc.sample_rate;
    this.#task.ready = true;
    this.showVoices(library);
  }

  /** @param {{value: string, label: string}[]} library */
  showVoices(library) {
    const label = library.length ? "choose one" : "none yet: add one, or use a file";
    const none = { value: "", label };
    showOptions(byId("target"), [{ options: [none, ...library] }]);
  }

  /** @param {{value: string, label: string}} voice to convert to from now on */
  useVoice(voice) {
    chooseVoice(byId("target"), voice);
    this.#chooseTarget(null);
  }

  /** Stop what is converted or played. */
  stop() {
    this.#task.stop();
  }

  /** The view is not seen any more: the microphone must not go on hearing. */
  leave() {
    this.#recorder.stop();
  }

  /** @param {File} file */
  async #choose(file) {
    this.#take(file, file.name, null);
    const sound = await decoded(file).catch(() => null);
    if (sound && this.#source === file) this.#take(file, file.name, sound);
  }

  /**
   * @param {File} file
   * @param {string} name
   * @param {Sound | null} sound null where the browser cannot play it
   */
  #take(file, name, sound) {
    const length = sound ? `, ${sound.seconds.toFixed(1)} seconds` : "";
    this.#task.stop();
    this.#source = file;
    this.#before = sound;
    this.#after = null;
    byId("source-name").textContent = `${name}${length}`;
    say(`${name}${length}`);
    byId("convert-result").hidden = true;
    this.#view.show(sound);
  }

  /** @param {File | null} file null for a voice of the library */
  #chooseTarget(file) {
    this.#target = file;
    byId("target-name").textContent = file?.name ?? "a few seconds of the voice are enough";
    if (file) byId("target").value = "";
  }

  async #record() {
    if (this.#recording) return this.#recorder.stop();
    if (this.#recorder.busy) return;
    const sound = (this.#recording = await this.#recorder.start());
    this.#view.show(sound);
    this.#showRecording(true);
    say("Recording.");
    sound.addEventListener("grow", () => sound === this.#recording && this.#hear(sound));
  }

  /** @param {Sound} sound that has grown or ended */
  #hear(sound) {
    byId("source-name").textContent = `Recording, ${sound.seconds.toFixed(1)} seconds`;
    if (!sound.ended) return;
    this.#discardRecording();
    this.#take(wavFile(sound), "Your recording", sound);
  }

  #discardRecording() {
    this.#recording = null;
    this.#recorder.stop();
    this.#showRecording(false);
  }

  /** @param {boolean} isOn */
  #showRecording(isOn) {
    byId("record").ariaPressed = String(isOn);
    byId("record-label").textContent = isOn ? "Stop recording" : "Record";
  }

  #start() {
    this.#recorder.stop();
    this.#task.run((signal) => this.#convert(this.#form(), signal));
  }

  /** @param {FormData} body @param {AbortSignal} signal */
  async #convert(body, signal) {
    const began = performance.now();
    const since = () => (performance.now() - began) / 1000;
    byId("convert-result").hidden = true;
    say("Converting.");
    await this.#view.awaiting(async () => {
      const response = await ask("api/v1/vc", { method: "POST", body, signal });
      let first = 0;
      await receive(response, {
        expected: this.#before?.seconds ?? 0,
        onSound: (sound) => {
          first = since();
          this.#after = sound;
          this.#view.show(sound);
          this.#view.player.play();
        },
      });
      this.#report(response.headers, first, since());
    });
  }

  /** @returns {FormData} @throws {Error} where something is not chosen yet */
  #form() {
    const voice = byId("target").value;
    if (!this.#source) throw new Error("Choose or record what is to be converted.");
    if (!this.#target && !voice) throw new Error("Choose the voice to convert to.");
    const form = new FormData();
    form.set("input_audio", this.#source);
    if (this.#target) form.set("target_voice", this.#target);
    else form.set("target_voice_source", voice);
    form.set("export_formats", [...new Set(["wav", byId("convert-format").value])].join(","));
    return form;
  }

  /** @param {Headers} headers @param {number} first @param {number} all in seconds */
  #report(headers, first, all) {
    const seconds = this.#after?.seconds ?? 0;
    showFacts(byId("convert-facts"), [
      ["First sound after", `${first.toFixed(2)} s`],
      ["Real-time factor", (all / seconds).toFixed(3)],
      ["Length", `${seconds.toFixed(1)} s`],
    ]);
    showDownloads(byId("convert-downloads"), headers, byId("convert-format").value);
    byId("compare").disabled = !this.#before;
    byId("compare").querySelector("[value=after]").checked = true;
    byId("convert-result").hidden = false;
    say(`Done: ${seconds.toFixed(1)} seconds of speech.`);
  }

  /** Hear the other of the two, from where the first one is. */
  #compare() {
    const { active, position } = this.#view.player;
    const isBefore = byId("compare").querySelector(":checked").value === "before";
    this.#view.show(isBefore ? this.#before : this.#after, position);
    if (active) this.#view.player.play();
  }
}
