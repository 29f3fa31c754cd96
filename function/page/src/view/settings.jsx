// The settings. Each counts as soon as it is changed.
import { key } from "../api.js";
import { app } from "../app.js";
import { change, current } from "../chats.js";
import { t } from "../i18n.js";
import { cleanStops, SAMPLING } from "../settings.js";

export function Settings({ state: { settings } }) {
  return (
    <div class="settings">
      <SystemPrompt settings={settings} />
      <Sampling settings={settings} />
      <fieldset>
        <legend>{t("appearance")}</legend>
        <div class="grid">
          <Choice name="theme" label={t("theme")} value={settings.theme} options={[["system", t("themeSystem")], ["light", t("themeLight")], ["dark", t("themeDark")]]} />
          <Choice name="language" label={t("language")} value={settings.language} options={[["", t("languageBrowser")], ["en", "English"], ["zh", "中文"]]} />
        </div>
      </fieldset>
      {key.get() && <div class="buttons"><button type="button" onClick={app.forgetKey}>{t("keyForget")}</button></div>}
    </div>
  );
}

function Choice({ name, label, value, options }) {
  return (
    <label class="field">
      <span>{label}</span>
      <select name={name} value={value} onChange={({ target }) => app.changeSettings({ [name]: target.value })}>
        {options.map(([value, text]) => <option key={value} value={value}>{text}</option>)}
      </select>
    </label>
  );
}

function SystemPrompt({ settings }) {
  const { id, system } = current();
  const write = ({ target }) => change(id, { system: target.value });
  return (
    <fieldset>
      <legend>{t("system")}</legend>
      <textarea name="system" rows={4} aria-label={t("system")} aria-describedby="system-note" value={system} onChange={write} />
      <div class="beside">
        <p class="note" id="system-note">{t("systemNote")}</p>
        <button type="button" disabled={settings.system === system} onClick={() => app.changeSettings({ system })}>{t("systemDefault")}</button>
      </div>
    </fieldset>
  );
}

function Sampling({ settings: { sampling, stop, thinking } }) {
  const write = (spec, { target }) => {
    const { [spec.name]: _, ...others } = sampling;
    const number = target.valueAsNumber;
    // What is no number, or none that the server takes, is not taken: the field shows what counts.
    const valid = !Number.isNaN(number) && target.checkValidity();
    if (target.value !== "" && !valid) target.reportValidity();
    else app.changeSettings({ sampling: valid ? { ...others, [spec.name]: number } : others });
  };
  return (
    <fieldset>
      <legend>{t("sampling")}</legend>
      <p class="note">{t("samplingNote")}</p>
      <div class="grid">
        {SAMPLING.map((spec) => (
          <label key={spec.name} class="field">
            <span>{t(spec.name)}</span>
            <input
              type="number"
              name={spec.name}
              min={spec.min}
              max={spec.max}
              step={spec.step === 1 ? 1 : "any"}
              inputmode={spec.min < 0 ? undefined : "decimal"}
              title={t("range", { min: spec.min, max: spec.max })}
              value={sampling[spec.name] ?? ""}
              onChange={(event) => write(spec, event)}
            />
          </label>
        ))}
        <Choice name="thinking" label={t("thinkingMode")} value={thinking} options={[["", t("thinkingDefault")], ["on", t("thinkingOn")], ["off", t("thinkingOff")]]} />
      </div>
      <label class="field">
        <span>{t("stopStrings")}</span>
        <textarea
          name="stop"
          rows={2}
          aria-describedby="stop-note"
          value={stop.join("\n")}
          onChange={({ target }) => app.changeSettings({ stop: cleanStops(target.value.split("\n")) })}
        />
      </label>
      <div class="beside">
        <p class="note" id="stop-note">{t("stopNote")}</p>
        <button type="button" onClick={app.resetSampling}>{t("reset")}</button>
      </div>
    </fieldset>
  );
}
