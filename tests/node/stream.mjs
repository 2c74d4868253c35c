// Reads a speech piece by piece: node stream.mjs BASE_URL TEXT, answers in JSON.
import OpenAI from "openai";

const [baseURL, input] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "any", maxRetries: 0 });

async function isComplete(name) {
  const listing = new URL("/api/v1/outputs", baseURL);
  listing.searchParams.set("filenames", name);
  return (await (await fetch(listing)).json()).count === 1;
}

const response = await client.audio.speech.create({
  model: "tts-1", voice: "alloy", input, response_format: "wav",
});
const name = response.headers.get("content-disposition").split('"')[1];
const reader = response.body.getReader();
let bytes = (await reader.read()).value.length;
const atFirst = await isComplete(name);
for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
  bytes += piece.value.length;
}
console.log(JSON.stringify({ bytes, atFirst, atLast: await isComplete(name) }));
