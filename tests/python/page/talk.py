"""Talking: with the server's own model where the server matters, with prepared answers where the answer does."""

import re

from browser import events
from playwright.sync_api import expect

LONG = "Write a long story about a ship at sea."


def test_a_message_is_answered_piece_by_piece_and_kept(browser):
    with browser.tab() as tab:
        expect(tab.page.get_by_role("heading", name="What is on your mind?")).to_be_visible()
        expect(tab.page.get_by_label("Model", exact=True).locator("option")).to_have_count(1)
        tab.set(max_tokens="120", temperature="0")
        tab.field.focus()
        tab.page.keyboard.type("Write about the sea.")
        tab.page.keyboard.press("Shift+Enter")
        tab.page.keyboard.type("And the sky.")
        expect(tab.page.locator("article")).to_have_count(0)
        tab.page.keyboard.press("Enter")
        expect(tab.page.locator("article.question .text")).to_have_text("Write about the sea.\nAnd the sky.", use_inner_text=True)
        # An answer that grows: text is there while more is to come, and then there is more.
        live = tab.page.locator("article.live .markdown")
        expect(live).to_contain_text(re.compile(r"\w+"))
        early = live.inner_text()
        answer = tab.answered()
        text = answer.locator(".markdown").inner_text()
        assert len(text) > len(early) > 0, (early, text)
        expect(answer.locator(".counts")).to_contain_text(re.compile(r"^\d+ tokens · [\d.,]+ tokens/s · first after [\d.]+ s$"))
        expect(tab.page.get_by_role("status")).to_contain_text("Answer: ")
        expect(tab.page).to_have_title("Write about the sea. – Hearth")
        expect(tab.field).to_be_focused()
        tab.page.reload()
        assert tab.page.locator("article.answer .markdown").inner_text() == text
        expect(tab.page.locator("article.question .text")).to_have_text("Write about the sea.\nAnd the sky.", use_inner_text=True)
        expect(tab.chats).to_have_count(1)


def test_an_answer_is_stopped_by_key_and_button(browser):
    with browser.tab() as tab:
        tab.set(temperature="0")
        for stop in (lambda: tab.page.keyboard.press("Escape"), lambda: tab.button("Stop").click()):
            tab.button("New chat").click()
            tab.send(LONG)
            expect(tab.page.locator("article.live .markdown")).to_contain_text(re.compile(r"\w+"))
            stop()
            answer = tab.answered()
            expect(answer.locator(".note")).to_have_text("Stopped")
            text = answer.inner_text()
            tab.page.wait_for_timeout(300)
            assert answer.inner_text() == text
            expect(tab.button("Send")).to_be_visible()
        tab.set(max_tokens="4")
        tab.ask("Hello")
        # What was stopped is part of the conversation still.
        roles = [message["role"] for message in tab.sent()["messages"]]
        assert roles == ["user", "assistant", "user"], roles


def test_a_message_is_edited_and_an_answer_made_again(browser):
    with browser.tab() as tab:
        tab.set(max_tokens="8")
        tab.ask("First question")
        tab.ask("Second question")
        tab.page.locator("article.question").first.get_by_role("button", name="Edit message").click()
        editor = tab.page.get_by_role("textbox", name="Edit message")
        expect(editor).to_be_focused()
        editor.fill("Another question")
        tab.button("Send again").click()
        tab.answered()
        assert tab.sent()["messages"] == [{"role": "user", "content": "Another question"}]
        expect(tab.page.locator("article")).to_have_count(2)
        tab.button("Answer again").click()
        tab.answered()
        assert len(tab.requests) == 4 and tab.sent() == tab.sent(2)
        # A cluster sends all of a conversation to the one that knows its beginning.
        names = {request.headers["x-session-affinity"] for request in tab.requests}
        assert len(names) == 1, names
        expect(tab.page.locator("article")).to_have_count(2)
        # The keyboard's way there, and back without a change.
        tab.field.press("ArrowUp")
        expect(editor).to_be_focused()
        editor.press("Escape")
        expect(tab.field).to_be_focused()
        assert len(tab.requests) == 4


def test_settings_are_sent_and_kept(browser):
    with browser.tab() as tab:
        tab.set(system="Answer in one word.", temperature="0.3", top_p="0.9", top_k="20", min_p="0.02", max_tokens="6", seed="7",
                repeat_penalty="1.1", frequency_penalty="0.2", presence_penalty="-0.2", thinking="off", stop="###\nEND")
        tab.ask("Yes or no?")
        asked = tab.sent()
        expected = dict(temperature=0.3, top_p=0.9, top_k=20, min_p=0.02, max_tokens=6, seed=7, repeat_penalty=1.1, frequency_penalty=0.2,
                        presence_penalty=-0.2, stop=["###", "END"], stream=True, stream_options={"include_usage": True},
                        chat_template_kwargs={"enable_thinking": False})
        assert {name: asked.get(name) for name in expected} == expected, asked
        assert asked["messages"][0] == {"role": "system", "content": "Answer in one word."}
        tab.page.reload()
        dialog = tab.open_settings()
        expect(dialog.locator("[name=top_k]")).to_have_value("20")
        expect(dialog.locator("[name=system]")).to_have_value("Answer in one word.")
        # What the server would refuse is not taken.
        dialog.locator("[name=temperature]").fill("3")
        dialog.locator("[name=temperature]").blur()
        dialog.get_by_role("button", name="Reset to defaults").click()
        expect(dialog.locator("[name=top_k]")).to_have_value("")
        tab.page.keyboard.press("Escape")
        tab.set(max_tokens="4")
        tab.ask("And now?")
        assert "top_k" not in tab.sent() and tab.sent()["temperature"] == 0.6 and "stop" not in tab.sent()


