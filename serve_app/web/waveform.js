/** Draws a sound as bars: what was heard, what is there, and room for what is to come. */

const BAR_PX = 3;
const GAP_PX = 2;
const LIFT = 0.75; // what is quiet is drawn a little taller than it is

/**
 * @param {HTMLCanvasElement} canvas
 * @param {import("./sound.js").Sound | null} sound
 * @param {number} position in seconds
 */
export function drawWaveform(canvas, sound, position) {
  const { width, height, pen } = fitted(canvas);
  const style = getComputedStyle(canvas);
  const colour = (/** @type {string} */ name) => style.getPropertyValue(name);
  const total = sound?.total || 1;
  const head = sound ? (position / total) * width : 0;
  for (let x = 0; x + BAR_PX <= width; x += BAR_PX + GAP_PX) {
    const from = (x / width) * total;
    const isThere = sound && from < sound.seconds;
    const until = ((x + BAR_PX + GAP_PX) / width) * total;
    const peak = isThere ? sound.peak(from, until) / (sound.loudest || 1) : 0;
    const tall = Math.max(BAR_PX, peak ** LIFT * (height - 4));
    pen.fillStyle = colour(isThere ? (x < head ? "--accent" : "--bar") : "--line");
    pen.beginPath();
    pen.roundRect(x, (height - tall) / 2, BAR_PX, tall, BAR_PX / 2);
    pen.fill();
  }
  if (!sound || !position) return;
  pen.fillStyle = colour("--accent");
  pen.fillRect(Math.min(head, width - 2), 0, 2, height);
}

/**
 * The canvas, cleared, with as many pixels as the screen has for it.
 * @param {HTMLCanvasElement} canvas
 */
function fitted(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const scale = devicePixelRatio;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.scale(scale, scale);
  return { width, height, pen };
}
