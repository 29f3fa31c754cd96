// The dialogs; one is open at a time.
import { useEffect, useRef } from "preact/hooks";

import { app } from "../app.js";
import { t } from "../i18n.js";
import { SHORTCUTS } from "../keys.js";
import { Icon } from "./icons.jsx";
import { Settings } from "./settings.jsx";

export function Dialogs({ state }) {
  const { dialog } = state;
  switch (dialog?.kind) {
    case "settings": return <Dialog title={t("settings")}><Settings state={state} /></Dialog>;
    case "shortcuts": return <Dialog title={t("shortcuts")}><Shortcuts /></Dialog>;
    case "key": return <Dialog title={t("keyTitle")}><Key refused={dialog.refused} /></Dialog>;
    case "confirm": return <Dialog title={dialog.question} role="alertdialog"><Confirm {...dialog} /></Dialog>;
    default: return null;
  }
}

function Dialog({ title, role, children }) {
  const element = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    element.current.showModal();
    return () => {
      if (before?.isConnected) before.focus();
    };
  }, []);
  // By the browser, which says so only later, and at once to the page, whose shortcuts count again.
  const close = () => {
    element.current.close();
    app.close();
  };
  const cancel = (event) => {
    // A choice of files within it is given up by the same event.
    if (event.target !== element.current) return;
    event.preventDefault();
    close();
  };
  // Said of a dialog that is gone, it would close the next.
  const closed = () => element.current && app.close();
  // A press beside the dialog lands on the dialog itself, as its backdrop.
  const beside = ({ target }) => target === element.current && close();
  return (
    <dialog ref={element} role={role} aria-labelledby="dialog-title" onCancel={cancel} onClose={closed} onMouseDown={beside}>
      <div class="dialog">
        <div class="top">
          <h2 id="dialog-title">{title}</h2>
          <button type="button" class="quiet" onClick={close} aria-label={t("close")} title={t("close")}><Icon name="close" /></button>
        </div>
        {children}
      </div>
    </dialog>
  );
}

function Confirm({ consequence, action, confirmed }) {
  const confirm = () => {
    app.close();
    confirmed();
  };
  return (
    <>
      <p>{consequence}</p>
      <div class="buttons">
        <button type="button" onClick={app.close} autofocus>{t("cancel")}</button>
        <button type="button" class="danger" onClick={confirm}>{action}</button>
      </div>
    </>
  );
}

function Shortcuts() {
  return (
    <>
      <table class="shortcuts">
        <tbody>
          {SHORTCUTS.map(([keys, text]) => (
            <tr key={text}>
              <th scope="row">{t(text)}</th>
              <td>{keys.map((key) => <kbd key={key}>{key}</kbd>)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p class="note"><a href="/licences.txt" target="_blank" rel="noopener noreferrer">{t("about")}</a></p>
    </>
  );
}

function Key({ refused }) {
  const field = useRef(null);
  const submit = (event) => {
    event.preventDefault();
    const key = field.current.value.trim();
    if (key) app.useKey(key);
  };
  return (
    <form onSubmit={submit}>
      {refused && <p class="problem" role="alert">{t("keyRefused")}</p>}
      <label class="field">
        <span>{t("keyLabel")}</span>
        <input ref={field} type="password" autocomplete="off" spellcheck={false} aria-describedby="key-note" autofocus required />
      </label>
      <p class="note" id="key-note">{t("keyNote")}</p>
      <div class="buttons">
        <button type="button" onClick={app.close}>{t("cancel")}</button>
        <button type="submit" class="primary">{t("keyUse")}</button>
      </div>
    </form>
  );
}
