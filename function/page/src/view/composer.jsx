// Where a message is written, with files, and how much of the context is used.
import { useEffect, useRef, useState } from "preact/hooks";

import { chosenModel } from "../app.js";
import { send, stop } from "../chat.js";
import { readFiles } from "../files.js";
import { number, t } from "../i18n.js";
import { editLast } from "../keys.js";
import { Icon } from "./icons.jsx";

/** What was written and not sent, by conversation: another chat or language does not lose it. */
const drafts = new Map();

export function Composer({ state, conversation }) {
  const { id } = conversation;
  const { context } = chosenModel(state);
  const [draft, setDraft] = useState(() => drafts.get(id) ?? { text: "", files: [] });
  const [dropping, setDropping] = useState(false);
  const field = useRef(null);
  const picker = useRef(null);
  const busy = state.running.has(id);
  const empty = !draft.text.trim() && !draft.files.length;

  // Files are read in their own time; what was written meanwhile stays.
  const change = (patch) => setDraft((before) => {
    const after = { ...before, ...patch };
    drafts.set(id, after);
    return after;
  });
  const take = async (list) => {
    const files = await readFiles(list, drafts.get(id)?.files ?? []);
    change({ files });
    field.current?.focus();
  };
  useEffect(() => dropZone(setDropping, take), [id]);

  const submit = (event) => {
    event?.preventDefault();
    if (busy || empty) return;
    send(id, draft.text.trim(), draft.files);
    change({ text: "", files: [] });
    field.current.focus();
  };
  const key = (event) => {
    // Enter also ends a word of an input method.
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Enter" && !event.shiftKey) submit(event);
    else if (event.key === "ArrowUp" && empty && !busy && editLast()) event.preventDefault();
  };

  return (
    <form class="composer" onSubmit={submit}>
      {dropping && <p class="drop">{t("dropFiles")}</p>}
      {draft.files.length > 0 && (
        <ul class="files">
          {draft.files.map((file) => (
            <File key={file} name={file.name} remove={() => change({ files: draft.files.filter((other) => other !== file) })} />
          ))}
        </ul>
      )}
      <textarea
        ref={field}
        id="message"
        rows={Math.min(8, draft.text.split("\n").length)}
        enterkeyhint="send"
        aria-label={t("message")}
        placeholder={t("messagePlaceholder")}
        value={draft.text}
        onInput={({ target }) => change({ text: target.value })}
        onKeyDown={key}
      />
      <div class="bar">
        <button type="button" class="quiet" onClick={() => picker.current.click()} aria-label={t("attach")} title={t("attach")}><Icon name="attach" /></button>
        <input ref={picker} type="file" multiple hidden onChange={({ target }) => take([...target.files]).then(() => { target.value = ""; })} />
        <ContextUse conversation={conversation} size={context} />
        {busy
          ? <button type="button" class="primary round" onClick={() => stop(id)} aria-label={t("stop")} title={t("stop")}><Icon name="stop" /></button>
          : <button type="submit" class="primary round" disabled={empty} aria-label={t("send")} title={t("send")}><Icon name="send" /></button>}
      </div>
    </form>
  );
}

function File({ name, remove }) {
  const label = t("removeFile", { name });
  return (
    <li>
      <Icon name="file" /><span>{name}</span>
      <button type="button" class="quiet" onClick={remove} aria-label={label} title={label}><Icon name="close" /></button>
    </li>
  );
}

/** Files dropped anywhere on the page go to the message. Returns what undoes it. */
function dropZone(setDropping, take) {
  const withFiles = ({ dataTransfer }) => dataTransfer?.types.includes("Files");
  const over = (event) => {
    if (!withFiles(event)) return;
    event.preventDefault();
    setDropping(true);
  };
  const leave = (event) => {
    // Only leaving the window has nowhere that it goes to.
    if (!event.relatedTarget) setDropping(false);
  };
  const drop = (event) => {
    if (!withFiles(event)) return;
    event.preventDefault();
    setDropping(false);
    take([...event.dataTransfer.files]);
  };
  const handlers = { dragover: over, dragleave: leave, drop };
  for (const [name, handler] of Object.entries(handlers)) addEventListener(name, handler);
  return () => {
    for (const [name, handler] of Object.entries(handlers)) removeEventListener(name, handler);
  };
}

/** Tokens of the conversation as the server counted them last. */
function ContextUse({ conversation: { messages }, size }) {
  const counted = messages.findLast(({ role, counts }) => role === "assistant" && counts.prompt);
  if (!counted) return <span class="context" />;
  const used = counted.counts.prompt + counted.counts.tokens;
  const text = size ? t("contextOf", { used, size }) : t("contextUsed", { used });
  return (
    <span class="context" title={text}>
      {size > 0 && <meter min={0} max={size} high={size * 0.8} optimum={0} value={Math.min(used, size)} aria-label={t("contextUse")}>{text}</meter>}
      <span>{size ? `${number(used)} / ${number(size)}` : text}</span>
    </span>
  );
}
