// Text files that go with a message.
import { app } from "./app.js";
import { t } from "./i18n.js";

/** KB of a message's files: a request takes 4 MiB, the browser keeps about 5 MB. */
const LIMIT = 512;

/** The text files among `files`, after those in `before`, as `{ name, text }`. What cannot be taken is said. */
export async function readFiles(files, before) {
  const taken = [...before];
  for (const file of files) {
    const bytes = [...taken.map(({ text }) => text.length), file.size].reduce((sum, size) => sum + size);
    if (file.size > LIMIT << 10) app.notice(t("fileTooLarge", { name: file.name, limit: LIMIT }));
    else if (bytes > LIMIT << 10) app.notice(t("filesTooMany", { limit: LIMIT }));
    else await read(file).then((text) => taken.push({ name: file.name, text }), () => app.notice(t("fileNotText", { name: file.name })));
  }
  return taken;
}

async function read(file) {
  const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
  if (text.includes("\0")) throw new TypeError("binary");
  return text;
}
