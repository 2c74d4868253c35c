/** The selects in which a voice is chosen. */

import { askJson, withQuery } from "./api.js";
import { make, showOptions } from "./dom.js";

const MOST = 100; // in one select; the view of the voices finds the others

/**
 * The library's voices, those used most first.
 * @returns {Promise<{value: string, label: string}[]>}
 */
export async function libraryVoices() {
  const query = { page_size: MOST, sort_by: "usage_count", sort_order: "desc" };
  const { voices } = await askJson(withQuery("api/v1/voices", query));
  return voices.map((/** @type {any} */ voice) => ({ value: voice.url, label: voice.name }));
}

/**
 * Offer every voice that can speak.
 * @param {HTMLSelectElement} select
 * @param {any} config
 * @param {{value: string, label: string}[]} library
 */
export function showVoices(select, config, library) {
  const named = (/** @type {string} */ name) => ({ value: name, label: name });
  const presets = (config.presets ?? []).map((/** @type {any} */ preset) => named(preset.name));
  showOptions(select, [
    { options: [{ value: "", label: "the engine's own" }] },
    { group: "Presets", options: presets },
    { group: "Engine", options: config.engines.tts.voices.map(named) },
    { group: "Library", options: library },
  ]);
}

/**
 * Choose a voice, even one the select does not list.
 * @param {HTMLSelectElement} select
 * @param {{value: string, label: string}} voice
 */
export function chooseVoice(select, { value, label }) {
  select.value = value;
  if (select.value === value) return;
  select.append(make("option", { value, textContent: label }));
  select.value = value;
}
