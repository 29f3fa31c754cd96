// The page's state and what changes it, apart from conversations (chats.js) and answers (chat.js). Knows no view.
import * as api from "./api.js";
import { setLanguage, t } from "./i18n.js";
import { defaultSettings, readSettings, writeSettings } from "./settings.js";
import { createStore } from "./store.js";

const NARROW = matchMedia("(max-width: 48rem)");

export const store = createStore({
  /** Those that have messages, the latest first. */
  conversations: [],
  /** The one that is not in the list yet, as it has no message. */
  fresh: null,
  /** Id of the conversation on the screen. */
  current: "",
  /** Ids of the conversations that are being answered. */
  running: new Set(),
  models: [],
  settings: readSettings(),
  query: "",
  /** Whether the list of chats is shown. */
  drawer: !NARROW.matches,
  narrow: NARROW.matches,
  /** The open dialog: `{ kind: "settings" | "shortcuts" | "key" | "confirm", … }`. */
  dialog: null,
  /** The message that is being edited, by its index. */
  editing: -1,
  notice: "",
  /** What a screen reader is told; `turn` tells two that are alike apart. */
  status: { text: "", turn: 0 },
});

NARROW.addEventListener("change", ({ matches }) => store.set({ narrow: matches, drawer: !matches }));

export const app = {
  /** Tells a screen reader. */
  say: (text) => store.set({ status: { text, turn: store.get().status.turn + 1 } }),
  /** Tells everybody, until it is dismissed. */
  notice: (notice) => store.set({ notice }),
  open: (dialog) => store.set({ dialog }),
  close: () => store.set({ dialog: null }),
  toggleDrawer: () => store.set({ drawer: !store.get().drawer }),

  changeSettings(patch) {
    const settings = { ...store.get().settings, ...patch };
    writeSettings(settings);
    applyLook(settings);
    store.set({ settings });
  },

  /** Sampling as it was at first. */
  resetSampling() {
    const { sampling, stop, thinking } = defaultSettings();
    app.changeSettings({ sampling, stop, thinking });
  },

  async loadModels() {
    try {
      store.set({ models: await api.models() });
    } catch (error) {
      if (error.kind === "key") app.askKey(app.loadModels);
      else app.notice(`${t("modelsFailed")} ${describe(error)}`);
    }
  },

  /** Finds out how long the context of a model is, which has answered and so is loaded. */
  async measureContext(id) {
    if (store.get().models.find((model) => model.id === id)?.context !== 0) return;
    const context = await api.context(id).catch(() => 0);
    store.set({ models: store.get().models.map((model) => (model.id === id ? { ...model, context } : model)) });
  },

  /** Asks for the key, and does `again` once there is one. */
  askKey(again) {
    const { dialog } = store.get();
    // Two requests may be refused at once: one question is enough.
    const pending = dialog?.kind === "key" ? dialog.pending : [];
    app.open({ kind: "key", refused: Boolean(api.key.get()), pending: pending.includes(again) ? pending : [...pending, again] });
  },

  useKey(key) {
    const { pending = [] } = store.get().dialog ?? {};
    api.key.set(key);
    app.close();
    for (const again of pending) again();
    if (!pending.includes(app.loadModels)) app.loadModels();
  },

  forgetKey() {
    api.key.set("");
    app.notice(t("keyForgotten"));
  },
};

/** The model that answers: the chosen one while it is served, else the first. */
export function chosenModel({ models, settings }) {
  return models.find(({ id }) => id === settings.model) ?? models[0] ?? { id: "", context: 0 };
}

export function applyLook({ theme, language }) {
  setLanguage(language);
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

/** Why something failed, in the reader's language; the server's own words where it said any. */
export function describe(error) {
  if (error.message && error.kind !== "key") return error.message;
  switch (error.kind) {
    case "network": return t("problemNetwork");
    case "broken": return t("problemBroken");
    case "garbled": return t("problemGarbled");
    case "key": return t("problemKey");
    case "refused": return t("problemStatus", { status: String(error.status) });
    default: return String(error);
  }
}
