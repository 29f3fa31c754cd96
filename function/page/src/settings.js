// What the reader chose: the look, the language, the model and how tokens are drawn.
import { local } from "./storage.js";

const NAME = "hearth.settings";

/** The numbers that a request may have, in the API's names and ranges (docs/api.md). A field left empty is not sent: the server's own default counts. */
export const SAMPLING = [
  { name: "temperature", min: 0, max: 2, step: 0.05 },
  { name: "top_p", min: 0, max: 1, step: 0.05 },
  { name: "top_k", min: 0, max: 2147483647, step: 1 },
  { name: "min_p", min: 0, max: 1, step: 0.01 },
  { name: "max_tokens", min: 1, max: 4294967295, step: 1 },
  { name: "seed", min: 0, max: Number.MAX_SAFE_INTEGER, step: 1 },
  { name: "repeat_penalty", min: 0.01, max: 10, step: 0.01 },
  { name: "frequency_penalty", min: -2, max: 2, step: 0.1 },
  { name: "presence_penalty", min: -2, max: 2, step: 0.1 },
];

/** Stop strings in a request, and bytes in one. */
export const MAX_STOPS = 16;
export const MAX_STOP_BYTES = 256;

const DEFAULTS = {
  theme: "system",
  language: "",
  model: "",
  system: "",
  thinking: "",
  // Small models ramble at the API's default of 1.
  sampling: { temperature: 0.6 },
  stop: [],
};

const CHOICES = { theme: ["system", "light", "dark"], language: ["", "en", "zh"], thinking: ["", "on", "off"] };

/** Settings of any origin as settings: what is not one is its default. */
export function cleanSettings(value) {
  const given = value && typeof value === "object" ? value : {};
  const text = (name) => (typeof given[name] === "string" ? given[name] : DEFAULTS[name]);
  const choice = (name) => (CHOICES[name].includes(given[name]) ? given[name] : DEFAULTS[name]);
  return {
    theme: choice("theme"),
    language: choice("language"),
    thinking: choice("thinking"),
    model: text("model"),
    system: text("system"),
    sampling: given.sampling && typeof given.sampling === "object" ? cleanSampling(given.sampling) : { ...DEFAULTS.sampling },
    stop: Array.isArray(given.stop) ? cleanStops(given.stop) : [],
  };
}

function cleanSampling(given) {
  const numbers = SAMPLING.map(({ name, min, max, step }) => [name, inRange(given[name], min, max, step)]);
  return Object.fromEntries(numbers.filter(([, number]) => number !== undefined));
}

function inRange(number, min, max, step) {
  if (typeof number !== "number" || !Number.isFinite(number)) return undefined;
  const whole = step === 1 ? Math.round(number) : number;
  return Math.min(max, Math.max(min, whole));
}

/** Stop strings as the API takes them. */
export function cleanStops(lines) {
  const size = (text) => new TextEncoder().encode(text).length;
  return lines.filter((line) => typeof line === "string" && line && size(line) <= MAX_STOP_BYTES).slice(0, MAX_STOPS);
}

export function readSettings() {
  return cleanSettings(local.get(NAME));
}

export function writeSettings(settings) {
  return local.set(NAME, settings);
}

export function defaultSettings() {
  return cleanSettings(undefined);
}
