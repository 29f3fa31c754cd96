// Builds the page: `node build.mjs MODULES OUT`, where MODULES is the folder whose node_modules the lock file filled.
//
// OUT gets each file plain, and as .br and .gz, and a `manifest` of what is served: path, content type, ETag, caching and file, a line each, with tabs
// between. A name with a hash of what is in the file may be kept by browsers for ever; the document, at `/`, and the licences are asked for again.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const [modules, out] = process.argv.slice(2).map((folder) => path.resolve(folder));
const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const source = (name) => path.join(here, "src", name);
const esbuild = createRequire(path.join(modules, "package.json"))("esbuild");

const TYPES = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
};

const languages = await Promise.all(["en", "zh"].map(async (name) => Object.keys((await import(pathToFileURL(source(`text/${name}.js`))))[name]).sort().join()));
if (new Set(languages).size > 1) throw new Error("src/text: the languages have texts by different names");

const { outputFiles, metafile } = await esbuild.build({
  absWorkingDir: here,
  entryPoints: { page: source("main.jsx"), theme: source("theme.js"), style: source("style/main.css"), icon: source("icon.svg") },
  nodePaths: [path.join(modules, "node_modules")],
  entryNames: "[name]-[hash]",
  loader: { ".svg": "copy" },
  jsx: "automatic",
  jsxImportSource: "preact",
  bundle: true,
  minify: true,
  format: "iife",
  target: ["chrome123", "firefox128", "safari17.5"],
  charset: "utf8",
  legalComments: "none",
  metafile: true,
  write: false,
  outdir: out,
  logLevel: "warning",
});

const files = outputFiles.map(({ path: file, contents }) => ({ name: path.basename(file), bytes: Buffer.from(contents) }));

let html = readFileSync(source("index.html"), "utf8");
for (const { name } of files) html = html.replaceAll(`{${name.split("-")[0]}}`, `/${name}`);
const fresh = [{ name: "index.html", bytes: Buffer.from(html) }, { name: "licences.txt", bytes: Buffer.from(licences()) }];

mkdirSync(out, { recursive: true });
const manifest = [...fresh, ...files].map(({ name, bytes }, index) => {
  const size = { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length, [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY };
  writeFileSync(path.join(out, name), bytes);
  writeFileSync(path.join(out, `${name}.br`), brotliCompressSync(bytes, { params: size }));
  writeFileSync(path.join(out, `${name}.gz`), gzipSync(bytes, { level: 9 }));
  const at = name === "index.html" ? "/" : `/${name}`;
  return [at, TYPES[path.extname(name)], digest(bytes), index < fresh.length ? "no-cache" : "immutable", name].join("\t");
});
writeFileSync(path.join(out, "manifest"), manifest.join("\n") + "\n");

function digest(bytes) {
  return createHash("sha256").update(bytes).digest("hex").slice(0, 16);
}

/** The licences of the packages that are in the bundle: what they ask for in return. */
function licences() {
  const inputs = Object.values(metafile.outputs).flatMap((output) => Object.keys(output.inputs));
  const packages = inputs.map((input) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1]).filter(Boolean);
  const texts = [...new Set(packages)].sort().map((name) => {
    const folder = path.join(modules, "node_modules", name);
    const { version } = JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8"));
    const text = ["LICENSE", "LICENSE.txt", "LICENSE.md", "LICENSE-MIT.txt"].map((file) => read(path.join(folder, file))).find(Boolean);
    if (!text) throw new Error(`${name} has no licence file that could be passed on`);
    return `${name} ${version}\n\n${text.trim()}\n`;
  });
  return texts.join(`\n${"-".repeat(72)}\n\n`);
}

function read(file) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return null;
  }
}
