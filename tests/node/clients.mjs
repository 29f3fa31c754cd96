// OpenAI's JavaScript client and Vercel's AI SDK against a server of a chat model and an embedding model: `clients.mjs BASE_URL CHAT_MODEL EMBEDDING_MODEL`, run where the
// packages are installed.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.cwd()}/package.json`);
const load = async (name) => import(pathToFileURL(require.resolve(name)));
const [url, model, embedder] = process.argv.slice(2);
const messages = [
  { role: "system", content: "You are a helpful assistant." },
  { role: "user", content: "What is the capital of France?" },
];
const schema = {
  type: "object",
  properties: { city: { type: "string", maxLength: 30 }, unit: { type: "string", enum: ["celsius", "fahrenheit"] } },
  required: ["city", "unit"],
  additionalProperties: false,
};

async function openai() {
  const { OpenAI } = await load("openai");
  const client = new OpenAI({ baseURL: url, apiKey: "none", maxRetries: 0 });
  const whole = await client.chat.completions.create({ model, messages, max_tokens: 32, temperature: 0 });
  const text = whole.choices[0].message.content;
  assert.match(text, /Paris/);
  let streamed = "";
  for await (const chunk of await client.chat.completions.create({ model, messages, max_tokens: 32, temperature: 0, stream: true })) {
    streamed += chunk.choices[0]?.delta.content ?? "";
  }
  assert.equal(streamed, text);
  const tools = [{ type: "function", function: { name: "weather", description: "The weather in a city", parameters: schema } }];
  const asked = [{ role: "user", content: "What is the weather in Paris, in celsius?" }];
  const called = await client.chat.completions.create({ model, messages: asked, tools, tool_choice: "required", seed: 5 });
  const [call] = called.choices[0].message.tool_calls;
  assert.deepEqual(Object.keys(JSON.parse(call.function.arguments)), ["city", "unit"]);
  const runner = client.chat.completions.stream({ model, messages: asked, tools, tool_choice: "required", seed: 5 });
  const final = await runner.finalChatCompletion();
  assert.equal(final.choices[0].message.tool_calls[0].function.arguments, call.function.arguments);
  const response_format = { type: "json_schema", json_schema: { name: "place", strict: true, schema } };
  const structured = await client.chat.completions.create({ model, messages: asked, response_format, seed: 1, max_tokens: 200 });
  assert.deepEqual(Object.keys(JSON.parse(structured.choices[0].message.content)), ["city", "unit"]);
  const { data } = await client.embeddings.create({ model: embedder, input: ["one", "two"] });
  assert.deepEqual(data.map(({ embedding }) => embedding.length), [384, 384]);
  await assert.rejects(client.chat.completions.create({ model, messages: [] }), { status: 400 });
  return text;
}

async function aiSdk() {
  const { createOpenAICompatible } = await load("@ai-sdk/openai-compatible");
  const { embedMany, generateText, jsonSchema, Output, streamText, tool } = await load("ai");
  const provider = createOpenAICompatible({ name: "hearth", baseURL: url, supportsStructuredOutputs: true });
  const [system, { content: prompt }] = messages;
  const chat = { model: provider(model), instructions: system.content, maxRetries: 0 };
  const { text, usage } = await generateText({ ...chat, prompt, temperature: 0, maxOutputTokens: 32 });
  assert.match(text, /Paris/);
  assert.ok(usage.outputTokens > 0);
  let streamed = "";
  for await (const piece of streamText({ ...chat, prompt, temperature: 0, maxOutputTokens: 32 }).textStream) streamed += piece;
  assert.equal(streamed, text);
  const weather = tool({ description: "The weather in a city", inputSchema: jsonSchema(schema), execute: async () => ({ temperature: 21 }) });
  const asked = "What is the weather in Paris, in celsius?";
  const called = await generateText({ ...chat, prompt: asked, tools: { weather }, toolChoice: "required", seed: 5 });
  assert.deepEqual(Object.keys(called.toolCalls[0].input), ["city", "unit"]);
  assert.deepEqual(called.toolResults[0].output, { temperature: 21 });
  const { output } = await generateText({ ...chat, prompt: asked, output: Output.object({ schema: jsonSchema(schema) }), seed: 1, maxOutputTokens: 200 });
  assert.deepEqual(Object.keys(output), ["city", "unit"]);
  const { embeddings } = await embedMany({ model: provider.embeddingModel(embedder), values: ["one", "two"] });
  assert.deepEqual(embeddings.map((embedding) => embedding.length), [384, 384]);
  return text;
}

console.log(await openai());
console.log(await aiSdk());
