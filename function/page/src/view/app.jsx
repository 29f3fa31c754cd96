// The page as a whole.
import { useEffect } from "preact/hooks";

import { app, store } from "../app.js";
import { current } from "../chats.js";
import { titleOf } from "../conversations.js";
import { currentLanguage, t } from "../i18n.js";
import { focusMessage } from "../keys.js";
import { useStore } from "../store.js";
import { Composer } from "./composer.jsx";
import { Dialogs } from "./dialogs.jsx";
import { Header } from "./header.jsx";
import { Icon } from "./icons.jsx";
import { Log } from "./log.jsx";
import { Sidebar } from "./sidebar.jsx";

export function App() {
  const state = useStore(store);
  // Another language is another page: nothing in another's words stays.
  return <Page key={currentLanguage()} state={state} />;
}

function Page({ state }) {
  const conversation = current();
  const { id } = conversation;
  const title = titleOf(conversation) || t("newChat");
  const covered = state.drawer && state.narrow;
  useEffect(() => {
    document.title = `${title} – Hearth`;
  }, [title]);
  useEffect(() => {
    // On a phone this would open the keyboard over what is to be read.
    if (!state.narrow) focusMessage();
  }, [id]);
  return (
    <div class={state.drawer ? "shell with-drawer" : "shell"}>
      <button type="button" class="skip" onClick={focusMessage}>{t("message")}</button>
      {state.drawer && <Sidebar state={state} />}
      {covered && <div class="shade" onClick={app.toggleDrawer} />}
      <main inert={covered}>
        <Header state={state} title={title} />
        <Log key={`log-${id}`} state={state} conversation={conversation} />
        <Composer key={`composer-${id}`} state={state} conversation={conversation} />
      </main>
      <Dialogs state={state} />
      <div class="notices" role="alert">
        {state.notice && (
          <p class="notice">
            <span>{state.notice}</span>
            <button type="button" class="quiet" onClick={() => app.notice("")} aria-label={t("dismiss")} title={t("dismiss")}><Icon name="close" /></button>
          </p>
        )}
      </div>
      <div class="unseen" role="status"><span key={state.status.turn}>{state.status.text}</span></div>
    </div>
  );
}
