"""What a model says runs nothing and loads nothing; what the server says of the page."""

from browser import events
from playwright.sync_api import expect

PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<img src='https://evil.example/pixel.png'>",
    "![pixel](https://evil.example/pixel.png)",
    "![x](javascript:alert(1))",
    "![x](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+)",
    "[![both](https://evil.example/a.png)](javascript:alert(1))",
    "<svg onload=alert(1)><animate onbegin=alert(1) attributeName=x></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<iframe src='javascript:alert(1)'></iframe><object data='https://evil.example'></object><embed src='https://evil.example'>",
    "<a href='javascript:alert(1)'>link</a> <form action='https://evil.example'><button>go</button></form>",
    "<style>@import 'https://evil.example/a.css'; body { background: url(https://evil.example/b) }</style>",
    "<link rel=stylesheet href='https://evil.example/a.css'><base href='https://evil.example/'><meta http-equiv=refresh content='0;url=https://evil.example'>",
    "[js](javascript:alert(1)) [JS](JaVaScRiPt:alert(1)) [tab](java\tscript:alert(1)) [nl](java&#10;script:alert(1)) [entity](&#106;avascript:alert(1))",
    "[vb](vbscript:msgbox(1)) [data](data:text/html,<script>alert(1)</script>) [file](file:///etc/passwd) [blob](blob:https://evil.example/1)",
    "[local](/v1/models) [relative](licences.txt) [hosted](//evil.example/x) [back](\\\\evil.example) [space]( javascript:alert(1))",
    "<javascript:alert(1)> <https://ok.example/auto> https://ok.example/bare?a=1&b=2",
    "[ok](https://ok.example/) [http](http://ok.example/) [mail](mailto:someone@ok.example) [title](https://ok.example/ \"onmouseover=alert(1)\")",
    "[ref]: javascript:alert(1)\n\n[ref] and [x][ref]",
    "```\"><img/src=x onerror=alert(1)>\n</code></pre><script>alert(1)</script>\n```",
    "```html\n<script>alert(1)</script><img src=https://evil.example/x onerror=alert(1)>\n```",
    "`</code><script>alert(1)</script>`",
    "| <script>alert(1)</script> | [x](javascript:alert(1)) |\n|:-:|--|\n| <img src=x onerror=alert(1)> a<br>b | ![i](https://evil.example/i.png) |",
    "# <img src=x onerror=alert(1)>\n\n> <script>alert(1)</script>\n\n- <svg/onload=alert(1)>",
    "&lt;script&gt;alert(1)&lt;/script&gt; &#60;img src=x onerror=alert(1)&#62;",
    "constructor __proto__ [x](https://ok.example/__proto__) {{7*7}} ${alert(1)}",
    "\u202e\u0000 \ufeff <scr\u0000ipt>alert(1)</script>",
    ">" * 3000 + " deep",
    "[" * 3000 + "x" + "](" * 3000,
    "*a **b " * 2000,
]
# What the page itself makes of Markdown, and nothing else.
KNOWN = "p ul ol li blockquote strong em s h3 h4 h5 h6 div table thead tbody tr th td br hr a span code pre figure figcaption button svg path".split()
SCHEMES = ("https://ok.example/", "http://ok.example/", "https://evil.example/", "mailto:someone@ok.example")

ELEMENTS = """root => [...root.querySelectorAll('*')].map(element => ({
    tag: element.localName, attributes: Object.fromEntries([...element.attributes].map(({ name, value }) => [name, value])), text: element.textContent,
}))"""


def check(tab, root, payload):
    for element in root.evaluate(ELEMENTS):
        assert element["tag"] in KNOWN, (payload, element)
        for name, value in element["attributes"].items():
            assert not name.startswith("on") and name not in ("src", "srcset", "style", "action", "formaction", "id", "name", "xlink:href"), (payload, element)
            assert name != "href" or (value.startswith(SCHEMES) and element["tag"] == "a"), (payload, element)
        if element["tag"] == "a":
            assert (element["attributes"].get("target"), element["attributes"].get("rel")) == ("_blank", "noopener noreferrer"), (payload, element)
    assert not tab.faults, (payload, tab.faults)


