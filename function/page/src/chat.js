// The course of a conversation: a message is sent, answered, stopped, edited, answered again.
import { add, count, newAnswer } from "./answer.js";
import * as api from "./api.js";
import { app, chosenModel, describe, store } from "./app.js";
import { change, find, remove } from "./chats.js";
import { write } from "./conversations.js";
import { t } from "./i18n.js";
import { request } from "./prompt.js";

/** How often an answer is drawn, and how often it is kept, in milliseconds. */
const DRAW_EVERY = 60;
const KEEP_EVERY = 1000;
/** A screen reader is not read more of an answer than this; the rest is on the page. */
const SAID = 2000;

const controllers = new Map();

/** Sends a message with files, `{ name, text }`, and gets the answer. */
export function send(id, content, files) {
  const conversation = find(id);
  if (!conversation || controllers.has(id)) return;
  change(id, { updated: Date.now(), messages: [...conversation.messages, { role: "user", content, files }] });
  answer(id);
}

/** Replaces the message at `index`; what follows is cut off and answered anew. */
export function edit(id, index, content) {
  const conversation = find(id);
  if (controllers.has(id) || conversation?.messages[index]?.role !== "user") return;
  const message = { ...conversation.messages[index], content };
  store.set({ editing: -1 });
  change(id, { updated: Date.now(), messages: [...conversation.messages.slice(0, index), message] });
  answer(id);
}

/** Makes the answer at `index`, the last, again. */
export function regenerate(id, index) {
  const conversation = find(id);
  if (controllers.has(id) || conversation?.messages[index]?.role !== "assistant") return;
  change(id, { messages: conversation.messages.slice(0, index) });
  answer(id);
}

export function stop(id) {
  controllers.get(id)?.abort();
}

/** Stops what is being answered and removes the conversation. */
export function discard(id) {
  stop(id);
  remove(id);
}

export function stopAll() {
  for (const controller of controllers.values()) controller.abort();
}

async function answer(id) {
  const controller = new AbortController();
  controllers.set(id, controller);
  store.set({ running: new Set(controllers.keys()) });
  app.say(t("answering"));
  const { messages } = find(id);
  const model = chosenModel(store.get()).id;
  const body = request(find(id), store.get().settings, model);
  const reply = newAnswer(model);
  const draw = (keep) => change(id, { messages: [...messages, { ...message(reply), live: true }] }, { keep });
  draw(false);
  let timer = 0;
  let keptAt = 0;
  const later = () => {
    timer ||= setTimeout(() => {
      timer = 0;
      const keep = performance.now() - keptAt > KEEP_EVERY;
      if (keep) keptAt = performance.now();
      draw(keep);
    }, DRAW_EVERY);
  };
  let again = null;
  try {
    for await (const chunk of api.chat(body, id, controller.signal)) {
      add(reply, chunk);
      later();
    }
    app.measureContext(model);
  } catch (error) {
    if (error.name === "AbortError") {
      reply.finish = "stopped";
    } else {
      reply.problem = describe(error);
      if (error.kind === "key") again = () => regenerate(id, messages.length);
    }
  }
  clearTimeout(timer);
  controllers.delete(id);
  store.set({ running: new Set(controllers.keys()) });
  change(id, { updated: Date.now(), messages: [...messages, message(reply)] });
  if (again) app.askKey(again);
  else app.say(reply.problem || (reply.finish === "stopped" ? t("stopped") : t("answered", { text: reply.content.slice(0, SAID) })));
}

/** An answer as a message of a conversation. */
function message(reply) {
  const { role, content, reasoning, tools, model, finish = "", problem = "" } = reply;
  return { role, content, reasoning, tools: [...tools], model, finish, problem, counts: count(reply) };
}

// A tab that closes keeps what it has of its answers.
addEventListener("pagehide", () => {
  for (const id of controllers.keys()) {
    const conversation = find(id);
    if (conversation) write(conversation);
  }
});
