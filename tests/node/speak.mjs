// What the official Node SDK makes of a service: node speak.mjs BASE_URL FILE, answers in JSON.
import { writeFile } from "node:fs/promises";
import OpenAI from "openai";

const [baseURL, file] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "any", maxRetries: 0 });
const asked = { model: "gpt-4o-mini-tts", voice: "alloy", input: "Hello from Node.", seed: 1 };

async function saved() {
  const response = await client.audio.speech.create({ ...asked, response_format: "pcm" });
  await writeFile(file, Buffer.from(await response.arrayBuffer()));
  return response.headers.get("content-type");
}

async function events() {
  const response = await client.audio.speech.create({
    ...asked, response_format: "pcm", stream_format: "sse",
  });
  const lines = (await response.text()).split("\n").filter((line) => line.startsWith("data: "));
  return lines.map((line) => JSON.parse(line.slice(6)));
}

async function refusal(wrong) {
  const error = await client.audio.speech.create({ ...asked, ...wrong }).catch((raised) => raised);
  const { status, param, code, type, requestID } = error;
  return { name: error.constructor.name, status, param, code, type, hasId: Boolean(requestID) };
}

const models = [];
for await (const model of client.models.list()) models.push(model.id);

console.log(JSON.stringify({
  contentType: await saved(),
  events: await events(),
  refused: await refusal({ speed: 9 }),
  missing: await refusal({ voice: "nobody" }),
  models,
  model: (await client.models.retrieve("tts-1")).object,
}));
