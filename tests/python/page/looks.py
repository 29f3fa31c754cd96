"""How the page looks and reads: languages, themes, widths, and what axe-core finds."""

import re

from browser import events
from playwright.sync_api import expect

RICH = """# A heading

Some *text* with `code`, a [link](https://example.org/) and ~~nothing~~ more.

| left | right |
|:--|--:|
| a | 1 |

1. one
2. two
   - nested

> A quotation.

```python
def double(number: int) -> int:  # a comment
    return number * 2 if number else "a rather long line that does not fit on a telephone's screen at all, so that it has to scroll"
```

---
The end."""


def test_both_languages(browser):
    with browser.tab(locale="zh-CN", answers=[events("你好。")]) as tab:
        expect(tab.page.locator("html")).to_have_attribute("lang", "zh-Hans")
        expect(tab.page.get_by_role("heading", name="想聊些什么？")).to_be_visible()
        tab.page.get_by_role("textbox", name="消息").fill("你好")
        tab.page.keyboard.press("Enter")
        expect(tab.answered().locator(".counts")).to_contain_text("3 个词元")
        tab.button("设置").click()
        # Nothing on the page is left in the other language.
        words = re.compile(r"[A-Za-z]{3,}")
        texts = tab.page.evaluate(
            """() => {
                const labelled = [...document.querySelectorAll("[aria-label], [placeholder], [title]")];
                return [document.body.innerText, ...labelled.flatMap(element => [element.ariaLabel, element.placeholder, element.title])].join("\\n");
            }"""
        )
        left = set(words.findall(texts)) - {"Hearth", "Top", "English", "Min", "API", "tiny"} - set(re.findall(r"[A-Za-z]+", tab.page.locator(".model").inner_text()))
        assert not left, left
        tab.page.get_by_label("语言").select_option("en")
        expect(tab.page.get_by_role("dialog", name="Settings")).to_be_visible()
        expect(tab.page.locator("html")).to_have_attribute("lang", "en")
        tab.page.reload()
        expect(tab.page.locator(".counts")).to_contain_text("3 tokens")
    with browser.tab(locale="fr-FR") as tab:
        expect(tab.page.locator("html")).to_have_attribute("lang", "en")


def test_light_and_dark(browser):
    ground = lambda tab: tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
    with browser.tab() as light, browser.tab(scheme="dark") as dark:
        shades = [ground(light), ground(dark)]
        assert shades[0] != shades[1], shades
        for tab, theme, shade in ((light, "dark", shades[1]), (dark, "light", shades[0])):
            tab.set(theme=theme)
            assert ground(tab) == shade
            tab.page.reload()
            assert ground(tab) == shade
            tab.set(theme="system")
        assert [ground(light), ground(dark)] == shades


def test_nothing_is_found_by_axe(browser):
    for scheme in ("light", "dark"):
        answer = events({"reasoning_content": "Thoughts."}, RICH, {"tool_calls": [{"index": 0, "function": {"name": "look", "arguments": "{}"}}]}, finish="length")
        with browser.tab(scheme=scheme, answers=[answer, events("Half", done=False)], models=[{"id": "tiny", "context_length": 100}]) as tab:
            tab.check_accessible(f"{scheme}: empty")
            message = tab.ask("Show everything.")
            for summary in message.locator("summary").all():
                summary.click()
            tab.check_accessible(f"{scheme}: an answer")
            tab.ask("And fail.")
            tab.page.get_by_role("searchbox").fill("everything")
            tab.check_accessible(f"{scheme}: a problem, a search")
            tab.page.get_by_role("searchbox").fill("")
            tab.button("Rename “Show everything.”").click()
            tab.check_accessible(f"{scheme}: a title")
            tab.page.keyboard.press("Escape")
            tab.button("Edit message").first.click()
            tab.check_accessible(f"{scheme}: an edited message")
            tab.page.keyboard.press("Escape")
            for name in ("Settings", "Keyboard shortcuts", "Delete all chats"):
                tab.button(name).click()
                tab.check_accessible(f"{scheme}: {name}")
                tab.page.keyboard.press("Escape")
                expect(tab.page.locator("dialog")).to_have_count(0)


def test_a_phone_is_wide_enough(browser):
    with browser.tab(width=360, height=700, has_touch=True, is_mobile=True, answers=[events(RICH)]) as tab:
        fits = lambda: tab.page.evaluate("document.documentElement.scrollWidth") <= 360
        assert fits()
        tab.ask("Show everything.")
        assert fits()
        assert tab.page.locator("pre").evaluate("pre => pre.scrollWidth > pre.clientWidth && pre.getBoundingClientRect().right <= innerWidth")
        expect(tab.page.get_by_role("navigation")).to_have_count(0)
        tab.button("Show chats").tap()
        expect(tab.page.get_by_role("navigation")).to_be_visible()
        # What lies under the list is out of reach.
        assert tab.page.locator("main").evaluate("main => main.inert")
        expect(tab.page.get_by_role("navigation").get_by_role("button", name="New chat")).to_be_focused()
        assert fits()
        tab.check_accessible("a phone's list")
        tab.page.keyboard.press("Escape")
        expect(tab.page.get_by_role("navigation")).to_have_count(0)
        expect(tab.button("Show chats")).to_be_focused()
        tab.button("Show chats").tap()
        tab.chats.get_by_role("button", name="Show everything.").first.tap()
        expect(tab.page.get_by_role("navigation")).to_have_count(0)
        tab.button("Settings").tap()
        assert fits()
        tab.check_accessible("a phone's settings")
