// The bar above a conversation: its title, the model, the way to the settings.
import { app, chosenModel } from "../app.js";
import { create } from "../chats.js";
import { t } from "../i18n.js";
import { Icon } from "./icons.jsx";

export function Header({ state, title }) {
  const { drawer, models } = state;
  const label = drawer ? t("hideChats") : t("showChats");
  return (
    <header>
      <button type="button" id="drawer" class="quiet" onClick={app.toggleDrawer} aria-expanded={drawer} aria-label={label} title={label}>
        <Icon name="menu" />
      </button>
      {!drawer && <button type="button" class="quiet" onClick={create} aria-label={t("newChat")} title={t("newChat")}><Icon name="plus" /></button>}
      <h1>{title}</h1>
      <select class="model" aria-label={t("model")} value={chosenModel(state).id} onChange={({ target }) => app.changeSettings({ model: target.value })}>
        {models.map(({ id }) => <option key={id} value={id}>{id}</option>)}
        {!models.length && <option value="">{t("defaultModel")}</option>}
      </select>
      <button type="button" class="quiet" onClick={() => app.open({ kind: "settings" })} aria-label={t("settings")} title={t("settings")}>
        <Icon name="settings" />
      </button>
    </header>
  );
}
