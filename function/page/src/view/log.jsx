// The messages of a conversation. It keeps to its end while the reader is there, and stays where the reader went.
import { useLayoutEffect, useRef, useState } from "preact/hooks";

import { t } from "../i18n.js";
import { Icon } from "./icons.jsx";
import { Message } from "./message.jsx";

/** Pixels from the end that still count as the end. */
const NEAR = 48;

export function Log({ state, conversation }) {
  const { id, messages } = conversation;
  const box = useRef(null);
  const [atEnd, setAtEnd] = useState(true);
  const shown = useRef(messages.length);
  const toEnd = () => {
    box.current.scrollTop = box.current.scrollHeight;
    setAtEnd(true);
  };
  useLayoutEffect(() => {
    // A message of the reader's own is always looked at.
    const sent = messages.length !== shown.current;
    shown.current = messages.length;
    if (atEnd || sent) toEnd();
  }, [messages]);
  const scrolled = ({ currentTarget: { scrollTop, clientHeight, scrollHeight } }) => setAtEnd(scrollHeight - scrollTop - clientHeight < NEAR);
  return (
    <section class="log" ref={box} onScroll={scrolled} aria-label={t("conversation")} aria-busy={state.running.has(id)} tabIndex={0}>
      <div class="column">
        {messages.map((message, index) => (
          <Message
            key={index}
            id={id}
            index={index}
            message={message}
            last={index === messages.length - 1}
            busy={state.running.has(id)}
            editing={state.editing === index}
          />
        ))}
        {!messages.length && <Greeting />}
      </div>
      {!atEnd && <button type="button" class="to-end" onClick={toEnd} aria-label={t("toEnd")} title={t("toEnd")}><Icon name="down" /></button>}
    </section>
  );
}

function Greeting() {
  return (
    <div class="greeting">
      <h2>{t("greeting")}</h2>
      <p>{t("greetingNote")}</p>
    </div>
  );
}
