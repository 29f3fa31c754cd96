// A model's answer as it grows, chunk by chunk.

/** An answer that has nothing yet. Times are milliseconds of `now`, a clock that only goes forward. */
export function newAnswer(model, now = performance.now()) {
  return { role: "assistant", content: "", reasoning: "", tools: [], model, asked: now, first: 0, last: 0, pieces: 0 };
}

/** Adds what a chunk says to `answer`. */
export function add(answer, chunk, now = performance.now()) {
  const choice = chunk.choices?.[0];
  const delta = choice?.delta ?? {};
  const content = text(delta.content);
  const reasoning = text(delta.reasoning_content) || text(delta.reasoning);
  const calls = Array.isArray(delta.tool_calls) ? delta.tool_calls : [];
  answer.content += content;
  answer.reasoning += reasoning;
  for (const call of calls) addCall(answer.tools, call);
  if (content || reasoning || calls.length) {
    answer.first ||= now;
    answer.last = now;
    answer.pieces += 1;
  }
  if (typeof choice?.finish_reason === "string") answer.finish = choice.finish_reason;
  if (typeof chunk.model === "string") answer.model = chunk.model;
  if (chunk.usage) answer.usage = chunk.usage;
  if (chunk.timings) answer.timings = chunk.timings;
}

/** A call's name comes in one piece, its arguments in many; its index says which call they belong to. */
function addCall(tools, call) {
  const index = Number.isInteger(call.index) && call.index >= 0 && call.index <= tools.length ? call.index : tools.length;
  tools[index] ??= { name: "", arguments: "" };
  const { name, arguments: more } = tools[index];
  tools[index] = { name: name + text(call.function?.name), arguments: more + text(call.function?.arguments) };
}

/**
 * What is counted of an answer: `{ tokens, prompt, cached, speed, wait }`; a number that is not known is 0. Speed is tokens a second, wait is seconds to the first token.
 */
export function count({ usage, timings, asked, first, last, pieces }) {
  // Until the server counts, a piece of text is about a token.
  const tokens = number(usage?.completion_tokens) || number(timings?.predicted_n) || pieces || 0;
  const seconds = (last - first) / 1000;
  return {
    tokens,
    prompt: number(usage?.prompt_tokens) || number(timings?.prompt_n),
    cached: number(usage?.prompt_tokens_details?.cached_tokens),
    speed: number(timings?.predicted_per_second) || (seconds > 0 && tokens > 1 ? (tokens - 1) / seconds : 0),
    wait: first > asked ? (first - asked) / 1000 : 0,
  };
}

function text(value) {
  return typeof value === "string" ? value : "";
}

function number(value) {
  return typeof value === "number" && Number.isFinite(value) && value > 0 ? value : 0;
}