def test_reasoning_is_folded_and_tool_calls_are_shown(browser):
    call = lambda **function: {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]}
    answer = events({"reasoning_content": "First I **think**"}, {"reasoning_content": " a while."}, "The answer.", call(name="weather", arguments='{"city"'),
                    call(arguments=': "Bern"}'), timings={"predicted_per_second": 42.5})
    with browser.tab(answers=[answer, events("Again.")]) as tab:
        message = tab.ask("Weather?")
        expect(message.locator(".reasoning > .markdown")).to_have_count(0)
        message.get_by_text("Reasoning").click()
        expect(message.locator(".reasoning strong")).to_have_text("think")
        expect(message.locator(".tool summary")).to_have_text("Tool call: weather")
        message.locator(".tool summary").click()
        expect(message.locator(".tool pre")).to_have_text('{\n  "city": "Bern"\n}', use_inner_text=True)
        expect(message.locator(".counts")).to_contain_text("3 tokens · 42.5 tokens/s")
        tab.ask("Again?")
        assert tab.sent()["messages"][1] == {"role": "assistant", "content": "The answer."}


def test_code_is_coloured_and_copied(browser):
    code = 'fn main() {\n    println!("<b>&amp;</b>");\n}'
    with browser.tab(answers=[events(f"Here:\n\n```rust\n{code}\n```\nDone.")], permissions=["clipboard-read", "clipboard-write"]) as tab:
        message = tab.ask("Code?")
        expect(message.locator("pre")).to_have_text(code, use_inner_text=True)
        expect(message.locator(".hl-keyword")).to_have_text("fn")
        message.get_by_role("button", name="Copy code").click()
        expect(message.get_by_role("button", name="Copy code")).to_have_text("Copied")
        assert tab.page.evaluate("navigator.clipboard.readText()") == code
        message.get_by_role("button", name="Copy message").click()
        tab.page.wait_for_function("async () => (await navigator.clipboard.readText()).startsWith('Here:')")


def test_what_goes_wrong_is_said_and_can_be_tried_again(browser):
    with browser.tab(answers=[events("Half an ans", done=False), "data: <html>\n\n", 'data: {"error": {"message": "The model fell over."}}\n\n', events("Whole.")]) as tab:
        for problem in ("The connection broke off before the end of the answer.", "The server sent something that is no chat answer.", "The model fell over."):
            message = tab.ask("Hello") if not tab.requests else tab.answered()
            expect(message.locator(".problem")).to_have_text(problem)
            tab.button("Try again").click()
        expect(tab.answered().locator(".markdown")).to_have_text("Whole.")
        assert tab.sent()["messages"] == [{"role": "user", "content": "Hello"}]
        tab.page.unroute("**/v1/chat/completions")
        tab.page.route("**/v1/chat/completions", lambda route: route.abort())
        expect(tab.ask("Anyone?").locator(".problem")).to_have_text("The server cannot be reached.")
        # The server's own refusal, in its own words.
        tab.page.unroute("**/v1/chat/completions")
        tab.set(system="x " * 40_000)
        expect(tab.ask("Too long?").locator(".problem")).to_contain_text("context")


def test_the_key_is_asked_for_when_it_is_needed(browser):
    def guarded(route):
        if route.request.headers.get("authorization") == "Bearer right":
            models = {"object": "list", "data": [{"id": "guarded", "object": "model"}]}
            if route.request.url.endswith("models"):
                return route.fulfill(json=models)
            return route.fulfill(content_type="text/event-stream", body=events("Welcome."))
        return route.fulfill(status=401, json={"error": {"message": "No key.", "type": "invalid_request_error", "param": None, "code": "invalid_api_key"}})

    with browser.tab() as tab:
        tab.page.route("**/v1/**", guarded)
        tab.page.reload()
        dialog = tab.page.get_by_role("dialog", name="This server asks for a key")
        dialog.get_by_role("button", name="Cancel").click()
        # Without one the question comes with the first message again, and the message is not lost.
        tab.send("Hello")
        for key, then in (("wrong", "The server did not accept this key."), ("right", None)):
            dialog.get_by_label("API key").fill(key)
            dialog.get_by_role("button", name="Use key").click()
            if then:
                expect(dialog).to_contain_text(then)
        expect(dialog).to_have_count(0)
        expect(tab.answered().locator(".markdown")).to_have_text("Welcome.")
        expect(tab.page.get_by_label("Model", exact=True)).to_have_value("guarded")
        expect(tab.page.locator("article")).to_have_count(2)
        assert "right" not in tab.page.url and all("right" not in request.url for request in tab.requests)
        assert "right" not in tab.page.evaluate("JSON.stringify(localStorage)")
        tab.page.reload()
        expect(tab.page.get_by_label("Model", exact=True)).to_have_value("guarded")
        tab.open_settings().get_by_role("button", name="Forget the key").click()
        assert "right" not in tab.page.evaluate("JSON.stringify(sessionStorage)")


def test_the_use_of_the_context_is_shown(browser):
    with browser.tab(answers=[events("Yes.", usage=(3000, 1000))], models=[{"id": "tiny", "context_length": 8192}]) as tab:
        tab.ask("Long?")
        expect(tab.page.locator(".context")).to_contain_text("4,000 / 8,192")
        assert tab.page.get_by_role("meter", name="Context").evaluate("meter => [meter.value, meter.max]") == [4000, 8192]
