// The page's words, in English and Chinese.
import { en } from "./text/en.js";
import { zh } from "./text/zh.js";

const TEXTS = { en, zh };
let language = "en";

/** Takes up `wanted`, or where that is empty the first of the browser's languages that there are words in. */
export function setLanguage(wanted) {
  const preferred = navigator.languages ?? [navigator.language];
  language = wanted || preferred.map((tag) => tag.toLowerCase().split("-")[0]).find((tag) => tag in TEXTS) || "en";
  document.documentElement.lang = language === "zh" ? "zh-Hans" : language;
}

export function currentLanguage() {
  return language;
}

/** The text called `name`, with `values` in the places of its `{names}`. */
export function t(name, values = {}) {
  const text = TEXTS[language][name] ?? en[name];
  if (text === undefined) throw new Error(`there is no text called ${name}`);
  return text.replace(/\{(\w+)\}/g, (_, value) => (typeof values[value] === "number" ? number(values[value]) : values[value]));
}

/** A number as the language writes it. */
export function number(value, digits = 0) {
  return value.toLocaleString(language, { maximumFractionDigits: digits, minimumFractionDigits: digits });
}
