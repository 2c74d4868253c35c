/** The server's HTTP API. Every failure becomes an `ApiError` with a sentence to show. */

import { keep, kept } from "./kept.js";

const STORED_KEY = "serve-app.key";
const SENDABLE = /^[\x21-\x7e]*$/; // in a header
let key = kept("sessionStorage", STORED_KEY) ?? "";

/** The server refused, or could not be reached (status 0). */
export class ApiError extends Error {
  /** @param {string} message @param {number} status */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** @returns {string} the API key, "" for none */
export function apiKey() {
  return key;
}

/** @param {string} entered @throws {Error} where no request can carry it */
export function setApiKey(entered) {
  if (!SENDABLE.test(entered)) {
    throw new Error("A key has only English letters, digits and signs. Check what you entered.");
  }
  key = entered;
  keep("sessionStorage", STORED_KEY, key);
}

/**
 * A path of the API below wherever this page is served.
 * @param {string} path
 * @returns {string}
 */
export function address(path) {
  return new URL(path.replace(/^\//, ""), document.baseURI).href;
}

/**
 * Ask the server.
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<Response>} one that is ok
 */
export async function ask(path, options = {}) {
  const headers = new Headers(options.headers);
  if (key) headers.set("Authorization", `Bearer ${key}`);
  const response = await fetch(address(path), { ...options, headers }).catch(unreachable);
  if (!response.ok) throw new ApiError(await sentence(response), response.status);
  return response;
}

/** @param {Error} error @returns {never} */
function unreachable(error) {
  if (error.name === "AbortError") throw error;
  throw new ApiError("The server cannot be reached. Is it running, and are you online?", 0);
}

/** @param {Response} response @returns {Promise<string>} */
async function sentence(response) {
  const told = await response.json().catch(() => ({}));
  if (response.status === 401) return "The server asks for an API key. Enter it at the top.";
  const message = told.error?.message ?? told.error ?? `The server answered ${response.status}.`;
  const isMore = typeof told.detail === "string" && told.detail && told.detail !== message;
  return isMore ? `${message} ${told.detail}` : message;
}

/** @param {string} path @param {RequestInit} [options] @returns {Promise<any>} */
export async function askJson(path, options) {
  return (await ask(path, options)).json();
}

/**
 * @param {string} path
 * @param {object} body sent as JSON
 * @param {AbortSignal} [signal]
 * @returns {Promise<Response>}
 */
export function post(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  return ask(path, { method: "POST", headers, body: JSON.stringify(body), signal });
}

/** Delete; what is gone already is as good as deleted. @param {string} path */
export async function remove(path) {
  await ask(path, { method: "DELETE" }).catch((error) => {
    if (error.status !== 404) throw error;
  });
}

/**
 * A path with a query of what is not empty.
 * @param {string} path
 * @param {Record<string, string | number>} query
 * @returns {string}
 */
export function withQuery(path, query) {
  const given = Object.entries(query).filter(([, value]) => value !== "");
  return `${path}?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}

/** @param {string} path such as a/b c @returns {string} fit for a URL, its slashes kept */
export function encodedPath(path) {
  return path.split("/").map(encodeURIComponent).join("/");
}
