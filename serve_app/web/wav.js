/** 16-bit mono WAV, as the server streams it and as a recording is sent. */

const HEADER_BYTES = 44;
const RATE_AT = 24;

/** Reads a WAV that comes in pieces of any size. */
export class WavReader {
  #kept = new Uint8Array(0);
  /** In Hz; 0 until the header has come. */
  sampleRate = 0;

  /**
   * @param {Uint8Array} bytes
   * @returns {Float32Array} the samples that are now complete
   */
  read(bytes) {
    let data = joined(this.#kept, bytes);
    if (!this.sampleRate) {
      if (data.length < HEADER_BYTES) {
        this.#kept = data;
        return new Float32Array(0);
      }
      this.sampleRate = new DataView(data.buffer).getUint32(RATE_AT, true);
      data = data.slice(HEADER_BYTES);
    }
    const whole = data.length - (data.length % 2);
    this.#kept = data.slice(whole);
    return samplesOf(data, whole);
  }
}

/** @param {Uint8Array} one @param {Uint8Array} other @returns {Uint8Array<ArrayBuffer>} */
function joined(one, other) {
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}

/** @param {Uint8Array} data @param {number} count of its bytes @returns {Float32Array} */
function samplesOf(data, count) {
  const view = new DataView(data.buffer, data.byteOffset, count);
  return Float32Array.from({ length: count / 2 }, (_, i) => view.getInt16(2 * i, true) / 32768);
}

/**
 * A WAV file.
 * @param {import("./sound.js").Sound} sound
 * @returns {File}
 */
export function wavFile(sound) {
  const samples = new Float32Array(sound.length);
  sound.read(0, samples);
  const pcm = Int16Array.from(samples, (x) => Math.max(-1, Math.min(1, x)) * 32767);
  const parts = [header(sound.sampleRate, pcm.byteLength), pcm];
  return new File(parts, "recording.wav", { type: "audio/wav" });
}

/** @param {number} rate @param {number} size in bytes @returns {ArrayBuffer} */
function header(rate, size) {
  const view = new DataView(new ArrayBuffer(HEADER_BYTES));
  const text = (/** @type {number} */ at, /** @type {string} */ tag) =>
    [...tag].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  const long = (/** @type {number} */ at, /** @type {number} */ n) => view.setUint32(at, n, true);
  const short = (/** @type {number} */ at, /** @type {number} */ n) => view.setUint16(at, n, true);
  text(0, "RIFF"), long(4, size + 36), text(8, "WAVEfmt "), long(16, 16);
  short(20, 1), short(22, 1), long(RATE_AT, rate), long(28, rate * 2), short(32, 2), short(34, 16);
  text(36, "data"), long(40, size);
  return view.buffer;
}
