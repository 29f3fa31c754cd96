// The server's API, which is OpenAI's: /v1/models and /v1/chat/completions.
import { events } from "./events.js";
import { session } from "./storage.js";

const KEY = "hearth.key";

/** Why there is no answer, or not the whole of one. `kind` is `key`, `refused`, `network`, `broken` or `garbled`; `message` is the server's where it said something. */
export class Problem extends Error {
  constructor(kind, message = "", status = 0) {
    super(message);
    this.kind = kind;
    this.status = status;
  }
}

/** The bearer key. It stays in this tab's session and is sent to this server alone. */
export const key = {
  get: () => session.get(KEY) ?? "",
  set: (value) => (value ? session.set(KEY, value) : session.remove(KEY)),
};

async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (key.get()) headers.authorization = `Bearer ${key.get()}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers, credentials: "same-origin", referrerPolicy: "no-referrer" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("network");
  }
  if (response.ok) return response;
  const message = await response.json().then((document) => document.error.message, () => "");
  throw new Problem(response.status === 401 ? "key" : "refused", typeof message === "string" ? message : "", response.status);
}

const contextOf = (model) => [model?.context_length, model?.max_model_len, model?.context_window, model?.meta?.n_ctx].find((size) => size > 0) ?? 0;

/** The models, the default first: `{ id, context }`, where `context` is its tokens, or 0 where the server does not say. */
export async function models() {
  const { data } = await (await ask("/v1/models")).json().catch(() => ({}));
  if (!Array.isArray(data)) throw new Problem("garbled");
  return data.map((model) => ({ id: String(model.id), context: contextOf(model) }));
}

/** The tokens of a model's context, or 0. The server loads the model to answer. */
export async function context(id) {
  const response = await ask(`/v1/models/${encodeURIComponent(id)}`);
  return contextOf(await response.json().catch(() => null));
}

/**
 * The chunks of an answer to `request` as they arrive. Throws a `Problem`, or `AbortError` once `signal` says so. Before several servers, all of a conversation go to the one that
 * knows its beginning already, by the conversation's id (docs/cluster.md).
 */
export async function* chat(request, conversation, signal) {
  const body = JSON.stringify({ ...request, stream: true, stream_options: { include_usage: true } });
  const response = await ask("/v1/chat/completions", { method: "POST", headers: { "content-type": "application/json", "x-session-affinity": conversation }, body, signal });
  try {
    for await (const data of events(response.body)) {
      if (data === "[DONE]") return;
      const chunk = parse(data);
      if (chunk.error) throw new Problem("refused", String(chunk.error.message ?? ""));
      yield chunk;
    }
  } catch (error) {
    if (error instanceof Problem || error.name === "AbortError") throw error;
    throw new Problem("broken");
  }
  // Without its last word the answer is not whole.
  throw new Problem("broken");
}

function parse(data) {
  try {
    const chunk = JSON.parse(data);
    if (chunk && typeof chunk === "object") return chunk;
  } catch { /* said below */ }
  throw new Problem("garbled");
}
