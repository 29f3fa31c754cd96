"""The page before a server that needs keys: `guarded.py AXE_SCRIPT HEARTH URL`. Makes keys by the program HEARTH, beside that server."""

import json
import subprocess
import sys

from playwright.sync_api import expect, sync_playwright

from browser import Browser

axe, hearth, url = sys.argv[1:]


def keys(*words):
    return json.loads(subprocess.run([hearth, "keys", "--json", *words], check=True, capture_output=True, text=True).stdout)


def use(dialog, key):
    dialog.get_by_label("API key").fill(key)
    dialog.get_by_role("button", name="Use key").click()


def models(tab):
    return expect(tab.page.get_by_label("Model", exact=True))


def problem(tab, question):
    """What the page says of an answer that it does not get."""
    return expect(tab.ask(question).locator(".problem"))


with sync_playwright() as playwright:
    browser = Browser(playwright, url, axe)
    with browser.tab() as tab:
        dialog = tab.page.get_by_role("dialog", name="This server asks for a key")
        expect(dialog).to_be_visible()
        tab.check_accessible("the question for a key")
        turned = keys("create", "turned")
        wrong = turned["token"][:-1] + ("1" if turned["token"].endswith("0") else "0")
        use(dialog, wrong)
        expect(dialog).to_contain_text("The server did not accept this key.")
        use(dialog, turned["token"])
        expect(dialog).to_have_count(0)
        models(tab).to_have_value("smollm2")
        tab.set(max_tokens="8")
        expect(tab.ask("Say hello.").locator(".markdown")).not_to_be_empty()

        # Another secret: the page asks, and the message that was refused is sent again with what it is told.
        after = keys("rotate", turned["id"])
        tab.send("Are you there?")
        expect(dialog).to_contain_text("The server did not accept this key.")
        use(dialog, after["token"])
        expect(dialog).to_have_count(0)
        expect(tab.answered().locator(".markdown")).not_to_be_empty()
        expect(tab.page.locator("article")).to_have_count(4)

        keys("revoke", turned["id"])
        tab.send("And now?")
        expect(dialog).to_be_visible()
        # A key that may look but not chat is told so in the chat, not asked for another.
        use(dialog, keys("create", "reader", "--scope", "read")["token"])
        expect(dialog).to_have_count(0)
        expect(tab.answered().locator(".problem")).to_contain_text("scope")
        models(tab).to_have_value("smollm2")
        for held in (wrong, turned["token"], after["token"]):
            assert held not in tab.page.url and held not in tab.page.evaluate("JSON.stringify([{ ...localStorage }, document.body.innerHTML])")

    with browser.tab() as tab:
        dialog = tab.page.get_by_role("dialog", name="This server asks for a key")
        # Tokens a minute, which one answer uses up.
        use(dialog, keys("create", "limited", "--tokens-per-minute", "1")["token"])
        models(tab).to_have_value("smollm2")
        problem(tab, "Say hello.").to_contain_text("limit")
        expect(dialog).to_have_count(0)
    print("the page asks for keys, and says what is refused")
