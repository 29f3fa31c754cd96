// The chat page: one conversation, kept in this tab, streamed from /v1/chat/completions. A model's text only ever becomes text nodes.
"use strict";

const KEY = "hearth.conversation";
const at = (id) => document.getElementById(id);
const log = at("log"), input = at("input"), send = at("send"), stop = at("stop"), model = at("model");

let messages = restore();
let request = null;

function restore() {
  try {
    const saved = JSON.parse(sessionStorage.getItem(KEY));
    return Array.isArray(saved) ? saved.filter((m) => typeof m?.role === "string" && typeof m?.content === "string") : [];
  } catch { return []; }
}

function keep() {
  try { sessionStorage.setItem(KEY, JSON.stringify(messages)); } catch { /* private window or full: the tab still has it */ }
}

function show(kind, text) {
  const element = document.createElement(kind === "user" || kind === "assistant" ? "article" : "p");
  element.className = kind;
  element.textContent = text;
  log.append(element);
  log.scrollTop = log.scrollHeight;
  return element;
}

function busy(on) {
  send.hidden = on;
  stop.hidden = !on;
  model.disabled = on;
}

// The data of each server-sent event, as they arrive.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) if (part.startsWith("data: ")) yield part.slice(6);
  }
}

async function problem(response) {
  const fallback = `The server answered ${response.status}.`;
  try { return (await response.json()).error.message || fallback; } catch { return fallback; }
}

async function answer() {
  const controller = request = new AbortController();
  const element = show("assistant", "");
  const text = document.createTextNode("");
  element.append(text);
  element.classList.add("busy");
  element.setAttribute("aria-busy", "true");
  busy(true);
  let note = null, bad = false, whole = false;
  try {
    const response = await fetch("/v1/chat/completions", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: model.value || undefined, messages, stream: true, temperature: 0.6 }),
      signal: controller.signal,
    });
    if (!response.ok) throw new Error(await problem(response));
    for await (const data of events(response.body)) {
      if (controller !== request) return;
      if (data === "[DONE]") { whole = true; break; }
      const event = JSON.parse(data);
      if (event.error) throw new Error(event.error.message);
      const choice = event.choices[0];
      if (choice?.delta?.content) {
        const near = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
        text.appendData(choice.delta.content);
        if (near) log.scrollTop = log.scrollHeight;
      }
      if (choice?.finish_reason === "length") note = "The answer reached its longest length.";
    }
    if (!whole) throw new Error("The connection broke off before the end of the answer.");
  } catch (error) {
    bad = error.name !== "AbortError";
    note = bad ? error.message : "Stopped.";
  } finally {
    element.classList.remove("busy");
    element.removeAttribute("aria-busy");
    if (controller === request) {
      request = null;
      busy(false);
      if (text.data) { messages.push({ role: "assistant", content: text.data }); } else { element.remove(); }
      if (note) show(bad ? "note error" : "note", note);
      keep();
      input.focus();
    }
  }
}

at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const content = input.value.trim();
  if (!content || request) return;
  // A message whose answer failed is asked again together with the new one: two of a person's turns in a row confuse a template.
  const last = messages.at(-1);
  if (last?.role === "user") last.content += "\n" + content; else messages.push({ role: "user", content });
  show("user", content);
  keep();
  input.value = "";
  answer();
});

input.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    at("form").requestSubmit();
  }
});

stop.addEventListener("click", () => request?.abort());

at("clear").addEventListener("click", () => {
  request?.abort();
  request = null;
  busy(false);
  messages = [];
  keep();
  log.replaceChildren();
  input.focus();
});

async function models() {
  try {
    const { data } = await (await fetch("/v1/models")).json();
    model.replaceChildren(...data.map(({ id }) => new Option(id, id)));
  } catch { /* the default model answers without the list */ }
  if (!model.options.length) model.append(new Option("default", ""));
}

for (const { role, content } of messages) show(role === "user" ? "user" : "assistant", content);
busy(false);
models();
