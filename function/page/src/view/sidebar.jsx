// The list of chats.
import { useEffect, useRef, useState } from "preact/hooks";

import { app, store } from "../app.js";
import { discard, stopAll } from "../chat.js";
import { create, exportFile, importFile, removeAll, rename, show } from "../chats.js";
import { search, titleOf } from "../conversations.js";
import { t } from "../i18n.js";
import { Icon } from "./icons.jsx";

export function Sidebar({ state }) {
  const { conversations, current, narrow, query, running } = state;
  const [renaming, setRenaming] = useState("");
  const found = search(conversations, query);
  const first = useRef(null);
  // Over the page, the list takes the focus that the page under it loses.
  useEffect(() => {
    if (narrow) first.current.focus();
  }, [narrow]);
  return (
    <nav class="sidebar" aria-label={t("chats")}>
      <div class="top">
        <p class="brand"><Flame />Hearth</p>
        {narrow && <button type="button" class="quiet" onClick={app.toggleDrawer} aria-label={t("hideChats")} title={t("hideChats")}><Icon name="close" /></button>}
      </div>
      <button ref={first} type="button" class="new" onClick={create}><Icon name="plus" />{t("newChat")}</button>
      <div class="search">
        <Icon name="search" />
        <input id="search" type="search" aria-label={t("search")} placeholder={t("search")} value={query} onInput={({ target }) => store.set({ query: target.value })} />
      </div>
      <ul class="chats">
        {found.map(({ conversation, excerpt }) => (
          <li key={conversation.id} class={conversation.id === current ? "current" : undefined}>
            {renaming === conversation.id
              ? <Renamed conversation={conversation} done={() => setRenaming("")} />
              : (
                <Entry
                  conversation={conversation}
                  excerpt={excerpt}
                  current={conversation.id === current}
                  running={running.has(conversation.id)}
                  onRename={() => setRenaming(conversation.id)}
                />
              )}
          </li>
        ))}
      </ul>
      {!found.length && <p class="none">{query ? t("nothingFound") : t("noChats")}</p>}
      <Foot conversations={conversations} />
    </nav>
  );
}

function Flame() {
  return (
    <svg class="flame" viewBox="0 0 32 32" width="22" height="22" aria-hidden="true" focusable="false">
      <path class="outer" d="M16 2c1 5 8 8.5 8 17a8 9 0 0 1-16 1c0-4.5 3-6.5 3.5-10.5 2 1 3 3 3.3 5C16.5 11.5 17 7 16 2z" />
      <path class="inner" d="M16 17c.5 2.5 4 3.5 4 7a4 4 0 0 1-8 0c0-2 1.5-3 2-5 1 .5 1.2 1 1.4 2 .6-1 .8-2.5.6-4z" />
    </svg>
  );
}

function Entry({ conversation, excerpt, current, running, onRename }) {
  const title = titleOf(conversation);
  const confirm = () => app.open({
    kind: "confirm", question: t("deleteQuestion"), consequence: t("deleteConsequence", { title }), action: t("delete"), confirmed: () => discard(conversation.id),
  });
  const button = (icon, label, onClick) => <button type="button" class="quiet" onClick={onClick} aria-label={label} title={label}><Icon name={icon} /></button>;
  return (
    <>
      <button type="button" class="chat" aria-current={current ? "page" : undefined} onClick={() => show(conversation.id)}>
        <span class="title">{title}</span>
        {excerpt && <span class="excerpt">{excerpt}</span>}
        {running && <span class="pulse" role="img" aria-label={t("answering")} />}
      </button>
      <span class="actions">
        {button("pencil", t("renameThis", { title }), onRename)}
        {button("download", t("exportThis", { title }), () => exportFile([conversation]))}
        {button("trash", t("deleteThis", { title }), confirm)}
      </span>
    </>
  );
}

/** An entry whose title is being written. */
function Renamed({ conversation, done }) {
  const field = useRef(null);
  const leaving = useRef(false);
  useEffect(() => field.current.select(), []);
  const leave = (save) => {
    // Removing the field from the page blurs it once more.
    if (leaving.current) return;
    leaving.current = true;
    if (save) rename(conversation.id, field.current.value);
    done();
  };
  const key = (event) => {
    if (event.isComposing || !["Enter", "Escape"].includes(event.key)) return;
    event.preventDefault();
    leave(event.key === "Enter");
  };
  return <input ref={field} class="rename" aria-label={t("newTitle")} maxLength={200} defaultValue={titleOf(conversation)} onKeyDown={key} onBlur={() => leave(true)} />;
}

function Foot({ conversations }) {
  const file = useRef(null);
  const take = async ({ target }) => {
    if (target.files.length) await importFile(target.files[0]);
    target.value = "";
  };
  const confirm = () => app.open({
    kind: "confirm",
    question: t("deleteAllQuestion"),
    consequence: t("deleteAllConsequence", { count: conversations.length }),
    action: t("deleteAll"),
    confirmed: () => {
      stopAll();
      removeAll();
    },
  });
  const none = !conversations.length;
  const button = (icon, label, onClick, disabled) => (
    <button type="button" class="quiet" onClick={onClick} disabled={disabled} aria-label={label} title={label}><Icon name={icon} /></button>
  );
  return (
    <div class="foot">
      {button("download", t("exportAll"), () => exportFile(conversations), none)}
      {button("upload", t("import"), () => file.current.click())}
      {button("trash", t("deleteAll"), confirm, none)}
      {button("keyboard", t("shortcuts"), () => app.open({ kind: "shortcuts" }))}
      <input ref={file} type="file" accept="application/json,.json" hidden onChange={take} />
    </div>
  );
}
