/** Records from the microphone into a sound. Permission is asked for when recording begins. */

import { Sound } from "./sound.js";

export class Recorder {
  #ending = /** @type {AbortController | null} */ (null);

  /** Whether it records, or waits until it may. */
  get busy() {
    return this.#ending !== null;
  }

  /**
   * @returns {Promise<Sound>} that grows until `stop`
   * @throws {Error} where there is no microphone, it may not be used, or it was stopped meanwhile
   */
  async start() {
    const ending = (this.#ending = new AbortController());
    try {
      return await heard(ending.signal);
    } catch (error) {
      if (this.#ending === ending) this.#ending = null;
      throw error;
    }
  }

  /** Ends the sound, and lets the microphone go. */
  stop() {
    this.#ending?.abort();
    this.#ending = null;
  }
}

/**
 * What the microphone hears until it is told to end.
 * @param {AbortSignal} ending
 * @returns {Promise<Sound>}
 */
async function heard(ending) {
  const stream = await microphone();
  const context = new AudioContext();
  const sound = new Sound(context.sampleRate);
  const end = () => {
    stream.getTracks().forEach((track) => track.stop());
    context.close();
    sound.end();
  };
  try {
    await addCapture(context);
    ending.throwIfAborted();
  } catch (error) {
    end();
    throw error;
  }
  const capture = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0 });
  capture.port.onmessage = ({ data }) => sound.ended || sound.push(data);
  context.createMediaStreamSource(stream).connect(capture);
  ending.addEventListener("abort", end);
  return sound;
}

/** @param {AudioContext} context */
async function addCapture(context) {
  const module = new URL("./recorder-worklet.js", import.meta.url);
  await context.audioWorklet.addModule(module).catch(() => {
    throw new Error("The recording could not begin. Load the page again.");
  });
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
