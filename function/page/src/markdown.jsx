// Markdown as elements, without a string of HTML anywhere on the way: what a model writes cannot become markup that is not made below, and the page's policy forbids
// turning strings into markup at all. HTML in the text is shown as the text that it is.
import MarkdownIt from "markdown-it";

import { t } from "./i18n.js";
import { CodeBlock } from "./view/code.jsx";

const parser = new MarkdownIt({ html: false, linkify: true, breaks: true });
// "example.com" alone may be meant as a file or a module; an address says its scheme.
parser.linkify.set({ fuzzyLink: false, fuzzyEmail: false });

// The page's own headings are the first and the second.
const HEADINGS = { h1: "h3", h2: "h4", h3: "h5", h4: "h6", h5: "h6", h6: "h6" };
const ELEMENTS = new Set(["p", "ul", "ol", "li", "blockquote", "strong", "em", "s", "thead", "tbody", "tr"]);
const SCHEMES = ["http:", "https:", "mailto:"];

export function Markdown({ text }) {
  return <div class="markdown">{render(parser.parse(text, {}))}</div>;
}

/** Only whole addresses of these schemes: anything else would be about this server or run something. */
export function safeHref(address) {
  const url = URL.parse ? URL.parse(address) : tryUrl(address);
  return url && SCHEMES.includes(url.protocol) ? url.href : null;
}

function tryUrl(address) {
  try {
    return new URL(address);
  } catch {
    return null;
  }
}

/** markdown-it's flat list of tokens as nested elements. */
function render(tokens) {
  const open = [{ children: [] }];
  for (const token of tokens) {
    if (token.nesting === 1) {
      open.push({ token, children: [] });
    } else if (token.nesting === -1) {
      const { token: start, children } = open.pop();
      open.at(-1).children.push(element(start, children));
    } else {
      open.at(-1).children.push(leaf(token));
    }
  }
  return open[0].children;
}

function element(token, children) {
  const Tag = HEADINGS[token.tag] ?? token.tag;
  switch (token.type) {
    case "heading_open":
      return <Tag>{children}</Tag>;
    case "link_open":
      return <Link href={token.attrGet("href")}>{children}</Link>;
    case "ordered_list_open":
      return <ol start={token.attrGet("start") ?? undefined}>{children}</ol>;
    case "table_open":
      // Wider than the screen it scrolls, and what scrolls can be reached by keyboard.
      return <div class="table" role="region" aria-label={t("table")} tabIndex={0}><table>{children}</table></div>;
    case "th_open":
    case "td_open":
      return <Tag class={/text-align:(center|right)/.exec(token.attrGet("style") ?? "")?.[1]}>{children}</Tag>;
    default:
      return token.hidden || !ELEMENTS.has(Tag) ? children : <Tag>{children}</Tag>;
  }
}

function leaf(token) {
  switch (token.type) {
    case "inline":
      return render(token.children);
    case "fence":
    case "code_block":
      return <CodeBlock code={token.content.replace(/\n$/, "")} language={token.info.trim().split(/\s+/)[0].toLowerCase()} />;
    case "code_inline":
      return <code>{token.content}</code>;
    case "softbreak":
    case "hardbreak":
      return <br />;
    case "hr":
      return <hr />;
    case "image":
      return <Link href={token.attrGet("src")}>{t("image")}: {token.content || token.attrGet("src")}</Link>;
    default:
      return withBreaks(token.content);
  }
}

/** The one tag that models need within a cell of a table. */
function withBreaks(text) {
  const lines = text.split(/<br ?\/?>/i);
  return lines.length === 1 ? text : lines.flatMap((line, index) => (index ? [<br />, line] : [line]));
}

function Link({ href, children }) {
  const safe = safeHref(href ?? "");
  return safe ? <a href={safe} target="_blank" rel="noopener noreferrer">{children}</a> : <span>{children}</span>;
}
