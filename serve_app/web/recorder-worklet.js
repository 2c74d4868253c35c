/** Hands on what the microphone hears. Runs beside the page, on the audio thread. */

class Capture extends AudioWorkletProcessor {
  /** @param {Float32Array[][]} inputs */
  process([channels]) {
    if (channels.length) this.port.postMessage(channels[0].slice());
    return true;
  }
}

registerProcessor("capture", Capture);
