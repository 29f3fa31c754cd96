// One message: the reader's, or an answer with its reasoning, tool calls and counts.
import { Component } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { store } from "../app.js";
import { edit, regenerate } from "../chat.js";
import { number, t } from "../i18n.js";
import { focusMessage } from "../keys.js";
import { Markdown } from "../markdown.jsx";
import { CodeBlock } from "./code.jsx";
import { CopyButton } from "./copy.jsx";
import { Icon } from "./icons.jsx";

/** Drawn again only when it changes: while one answer streams, the others rest. */
export class Message extends Component {
  shouldComponentUpdate(next) {
    return Object.keys(next).some((name) => next[name] !== this.props[name]);
  }

  render(props) {
    if (props.message.role === "assistant") return <Answer {...props} />;
    return props.editing ? <Editor {...props} /> : <Question {...props} />;
  }
}

function Question({ index, message, busy }) {
  return (
    <article class="question">
      <h2 class="unseen">{t("you")}</h2>
      {message.files.map(({ name, text }, index) => (
        <details key={index} class="file">
          <summary><Icon name="file" />{name}</summary>
          <pre tabIndex={0} role="region" aria-label={name}>{text}</pre>
        </details>
      ))}
      {message.content && <p class="text">{message.content}</p>}
      <div class="tools">
        <CopyButton text={message.content} label={t("copyMessage")} />
        {!busy && <Button icon="pencil" label={t("editMessage")} onClick={() => store.set({ editing: index })} />}
      </div>
    </article>
  );
}

function Editor({ id, index, message }) {
  const field = useRef(null);
  useEffect(() => {
    field.current.focus();
    field.current.setSelectionRange(message.content.length, message.content.length);
  }, []);
  const leave = () => {
    store.set({ editing: -1 });
    focusMessage();
  };
  const submit = (event) => {
    event.preventDefault();
    const content = field.current.value.trim();
    if (!content && !message.files.length) return;
    edit(id, index, content);
    focusMessage();
  };
  const key = (event) => {
    if (event.isComposing) return;
    if (event.key === "Escape") {
      event.preventDefault();
      leave();
    } else if (event.key === "Enter" && !event.shiftKey) {
      submit(event);
    }
  };
  return (
    <form class="question editor" onSubmit={submit}>
      <textarea ref={field} rows={3} aria-label={t("editMessage")} aria-describedby="edit-note" defaultValue={message.content} onKeyDown={key} />
      <p class="note" id="edit-note">{t("editNote")}</p>
      <div class="buttons">
        <button type="button" onClick={leave}>{t("cancel")}</button>
        <button type="submit" class="primary">{t("sendAgain")}</button>
      </div>
    </form>
  );
}

function Answer({ id, index, message, last, busy }) {
  const { content, reasoning, tools, live, finish, problem } = message;
  const started = content || reasoning || tools.length;
  return (
    <article class={live ? "answer live" : "answer"}>
      <h2>{message.model || t("assistant")}</h2>
      {reasoning && <Reasoning text={reasoning} thinking={live && !content && !tools.length} />}
      {content && <Markdown text={content} />}
      {tools.map((tool, index) => <ToolCall key={index} tool={tool} />)}
      {live && !started && <p class="waiting"><span class="pulse" />{t("answering")}</p>}
      {problem && <p class="problem">{problem}</p>}
      {finish === "length" && <p class="note">{t("finishLength")}</p>}
      {finish === "content_filter" && <p class="note">{t("finishFilter")}</p>}
      {finish === "stopped" && <p class="note">{t("stopped")}</p>}
      <div class={last ? "tools last" : "tools"}>
        {!live && content && <CopyButton text={content} label={t("copyMessage")} />}
        {last && !busy && <Button icon="again" label={problem ? t("tryAgain") : t("regenerate")} words={Boolean(problem)} onClick={() => regenerate(id, index)} />}
        <Counts counts={message.counts} />
      </div>
    </article>
  );
}

function Reasoning({ text, thinking }) {
  const [open, setOpen] = useState(false);
  return (
    <details class="reasoning" open={open} onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>{thinking ? <><span class="pulse" />{t("thinking")}</> : t("thoughts")}</summary>
      {open && <Markdown text={text} />}
    </details>
  );
}

function ToolCall({ tool }) {
  return (
    <details class="tool">
      <summary>{t("toolCall")}: <code>{tool.name}</code></summary>
      <CodeBlock code={indented(tool.arguments)} language="json" />
    </details>
  );
}

/** JSON is easier to read in lines; half of it, while it streams, stays as it is. */
function indented(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function Counts({ counts: { tokens, prompt, cached, speed, wait } }) {
  if (!tokens) return null;
  const parts = [
    t("tokens", { count: tokens }),
    speed && t("speed", { speed: number(speed, 1) }),
    wait && t("wait", { seconds: number(wait, wait < 10 ? 2 : 0) }),
  ];
  const detail = cached ? t("cached", { count: cached, prompt }) : prompt ? t("prompt", { prompt }) : undefined;
  return <p class="counts" title={detail}>{parts.filter(Boolean).join(" · ")}</p>;
}

function Button({ icon, label, words = false, onClick }) {
  return <button type="button" class="quiet" onClick={onClick} aria-label={label} title={label}><Icon name={icon} />{words && <span>{label}</span>}</button>;
}
