// llama.cpp as the oracle. Reads one JSON document from standard input and writes one to standard output.
//
// in:  [{"model": "path.gguf", "context": 1024, "cases": [{"tokens": [..]} or {"text": "..."}, with "generate": 64 or "logits": true or neither]}, ..]
// out: [[{"tokens": [..], "generated": [{"token": 1, "top": [[id, logit], ..]}, ..]} or {"tokens", "logits": [f32 for each token of the vocabulary]}, ..], ..]
//
// With "embed": true for a model whose cases are {"text": "..."}, its embeddings: [{"embedding": [f32, ..]}, ..], not normalized.
//
// Run with the folder of node_modules in NODE_PATH's place: `node oracle.mjs FOLDER`.
import {createRequire} from "node:module";
import path from "node:path";
import {pathToFileURL} from "node:url";

const require = createRequire(path.join(path.resolve(process.argv[2]), "package.json"));
const entry = require.resolve.paths("x").map(folder => path.join(folder, "node-llama-cpp/dist/index.js"))[0];
const {getLlama, LlamaLogLevel} = await import(pathToFileURL(entry));

process.stdin.setEncoding("utf8"); // else a character may be cut between two chunks
let input = "";
for await (const chunk of process.stdin) input += chunk;

// One thread: with more, its barriers spin against whatever else runs beside it, and the oracle takes minutes.
const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error, maxThreads: 1});
const greedy = {temperature: 0};
const answers = [];
for (const {model: modelPath, context: contextSize = 1024, embed = false, cases} of JSON.parse(input)) {
    const model = await llama.loadModel({modelPath, gpuLayers: 0});
    answers.push(await (embed ? embeddings : continuations)(model, contextSize, cases));
    await model.dispose();
}
process.stdout.write(JSON.stringify(answers), () => process.exit(0));

async function continuations(model, contextSize, cases) {
    const context = await model.createContext({contextSize, sequences: 1, batchSize: 512, flashAttention: false});
    const sequence = context.getSequence();
    const results = [];
    for (const asked of cases) results.push(await continuation(model, sequence, asked));
    return results;
}

async function continuation(model, sequence, {tokens: given, text, generate = 0, logits = false}) {
    const tokens = given ?? model.tokenize(text, true);
    if (given == null && model.tokens.shouldPrependBosToken && tokens[0] !== model.tokens.bos) tokens.unshift(model.tokens.bos);
    const result = {tokens};
    if (generate > 0 || logits) await sequence.clearHistory();
    if (logits) {
        const last = [tokens.at(-1), {generateNext: {logits: true, options: greedy}}];
        const output = (await sequence.controlledEvaluate([...tokens.slice(0, -1), last])).at(-1);
        result.logits = [];
        for (const [token, logit] of output.next.logits) result.logits[token] = logit;
    } else if (generate > 0) {
        result.generated = [];
        let pending = tokens;
        while (result.generated.length < generate) {
            const next = {token: true, logits: {filter: {includeTop: 8}}, options: greedy};
            const output = (await sequence.controlledEvaluate([...pending.slice(0, -1), [pending.at(-1), {generateNext: next}]])).at(-1);
            const token = output.next.token;
            result.generated.push({token, top: [...output.next.logits]});
            pending = [token];
        }
    }
    return result;
}

async function embeddings(model, contextSize, cases) {
    const context = await model.createEmbeddingContext({contextSize, batchSize: contextSize});
    const results = [];
    for (const {text} of cases) results.push({embedding: (await context.getEmbeddingFor(text)).vector});
    return results;
}
