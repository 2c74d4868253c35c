/** Records from the microphone into a sound. Permission is asked for when recording begins. */

import { Sound } from "./sound.js";

export class Recorder {
  #stream = /** @type {MediaStream | null} */ (null);
  #context = /** @type {AudioContext | null} */ (null);
  #sound = /** @type {Sound | null} */ (null);

  get recording() {
    return this.#stream !== null;
  }

  /**
   * @returns {Promise<Sound>} that grows until `stop`
   * @throws {Error} where there is no microphone, or it may not be used
   */
  async start() {
    this.#stream = await microphone();
    this.#context = new AudioContext();
    await this.#context.audioWorklet.addModule(new URL("./recorder-worklet.js", import.meta.url));
    const capture = new AudioWorkletNode(this.#context, "capture", { numberOfOutputs: 0 });
    const sound = (this.#sound = new Sound(this.#context.sampleRate));
    capture.port.onmessage = ({ data }) => sound.ended || sound.push(data);
    this.#context.createMediaStreamSource(this.#stream).connect(capture);
    return sound;
  }

  /** Ends the sound, and lets the microphone go. */
  stop() {
    if (!this.recording) return;
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = null;
    this.#context?.close();
    this.#sound?.end();
  }
}

/** @returns {Promise<MediaStream>} */
async function microphone() {
  if (!navigator.mediaDevices) {
    throw new Error("Browsers give the microphone to pages on https or localhost only.");
  }
  const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false };
  return navigator.mediaDevices.getUserMedia({ audio }).catch((error) => {
    const refused = error.name === "NotAllowedError";
    throw new Error(refused ? "The microphone may not be used." : "No microphone was found.");
  });
}
