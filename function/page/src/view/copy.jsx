// A button that copies a text and says that it did.
import { useEffect, useState } from "preact/hooks";

import { t } from "../i18n.js";
import { app } from "../app.js";
import { Icon } from "./icons.jsx";

export function CopyButton({ text, label, words = false }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = setTimeout(() => setCopied(false), 2000);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    const done = await copyText(text);
    setCopied(done);
    if (done) app.say(t("copied"));
    else app.notice(t("copyFailed"));
  };
  return (
    <button type="button" class="quiet" onClick={copy} aria-label={label} title={label}>
      <Icon name={copied ? "check" : "copy"} />
      {words && <span>{copied ? t("copied") : t("copy")}</span>}
    </button>
  );
}

/** Whether it is copied. Without TLS a browser has no clipboard to write to: then what is selected in a field can still be copied. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { /* the older way is tried */ }
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "unseen";
  const focused = document.activeElement;
  document.body.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  focused?.focus();
  return copied;
}
