// OpenAI's JavaScript client with keys of all sorts: `keys.mjs HEARTH URL`, run where its package is installed. Makes them by the program HEARTH, beside the server that needs
// them.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.cwd()}/package.json`);
const { OpenAI } = await import(pathToFileURL(require.resolve("openai")));
const [hearth, url] = process.argv.slice(2);
const asked = { model: "smollm2", messages: [{ role: "user", content: "Say hello." }], max_tokens: 4, temperature: 0 };

const keys = (...words) => JSON.parse(execFileSync(hearth, ["keys", "--json", ...words], { encoding: "utf8" }));
// The client has to have a key; a header of one's own takes its place, and `null` leaves it out.
const client = (apiKey, Authorization) =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0, ...(Authorization === undefined ? {} : { defaultHeaders: { Authorization } }) });
const basic = ({ id, secret }) => client("none", `Basic ${btoa(`${id}:${secret}`)}`);
const chat = async (client) => (await client.chat.completions.create(asked)).choices[0].message.content;

async function refused(status, code, client, ask = chat) {
  const error = await ask(client).then(() => assert.fail(`${code} was expected`), (error) => error);
  assert.deepEqual([error.status, error.code], [status, code], error.stack);
  return error;
}

const good = keys("create", "javascript");
const said = await chat(client(good.token));
assert.equal(await chat(basic(good)), said);
let streamed = "";
for await (const chunk of await client(good.token).chat.completions.create({ ...asked, stream: true })) streamed += chunk.choices[0]?.delta.content ?? "";
assert.equal(streamed, said);

const missing = await refused(401, "missing_api_key", client("none", null));
assert.match(missing.headers.get("www-authenticate"), /^Bearer/);
const wrong = good.token.slice(0, -1) + (good.token.endsWith("0") ? "1" : "0");
await refused(401, "invalid_api_key", client("sk-wrong"));
assert.ok(!(await refused(401, "invalid_api_key", client(wrong))).message.includes(wrong));
await refused(401, "invalid_api_key", basic({ ...good, secret: wrong.slice(-64) }));

const reader = client(keys("create", "reader", "--scope", "read").token);
assert.deepEqual((await reader.models.list()).data.map(({ id }) => id), ["smollm2"]);
await refused(403, "insufficient_permissions", reader);

const limited = client(keys("create", "limited", "--requests-per-minute", "2").token);
const { response } = await limited.chat.completions.create(asked).withResponse();
assert.deepEqual(["limit", "remaining"].map((name) => response.headers.get(`x-ratelimit-${name}-requests`)), ["2", "1"]);
// As many as are refused even where a new minute begins meanwhile.
const often = async (client) => { for (let count = 0; count < 8; count++) await client.models.list(); };
const { headers } = await refused(429, "rate_limit_exceeded", limited, often);
const wait = Number(headers.get("retry-after"));
assert.ok(wait >= 1 && wait <= 60, `${wait}`);
assert.deepEqual(["limit", "remaining"].map((name) => headers.get(`x-ratelimit-${name}-requests`)), ["2", "0"]);
assert.match(headers.get("x-ratelimit-reset-requests"), /^(\d+m)?\d+s$/);

const turned = keys("create", "turned");
const before = client(turned.token);
assert.equal(await chat(before), said);
const after = keys("rotate", turned.id);
await refused(401, "invalid_api_key", before);
assert.equal(await chat(client(after.token)), said);
assert.equal(await chat(basic(after)), said);
keys("revoke", turned.id);
await refused(401, "revoked_api_key", client(after.token));
console.log("openai-node is let in and refused as its keys say");
