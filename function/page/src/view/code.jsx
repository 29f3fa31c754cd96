// A block of code with its language, colours and a button that copies it.
import { useMemo } from "preact/hooks";

import { highlight, languageName } from "../highlight.js";
import { t } from "../i18n.js";
import { CopyButton } from "./copy.jsx";

export function CodeBlock({ code, language }) {
  const tree = useMemo(() => highlight(code, language), [code, language]);
  const name = language ? languageName(language) : t("code");
  return (
    <figure class="code">
      <figcaption>
        <span>{name}</span>
        <CopyButton text={code} label={t("copyCode")} words />
      </figcaption>
      <pre tabIndex={0} role="region" aria-label={name}><code>{tree ? tree.map(span) : code}</code></pre>
    </figure>
  );
}

function span(node) {
  if (typeof node === "string") return node;
  const children = node.children.map(span);
  // "title.function" is a kind of title.
  return node.scope ? <span class={`hl-${node.scope.split(".")[0]}`}>{children}</span> : children;
}
