// Conversations as the browser keeps them, each under a name of its own, and as a file.
import { local } from "./storage.js";

const PREFIX = "hearth.conversation.";
const FORMAT = "hearth-conversations";
const VERSION = 1;
const TITLE_LENGTH = 60;

/** Bytes of a file that is imported: more than any browser keeps. */
export const MAX_IMPORT_BYTES = 32 << 20;

export function newConversation(system) {
  const now = Date.now();
  return { id: crypto.randomUUID?.() ?? randomId(), title: "", created: now, updated: now, system, messages: [] };
}

// Without TLS a browser has no randomUUID.
function randomId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** All that are kept, the latest first. */
export function readAll() {
  return local.names(PREFIX).map(read).filter(Boolean).sort(latestFirst);
}

function read(name) {
  const conversation = cleanConversation(local.get(name));
  return conversation && name === PREFIX + conversation.id ? conversation : null;
}

/** The conversation whose record is called `name`; null where that is no conversation or it is gone. */
export function readRecord(name) {
  return name?.startsWith(PREFIX) ? read(name) : null;
}

export function isRecord(name) {
  return Boolean(name?.startsWith(PREFIX));
}

export function idOfRecord(name) {
  return name.slice(PREFIX.length);
}

/** Whether there was room to keep it. */
export function write(conversation) {
  return local.set(PREFIX + conversation.id, conversation);
}

export function remove(id) {
  local.remove(PREFIX + id);
}

export function latestFirst(one, other) {
  return other.updated - one.updated;
}

/** The title, or the first words of the first message. */
export function titleOf({ title, messages }) {
  if (title) return title;
  const first = messages.find(({ role }) => role === "user");
  const line = (first?.content || first?.files[0]?.name || "").trim().split("\n")[0];
  const characters = [...line];
  return characters.length > TITLE_LENGTH ? `${characters.slice(0, TITLE_LENGTH).join("").trimEnd()}…` : line;
}

/** Those in which every word of `query` is found, each with some text around the place that has most of them, unless that is the title. */
export function search(conversations, query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return conversations.map((conversation) => ({ conversation, excerpt: "" }));
  const found = [];
  for (const conversation of conversations) {
    const texts = [titleOf(conversation), ...conversation.messages.map(({ content }) => content)];
    const places = texts.map((text) => words.map((word) => text.toLowerCase().indexOf(word)));
    if (!words.every((_, word) => places.some((place) => place[word] >= 0))) continue;
    const hits = places.map((place) => place.filter((at) => at >= 0));
    const best = hits.reduce((best, hit, index) => (hit.length > hits[best].length ? index : best), 0);
    found.push({ conversation, excerpt: best === 0 ? "" : excerpt(texts[best], Math.min(...hits[best])) });
  }
  return found;
}

function excerpt(text, place) {
  const start = Math.max(0, place - 24);
  return (start > 0 ? "…" : "") + text.slice(start, start + 90);
}

/** A file of conversations. */
export function toFile(conversations) {
  return JSON.stringify({ format: FORMAT, version: VERSION, exported: new Date().toISOString(), conversations }, null, 1);
}

/** The conversations of a file; null where it is none of this kind. */
export function fromFile(text) {
  try {
    const { format, version, conversations } = JSON.parse(text);
    if (format !== FORMAT || version !== VERSION || !Array.isArray(conversations)) return null;
    return conversations.map(cleanConversation).filter(Boolean);
  } catch {
    return null;
  }
}

/** A value of any origin as a conversation, or null. What it has beyond one is left out. */
export function cleanConversation(value) {
  if (!value || typeof value !== "object" || typeof value.id !== "string" || !/^[\w-]{1,64}$/.test(value.id) || !Array.isArray(value.messages)) return null;
  const time = (number) => (Number.isFinite(number) ? number : 0);
  return {
    id: value.id,
    title: text(value.title),
    created: time(value.created),
    updated: time(value.updated),
    system: text(value.system),
    messages: value.messages.map(cleanMessage).filter(Boolean),
  };
}

function cleanMessage(value) {
  if (!value || typeof value !== "object" || typeof value.content !== "string") return null;
  if (value.role === "user") {
    const files = (Array.isArray(value.files) ? value.files : []).filter((file) => typeof file?.name === "string" && typeof file.text === "string");
    return { role: "user", content: value.content, files: files.map(({ name, text }) => ({ name, text })) };
  }
  if (value.role !== "assistant") return null;
  const tools = (Array.isArray(value.tools) ? value.tools : []).map((tool) => ({ name: text(tool?.name), arguments: text(tool?.arguments) }));
  const counts = value.counts && typeof value.counts === "object" ? value.counts : {};
  const count = (name) => (Number.isFinite(counts[name]) ? counts[name] : 0);
  return {
    role: "assistant",
    content: value.content,
    reasoning: text(value.reasoning),
    tools,
    model: text(value.model),
    finish: text(value.finish),
    problem: text(value.problem),
    counts: { tokens: count("tokens"), prompt: count("prompt"), cached: count("cached"), speed: count("speed"), wait: count("wait") },
  };
}

function text(value) {
  return typeof value === "string" ? value : "";
}
