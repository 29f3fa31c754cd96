// llama.cpp's tokenizer as the oracle. Reads one JSON document from standard input and writes one to standard output.
//
// in:  [{"model": "path.gguf", "pre": null or another pre-tokenizer's name, "texts": ["..."]}]
// out: [{"plain": [[ids of each text]], "special": [[the same with control tokens parsed]], "pieces": ["text of each token"], "ends": [ids that end a generation]}]
//
// The folder that holds node_modules is the first argument: `node tokenizer_oracle.mjs FOLDER`.
import {createRequire} from "node:module";
import path from "node:path";
import {pathToFileURL} from "node:url";

const require = createRequire(path.join(path.resolve(process.argv[2]), "package.json"));
const entry = require.resolve.paths("x").map(folder => path.join(folder, "node-llama-cpp/dist/index.js"))[0];
const {getLlama, LlamaLogLevel} = await import(pathToFileURL(entry));

let input = "";
process.stdin.setEncoding("utf8"); // chunks end anywhere, also inside a character
for await (const chunk of process.stdin) input += chunk;

const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error, maxThreads: 2});
const results = [];
for (const {model: modelPath, pre, texts} of JSON.parse(input)) {
    const metadataOverrides = pre == null ? undefined : {tokenizer: {ggml: {pre}}};
    const model = await llama.loadModel({modelPath, gpuLayers: 0, vocabOnly: true, metadataOverrides});
    // The binding's own functions: the public ones work around what chat wrappers stumble over.
    const {_model: vocabulary} = model;
    const tokenize = special => texts.map(text => Array.from(vocabulary.tokenize(text, special)));
    const pieces = [];
    const ends = [];
    for (let id = 0; pre == null && id < model.fileInfo.metadata.tokenizer.ggml.tokens.length; id++) {
        pieces.push(vocabulary.detokenize(Uint32Array.of(id), true));
        if (vocabulary.isEogToken(id)) ends.push(id);
    }
    results.push({plain: tokenize(false), special: tokenize(true), pieces, ends});
    await model.dispose();
}
// On a line of its own: the library writes to standard output as well.
process.stdout.write("\n" + JSON.stringify(results), () => process.exit(0));
