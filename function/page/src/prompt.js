// What is sent for a conversation.

/** The request for the next answer of `conversation`. */
export function request(conversation, settings, model) {
  const { sampling, stop, thinking } = settings;
  return {
    ...(model && { model }),
    messages: messages(conversation),
    ...sampling,
    ...(stop.length && { stop }),
    ...(thinking && { chat_template_kwargs: { enable_thinking: thinking === "on" } }),
  };
}

/**
 * The conversation as messages. An answer's reasoning stays behind, as models are trained to expect; an answer without text says nothing. Two turns in a row of one
 * speaker, such as a question whose answer failed and the next one, confuse templates and become one.
 */
export function messages({ system, messages: turns }) {
  const sent = system.trim() ? [{ role: "system", content: system }] : [];
  for (const turn of turns) {
    const content = turn.role === "user" ? [...turn.files.map(quote), turn.content].filter(Boolean).join("\n\n") : turn.content;
    if (!content) continue;
    const last = sent.at(-1);
    if (last?.role === turn.role) last.content += `\n\n${content}`;
    else sent.push({ role: turn.role, content });
  }
  return sent;
}

/** A file within a fence that is longer than any in it. */
function quote({ name, text }) {
  const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map((ticks) => ticks.length));
  const fence = "`".repeat(longest + 1);
  return `${name}:\n${fence}\n${text.replace(/\n$/, "")}\n${fence}`;
}
