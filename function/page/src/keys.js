// The page's shortcuts. Those of a field or a dialog are its own.
import { app, store } from "./app.js";
import { stop } from "./chat.js";
import { create, current } from "./chats.js";

const APPLE = /Mac|iPhone|iPad/.test(navigator.platform);
const COMMAND = APPLE ? "⌘" : "Ctrl";

/** What the list of shortcuts shows: keys, and the name of the text that says what they do. */
export const SHORTCUTS = [
  [["Enter"], "keySend"],
  [["Shift", "Enter"], "keyLine"],
  [["Esc"], "keyStop"],
  [["↑"], "keyEditLast"],
  [[COMMAND, "Shift", "O"], "keyNew"],
  [[COMMAND, "K"], "keySearch"],
  [["Shift", "Esc"], "keyFocus"],
  [[COMMAND, "/"], "keyHelp"],
];

export function focusMessage() {
  document.getElementById("message")?.focus();
}

export function listen() {
  addEventListener("keydown", (event) => {
    if (event.isComposing || store.get().dialog) return;
    const command = APPLE ? event.metaKey : event.ctrlKey;
    if (event.key === "Escape" && event.shiftKey) {
      focusMessage();
    } else if (event.key === "Escape" && !event.defaultPrevented) {
      escape();
    } else if (command && event.shiftKey && event.code === "KeyO") {
      create();
    } else if (command && !event.shiftKey && event.code === "KeyK") {
      store.set({ drawer: true });
      requestAnimationFrame(() => document.getElementById("search")?.focus());
    } else if (command && event.key === "/") {
      app.open({ kind: "shortcuts" });
    } else {
      return;
    }
    event.preventDefault();
  });
}

function escape() {
  const { drawer, narrow, running } = store.get();
  if (drawer && narrow) {
    store.set({ drawer: false });
    requestAnimationFrame(() => document.getElementById("drawer")?.focus());
  } else if (running.has(current().id)) {
    stop(current().id);
  }
}

/** Last message of the reader, for the field's arrow up. */
export function editLast() {
  const { messages } = current();
  const editing = messages.findLastIndex(({ role }) => role === "user");
  if (editing >= 0) store.set({ editing });
  return editing >= 0;
}
