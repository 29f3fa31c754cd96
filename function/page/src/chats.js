// The conversations on the page: chosen, changed, kept, exported and imported.
import { app, store } from "./app.js";
import * as kept from "./conversations.js";
import { t } from "./i18n.js";
import { session } from "./storage.js";

const CURRENT = "hearth.current";

/** Reads what is kept and shows what this tab showed last. */
export function start() {
  const conversations = kept.readAll();
  const shown = conversations.find(({ id }) => id === session.get(CURRENT));
  const fresh = kept.newConversation(store.get().settings.system);
  store.set({ conversations, fresh });
  show(shown?.id ?? fresh.id);
  addEventListener("storage", ({ key }) => follow(key));
}

/** Another tab kept or removed a conversation. */
function follow(record) {
  if (record === null) {
    store.set({ conversations: store.get().conversations.filter(({ id }) => store.get().running.has(id)) });
  } else if (kept.isRecord(record)) {
    const id = kept.idOfRecord(record);
    if (store.get().running.has(id)) return;
    const others = store.get().conversations.filter((conversation) => conversation.id !== id);
    const changed = kept.readRecord(record);
    store.set({ conversations: changed ? [...others, changed].sort(kept.latestFirst) : others });
  } else {
    return;
  }
  if (!find(store.get().current)) create();
}

export function find(id) {
  const { conversations, fresh } = store.get();
  return fresh?.id === id ? fresh : conversations.find((conversation) => conversation.id === id);
}

export function current() {
  return find(store.get().current);
}

/** A new conversation on the screen. */
export function create() {
  const fresh = kept.newConversation(store.get().settings.system);
  store.set({ fresh });
  show(fresh.id);
}

export function show(id) {
  session.set(CURRENT, id);
  const { narrow, drawer } = store.get();
  store.set({ current: id, editing: -1, drawer: drawer && !narrow });
}

/** Changes a conversation and keeps it; `keep: false` leaves the keeping for later. One that is gone stays gone. */
export function change(id, patch, { keep = true } = {}) {
  const before = find(id);
  if (!before) return;
  const after = { ...before, ...patch };
  const { conversations, fresh } = store.get();
  if (fresh?.id === id && !after.messages.length) {
    store.set({ fresh: after });
    return;
  }
  const others = conversations.filter((conversation) => conversation.id !== id);
  store.set({ conversations: [...others, after].sort(kept.latestFirst), fresh: fresh?.id === id ? null : fresh });
  if (keep && !kept.write(after)) app.notice(t("storageFull"));
}

export function rename(id, title) {
  change(id, { title: title.trim() });
}

export function remove(id) {
  kept.remove(id);
  store.set({ conversations: store.get().conversations.filter((conversation) => conversation.id !== id) });
  if (store.get().current === id) create();
}

export function removeAll() {
  for (const { id } of store.get().conversations) kept.remove(id);
  store.set({ conversations: [] });
  create();
}

/** Hands the reader a file of `conversations`. */
export function exportFile(conversations) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([kept.toFile(conversations)], { type: "application/json" }));
  link.download = `hearth-${new Date().toISOString().slice(0, 10)}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Takes up the conversations of a file. Of two with one id the later counts, so that a file may be imported twice. */
export async function importFile(file) {
  if (file.size > kept.MAX_IMPORT_BYTES) {
    app.notice(t("importTooLarge", { name: file.name }));
    return;
  }
  const imported = kept.fromFile(await file.text());
  if (!imported) {
    app.notice(t("importFailed", { name: file.name }));
    return;
  }
  const { running } = store.get();
  const newer = imported.filter(({ id, updated }) => !running.has(id) && !(find(id)?.updated >= updated));
  const ids = new Set(newer.map(({ id }) => id));
  const others = store.get().conversations.filter(({ id }) => !ids.has(id));
  store.set({ conversations: [...others, ...newer].sort(kept.latestFirst) });
  const room = newer.map(kept.write).every(Boolean);
  app.notice(room ? t("imported", { count: newer.length }) : t("storageFull"));
}
