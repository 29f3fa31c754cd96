// The browser's storage, which may be full, forbidden (a private window) or written by somebody else: nothing here throws.

/** A key-value store of JSON values below `area`, with `memory` where the browser gives none. */
function open(area) {
  let storage = null;
  try {
    storage = window[area];
  } catch { /* forbidden: this tab's memory must do */ }
  const memory = new Map();
  return {
    /** The value of `name`; undefined where there is none or it is no JSON. */
    get(name) {
      try {
        return JSON.parse(memory.get(name) ?? storage?.getItem(name) ?? "") ?? undefined;
      } catch {
        return undefined;
      }
    },
    /** Whether `value` is kept beyond this tab; without room it stays in memory. */
    set(name, value) {
      const text = JSON.stringify(value);
      try {
        if (!storage) throw new Error("no storage");
        storage.setItem(name, text);
        memory.delete(name);
        return true;
      } catch {
        memory.set(name, text);
        return false;
      }
    },
    remove(name) {
      memory.delete(name);
      try {
        storage?.removeItem(name);
      } catch { /* as above */ }
    },
    /** Every name that starts with `prefix`. */
    names(prefix) {
      const names = new Set(memory.keys());
      try {
        for (let index = 0; storage && index < storage.length; index++) names.add(storage.key(index));
      } catch { /* as above */ }
      return [...names].filter((name) => name.startsWith(prefix));
    },
  };
}

/** Kept until the reader clears it. */
export const local = open("localStorage");
/** Kept as long as the tab. */
export const session = open("sessionStorage");
