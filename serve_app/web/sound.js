/** A mono sound that may still be growing, with the peaks to draw it. */

const PEAKS_PER_SECOND = 100;
const DECODING_RATE = 24_000;

/** Dispatches `grow` when samples have come and when it has ended. */
export class Sound extends EventTarget {
  #parts = /** @type {Float32Array[]} */ ([]);
  #peaks = /** @type {number[]} */ ([]);
  #hop;
  length = 0;
  /** Its largest amplitude so far. */
  loudest = 0;
  ended = false;

  /**
   * @param {number} sampleRate in Hz
   * @param {number} [expected] a guess at its length in seconds, while that is not known
   */
  constructor(sampleRate, expected = 0) {
    super();
    this.sampleRate = sampleRate;
    this.expected = expected;
    this.#hop = sampleRate / PEAKS_PER_SECOND;
  }

  /** @param {Float32Array} samples */
  push(samples) {
    for (let i = 0; i < samples.length; i++) {
      const at = Math.floor((this.length + i) / this.#hop);
      this.#peaks[at] = Math.max(this.#peaks[at] ?? 0, Math.abs(samples[i]));
      this.loudest = Math.max(this.loudest, this.#peaks[at]);
    }
    this.#parts.push(samples);
    this.length += samples.length;
    this.dispatchEvent(new Event("grow"));
  }

  /** Nothing more will come. */
  end() {
    this.ended = true;
    this.dispatchEvent(new Event("grow"));
  }

  /** How long it is so far. @returns {number} */
  get seconds() {
    return this.length / this.sampleRate;
  }

  /** How long it will be, as far as can be said. @returns {number} */
  get total() {
    return this.ended ? this.seconds : Math.max(this.seconds, this.expected);
  }

  /**
   * The largest amplitude between two times.
   * @param {number} from in seconds
   * @param {number} until
   * @returns {number} 0..1
   */
  peak(from, until) {
    const first = Math.floor(from * PEAKS_PER_SECOND);
    const last = Math.max(first + 1, Math.floor(until * PEAKS_PER_SECOND));
    let highest = 0;
    for (let i = first; i < last; i++) highest = Math.max(highest, this.#peaks[i] ?? 0);
    return highest;
  }

  /**
   * Copy samples from a position on.
   * @param {number} from
   * @param {Float32Array} into is filled as far as there are samples
   */
  read(from, into) {
    let begin = 0;
    for (const part of this.#parts) {
      const end = begin + part.length;
      if (end > from && begin < from + into.length) {
        const skipped = Math.max(0, from - begin);
        const at = Math.max(0, begin - from);
        into.set(part.subarray(skipped, skipped + into.length - at), at);
      }
      begin = end;
    }
  }
}

/**
 * A whole file as a sound.
 * @param {Blob} file
 * @returns {Promise<Sound>}
 * @throws {Error} where the browser cannot decode it
 */
export async function decoded(file) {
  const context = new OfflineAudioContext(1, 1, DECODING_RATE);
  const audio = await context.decodeAudioData(await file.arrayBuffer()).catch(() => {
    throw new Error("This browser cannot play the file; it can still be used and saved.");
  });
  const sound = new Sound(DECODING_RATE);
  sound.push(mono(audio));
  sound.end();
  return sound;
}

/** @param {AudioBuffer} audio @returns {Float32Array} */
function mono(audio) {
  const mixed = new Float32Array(audio.length);
  for (let channel = 0; channel < audio.numberOfChannels; channel++) {
    audio.getChannelData(channel).forEach((value, i) => {
      mixed[i] += value / audio.numberOfChannels;
    });
  }
  return mixed;
}
