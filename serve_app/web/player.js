/** Plays a sound while it is still growing. */

/** @typedef {import("./sound.js").Sound} Sound */
/** @typedef {"empty" | "paused" | "waiting" | "playing" | "ended"} State */

const AHEAD_S = 8; // a hidden tab's timers may fire once a second only
const PIECE_S = 2;
const LEAD_S = 0.02;
const REFILL_S = 0.25; // of sound to have again after it ran dry
const TICK_MS = 100;

/** One for each rate: a buffer of another rate would be resampled on its own, with seams. */
const contexts = /** @type {Map<number, AudioContext>} */ (new Map());

/** @param {number} sampleRate @returns {AudioContext} */
function contextAt(sampleRate) {
  const context = contexts.get(sampleRate) ?? new AudioContext({ sampleRate });
  contexts.set(sampleRate, context);
  return context;
}

/** Dispatches `change` when its state has changed. Only one player plays at a time. */
export class Player extends EventTarget {
  static #heard = /** @type {Player | null} */ (null);

  #sound = /** @type {Sound | null} */ (null);
  #analyser = /** @type {AnalyserNode | null} */ (null);
  #sources = /** @type {Set<AudioBufferSourceNode>} */ (new Set());
  #pieces = /** @type {{at: number, from: number, until: number}[]} */ ([]);
  #next = 0; // the sample to schedule next
  #free = 0; // when what is scheduled will have been played, in the context's time
  #rest = 0; // the sample to go on with, while nothing plays
  #timer = 0;
  #state = /** @type {State} */ ("empty");
  #schedule = () => this.#fill();
  /** In Hz, of sounds that are still to come. */
  expectedRate = 24_000;

  /** @returns {State} */
  get state() {
    return this.#state;
  }

  /** @returns {boolean} whether it plays, or would if there were sound */
  get active() {
    return this.#state === "playing" || this.#state === "waiting";
  }

  /** Where it is, in seconds of the sound. @returns {number} */
  get position() {
    const sound = this.#sound;
    return sound ? (this.active ? this.#sample() : this.#rest) / sound.sampleRate : 0;
  }

  /** How loud it is at this moment. @returns {number} 0..1, of what really leaves the player */
  get level() {
    if (!this.#analyser || !this.active) return 0;
    const samples = new Float32Array(this.#analyser.fftSize);
    this.#analyser.getFloatTimeDomainData(samples);
    return samples.reduce((highest, x) => Math.max(highest, Math.abs(x)), 0);
  }

  /**
   * Play another sound from now on.
   * @param {Sound | null} sound
   * @param {number} [from] in seconds
   */
  load(sound, from = 0) {
    this.#silence();
    this.#sound?.removeEventListener("grow", this.#schedule);
    this.#sound = sound;
    this.#rest = sound ? Math.min(Math.round(from * sound.sampleRate), sound.length) : 0;
    sound?.addEventListener("grow", this.#schedule);
    this.#become(sound ? "paused" : "empty");
  }

  /** To be called while a press is handled: WebKit lets nothing else begin to sound. */
  unlock() {
    contextAt(this.expectedRate).resume();
  }

  /** @param {number} [from] in seconds */
  play(from = this.#state === "ended" ? 0 : this.position) {
    const sound = this.#sound;
    if (!sound) return;
    if (Player.#heard !== this) Player.#heard?.pause();
    Player.#heard = this;
    this.#silence();
    const context = contextAt(sound.sampleRate);
    context.resume();
    this.#analyser = new AnalyserNode(context, { fftSize: 2048 });
    this.#analyser.connect(context.destination);
    this.#next = this.#rest = Math.min(Math.round(from * sound.sampleRate), sound.length);
    this.#free = context.currentTime + LEAD_S;
    this.#timer = setInterval(this.#schedule, TICK_MS);
    this.#become("waiting");
    this.#fill();
  }

  pause() {
    if (!this.active) return;
    this.#rest = this.#sample();
    this.#silence();
    this.#become("paused");
  }

  /** @param {number} position in seconds */
  seek(position) {
    if (this.active) this.play(position);
    else this.load(this.#sound, position);
  }

  /** Schedule what there is, a few seconds ahead, and notice the end. */
  #fill() {
    const sound = this.#sound;
    if (!sound || !this.active) return;
    const { currentTime } = contextAt(sound.sampleRate);
    while (this.#next < sound.length && this.#free < currentTime + AHEAD_S) {
      if (this.#free < currentTime) this.#free = currentTime + (sound.ended ? LEAD_S : REFILL_S);
      this.#add(sound);
    }
    if (currentTime < this.#free) this.#become("playing");
    else if (sound.ended && this.#next >= sound.length) this.#finish(sound);
    else this.#become("waiting");
  }

  /** @param {Sound} sound */
  #add(sound) {
    const context = contextAt(sound.sampleRate);
    const length = Math.min(sound.length - this.#next, PIECE_S * sound.sampleRate);
    const buffer = new AudioBuffer({ length, sampleRate: sound.sampleRate });
    sound.read(this.#next, buffer.getChannelData(0));
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(/** @type {AnalyserNode} */ (this.#analyser));
    source.onended = () => this.#sources.delete(source);
    source.start(this.#free);
    this.#sources.add(source);
    this.#pieces.push({ at: this.#free, from: this.#next, until: this.#next + length });
    this.#next += length;
    this.#free += buffer.duration;
  }

  /** The sample that is heard now. @returns {number} */
  #sample() {
    const sound = /** @type {Sound} */ (this.#sound);
    const now = contextAt(sound.sampleRate).currentTime;
    const piece = this.#pieces.findLast(({ at }) => at <= now);
    if (!piece) return this.#rest;
    return Math.min(piece.until, piece.from + Math.round((now - piece.at) * sound.sampleRate));
  }

  /** @param {Sound} sound */
  #finish(sound) {
    this.#silence();
    this.#rest = sound.length;
    this.#become("ended");
  }

  #silence() {
    clearInterval(this.#timer);
    for (const source of this.#sources) source.stop();
    this.#sources.clear();
    this.#pieces = [];
    this.#analyser?.disconnect();
    this.#analyser = null;
  }

  /** @param {State} state */
  #become(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.dispatchEvent(new Event("change"));
  }
}
