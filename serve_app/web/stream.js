/** An answer that is still being made: its audio, and where the engine knows them its words. */

import { ApiError } from "./api.js";
import { Sound } from "./sound.js";
import { WavReader } from "./wav.js";

/** @typedef {{word: string, start: number, end: number}} Word times in seconds */
/** @typedef {{audio?: Uint8Array, words?: Word[]}} Part */

/**
 * Read a WAV answer into a sound as it comes.
 * @param {Response} response
 * @param {{expected: number, onSound: (sound: Sound) => void, onWords?: (words: Word[]) => void}}
 *   receiver `onSound` is called with the sound once its first samples are there
 */
export async function receive(response, { expected, onSound, onWords }) {
  const reader = new WavReader();
  let sound = /** @type {Sound | null} */ (null);
  try {
    for await (const { audio, words } of parts(response)) {
      if (words) onWords?.(words);
      const samples = reader.read(audio ?? new Uint8Array(0));
      if (!samples.length) continue;
      const isFirst = !sound;
      sound ??= new Sound(reader.sampleRate, expected);
      sound.push(samples);
      if (isFirst) onSound(sound);
    }
  } finally {
    sound?.end();
  }
}

/** @param {Response} response @returns {AsyncGenerator<Part>} */
async function* parts(response) {
  const isEvents = response.headers.get("Content-Type")?.startsWith("text/event-stream");
  if (isEvents) {
    yield* eventParts(response);
  } else {
    for await (const audio of pieces(response)) yield { audio };
  }
}

/** @param {Response} response @returns {AsyncGenerator<Uint8Array>} */
async function* pieces(response) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch(brokenOff);
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** @param {Error} [error] @returns {never} */
function brokenOff(error) {
  if (error?.name === "AbortError") throw error;
  throw new ApiError("The sound broke off: the server could not finish it. Try again.", 0);
}

/** @param {Response} response @returns {AsyncGenerator<Part>} */
async function* eventParts(response) {
  const decoder = new TextDecoder();
  let text = "";
  let isWhole = false;
  for await (const piece of pieces(response)) {
    const events = (text + decoder.decode(piece, { stream: true })).split("\n\n");
    text = events.pop() ?? "";
    for (const event of events.map((one) => JSON.parse(one.replace(/^data: /, "")))) {
      isWhole ||= event.type === "speech.audio.done";
      yield partOf(event);
    }
  }
  if (!isWhole) brokenOff();
}

/** @param {any} event @returns {Part} */
function partOf(event) {
  if (event.type === "error") throw new ApiError(event.error.message, 0);
  if (event.type === "speech.audio.delta") return { audio: fromBase64(event.audio) };
  return { words: event.words ?? undefined };
}

/** @param {string} text @returns {Uint8Array} */
function fromBase64(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}