def test_markup_of_a_model_stays_text(browser):
    with browser.tab(answers=[events(payload) for payload in PAYLOADS]) as tab:
        for payload in PAYLOADS:
            message = tab.ask("Hello")
            check(tab, message.locator(".markdown"), payload)
        tab.page.wait_for_timeout(500)
        shown = tab.page.locator(".log").inner_text()
        for text in ("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "Image: pixel", "a\nb"):
            assert text in shown, text
        links = tab.page.locator(".markdown a").evaluate_all("links => links.map(link => link.href)")
        assert "https://ok.example/bare?a=1&b=2" in links and "mailto:someone@ok.example" in links and "https://evil.example/pixel.png" in links, links
        # From storage it is the same.
        tab.page.reload()
        for message in tab.page.locator(".markdown").all():
            check(tab, message, "reloaded")


def test_markup_stays_text_in_every_other_place(browser):
    payload = PAYLOADS[1]
    call = {"tool_calls": [{"index": 0, "function": {"name": payload, "arguments": payload}}]}
    answer = events({"reasoning_content": payload}, "ok", call).replace('"tiny"', f'"{payload}"')
    refusal = 'data: {"error": {"message": "<img src=x onerror=alert(1)>"}}\n\n'
    with browser.tab(answers=[answer, refusal], models=[{"id": payload}, {"id": "second"}]) as tab:
        message = tab.ask(payload)
        for summary in message.locator("summary").all():
            summary.click()
        tab.ask("fail")
        tab.button(f"Delete “{payload}”").click()
        tab.page.wait_for_timeout(300)
        assert tab.page.locator("img, script:not([src]), iframe").count() == 0
        assert tab.page.locator("[onerror]").count() == 0
        assert tab.page.get_by_text(payload).count() > 5


def test_the_policy_stops_what_the_page_would_not_do(browser):
    with browser.tab() as tab:
        blocked = tab.page.evaluate(
            """async base => {
                const seen = [];
                document.addEventListener("securitypolicyviolation", ({ effectiveDirective }) => seen.push(effectiveDirective));
                const attempts = [
                    () => { document.createElement("div").innerHTML = "<b>x</b>"; },
                    () => { const script = document.createElement("script"); script.text = "1"; document.body.append(script); },
                    () => { const style = document.createElement("style"); style.textContent = "b {}"; document.head.append(style); },
                    () => { const image = new Image(); image.src = "https://evil.example/x.png"; document.body.append(image); },
                    () => fetch("https://evil.example/").catch(() => {}),
                ];
                for (const attempt of attempts) try { await attempt(); } catch { /* the policy throws */ }
                await new Promise(done => setTimeout(done, 200));
                return seen;
            }""",
            tab.base,
        )
        for directive in ("require-trusted-types-for", "style-src-elem", "img-src", "connect-src"):
            assert directive in blocked, (directive, blocked)
        # These were ours.
        tab.faults.clear()


def test_files_are_compressed_and_not_sent_twice(browser):
    with browser.tab() as tab:
        names = tab.page.evaluate("() => performance.getEntriesByType('resource').map(({ name }) => name).filter(name => !name.includes('/v1/'))")
        assert len(names) >= 3, names
        for url in [f"{tab.base}/", *names]:
            answer = tab.context.request.get(url, headers={"accept-encoding": "gzip, br"})
            assert answer.ok and answer.headers["content-encoding"] == "br", (url, answer.headers)
            known = tab.context.request.get(url, headers={"accept-encoding": "gzip, br", "if-none-match": answer.headers["etag"]})
            assert (known.status, known.body()) == (304, b""), (url, known.status)
            # Playwright undoes the coding: what arrives is the same in each.
            plain = tab.context.request.get(url, headers={"accept-encoding": "identity"})
            gzip = tab.context.request.get(url, headers={"accept-encoding": "gzip"})
            assert gzip.headers["content-encoding"] == "gzip" and "content-encoding" not in plain.headers
            assert answer.body() == gzip.body() == plain.body(), url
            expect(answer).to_be_ok()
