"""Chats as the browser keeps them, files, and the keyboard."""

import json

from browser import events
from playwright.sync_api import expect

KEPT = "() => Object.keys(localStorage).filter(name => name.startsWith('hearth.conversation.')).length"


def talk(tab, *messages):
    for message in messages:
        tab.button("New chat").click()
        tab.ask(message)


def test_chats_are_found_renamed_and_deleted(browser):
    with browser.tab(answers=[events("A volcano is a mountain."), events("A whale is a mammal."), events("A quark is small.")]) as tab:
        talk(tab, "What is a volcano?", "What is a whale?", "What is a quark?")
        expect(tab.chats).to_have_count(3)
        expect(tab.chats.first).to_contain_text("quark")
        search = tab.page.get_by_role("searchbox", name="Search chats")
        search.fill("MAMMAL whale")
        expect(tab.chats).to_have_count(1)
        expect(tab.chats).to_contain_text("A whale is a mammal.")
        tab.chats.get_by_role("button", name="What is a whale?").first.click()
        expect(tab.page.locator("article.answer .markdown")).to_have_text("A whale is a mammal.")
        search.fill("nothing like it")
        expect(tab.page.get_by_text("Nothing found")).to_be_visible()
        search.fill("")
        for key, title in (("Escape", "What is a whale?"), ("Enter", "Whales")):
            tab.button("Rename “What is a whale?”").click()
            tab.page.get_by_role("textbox", name="Title").fill("Whales")
            tab.page.keyboard.press(key)
            expect(tab.page.get_by_role("heading", level=1)).to_have_text(title)
        tab.page.reload()
        expect(tab.page.get_by_role("heading", level=1)).to_have_text("Whales")
        tab.button("Delete “Whales”").click()
        question = tab.page.get_by_role("alertdialog", name="Delete this chat?")
        question.get_by_role("button", name="Cancel").click()
        expect(tab.chats).to_have_count(3)
        tab.button("Delete “Whales”").click()
        question.get_by_role("button", name="Delete").click()
        expect(tab.chats).to_have_count(2)
        expect(tab.page.locator("article")).to_have_count(0)
        assert tab.page.evaluate(KEPT) == 2
        tab.button("Delete all chats").click()
        tab.page.get_by_role("alertdialog").get_by_role("button", name="Delete all chats").click()
        expect(tab.page.get_by_text("No chats yet")).to_be_visible()
        assert tab.page.evaluate(KEPT) == 0


def test_chats_leave_and_come_back_as_a_file(browser):
    with browser.tab(answers=[events("One."), events("Two.")]) as tab:
        talk(tab, "First", "Second")
        with tab.page.expect_download() as download:
            tab.button("Export all chats").click()
        assert download.value.suggested_filename.startswith("hearth-") and download.value.suggested_filename.endswith(".json")
        with open(download.value.path(), encoding="utf-8") as file:
            exported = json.load(file)
        assert [chat["messages"][0]["content"] for chat in exported["conversations"]] == ["Second", "First"]
        kept = tab.page.evaluate("JSON.stringify(localStorage)")
        tab.button("Delete all chats").click()
        tab.page.get_by_role("alertdialog").get_by_role("button", name="Delete all chats").click()
        expect(tab.chats).to_have_count(0)

        def take(name, text):
            with tab.page.expect_file_chooser() as chooser:
                tab.button("Import chats").click()
            chooser.value.set_files({"name": name, "mimeType": "application/json", "buffer": text.encode()})

        notice = tab.page.get_by_role("alert")
        for wrong in ("", "{}", "[1]", json.dumps({**exported, "format": "other"}), json.dumps({**exported, "conversations": {}})):
            take("wrong.json", wrong)
            expect(notice).to_contain_text("wrong.json is not a file of exported chats.")
            tab.button("Dismiss").click()
        # What is no conversation among them is left out.
        odd = [None, 1, {"id": "../x", "messages": []}, {"id": "y"}, {"id": "z", "messages": [{"role": "system", "content": "no"}, {"role": "user"}, 7]}]
        take("all.json", json.dumps({**exported, "conversations": exported["conversations"] + odd}))
        expect(notice).to_contain_text("Imported 3 chats.")
        expect(tab.chats).to_have_count(3)
        tab.page.reload()
        tab.chats.get_by_role("button", name="First").first.click()
        expect(tab.page.locator("article.answer .markdown")).to_have_text("One.")
        again = json.loads(tab.page.evaluate("JSON.stringify(localStorage)"))
        for name, chat in json.loads(kept).items():
            if name.startswith("hearth.conversation."):
                assert json.loads(again[name]) == json.loads(chat), name
        take("all.json", json.dumps(exported))
        expect(notice).to_contain_text("Imported 0 chats.")


def test_another_tab_follows(browser):
    with browser.tab(answers=[events("One.")]) as tab:
        other = tab.context.new_page()
        other.goto(tab.base)
        tab.ask("Hello")
        expect(other.get_by_role("navigation").get_by_role("listitem")).to_contain_text("Hello")
        tab.button("Delete “Hello”").click()
        tab.page.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
        expect(other.get_by_role("navigation").get_by_role("listitem")).to_have_count(0)


def test_broken_storage_is_no_broken_page(browser):
    with browser.tab(answers=[events("Yes.")]) as tab:
        tab.page.evaluate(
            "() => { localStorage.setItem('hearth.conversation.a', '{'); localStorage.setItem('hearth.conversation.b', '{\"id\": \"c\", \"messages\": []}');"
            " localStorage.setItem('hearth.settings', '[\"\"]'); sessionStorage.setItem('hearth.current', '7') }"
        )
        tab.page.reload()
        expect(tab.chats).to_have_count(0)
        # A full storage is said, and the chat goes on.
        fill = "for (let size = 1 << 20; size; size >>= 1) try { for (;;) localStorage.setItem(crypto.randomUUID(), 'x'.repeat(size)) } catch {}"
        tab.page.evaluate(f"() => {{ {fill} }}")
        expect(tab.ask("Room?").locator(".markdown")).to_have_text("Yes.")
        expect(tab.page.get_by_role("alert")).to_contain_text("The browser has no room left")


def test_text_files_go_with_a_message(browser):
    with browser.tab(answers=[events("Seen."), events("Seen.")]) as tab:
        def add(*files):
            with tab.page.expect_file_chooser() as chooser:
                tab.button("Add text files").click()
            chooser.value.set_files([{"name": name, "mimeType": "text/plain", "buffer": bytes} for name, bytes in files])

        notice = tab.page.get_by_role("alert")
        add(("image.png", b"\x89PNG\r\n\x1a\n\0\0"), ("notes.md", "# Grüße\n```\ncode\n```\n".encode()), ("big.txt", b"x" * 600_000))
        expect(notice).to_contain_text("big.txt is larger than 512 KB.")
        tab.button("Dismiss").click()
        add(("nul.txt", b"a\0b"))
        expect(notice).to_contain_text("nul.txt is not a text file in UTF-8.")
        tab.page.evaluate(
            """() => {
                const data = new DataTransfer();
                data.items.add(new File(["a,b\\n1,2\\n"], "table.csv"));
                const drag = { dataTransfer: data, bubbles: true, cancelable: true };
                for (const type of ["dragover", "drop"]) document.querySelector(".log").dispatchEvent(new DragEvent(type, drag));
            }"""
        )
        chips = tab.page.locator(".composer .files li")
        expect(chips).to_have_text(["notes.md", "table.csv"])
        tab.ask("What is this?")
        assert tab.sent()["messages"][0]["content"] == "notes.md:\n````\n# Grüße\n```\ncode\n```\n````\n\ntable.csv:\n```\na,b\n1,2\n```\n\nWhat is this?"
        expect(chips).to_have_count(0)
        tab.page.locator("article.question summary").first.click()
        expect(tab.page.locator("article.question pre").first).to_contain_text("Grüße")
        add(("gone.txt", b"gone"), ("stays.txt", b"stays"))
        tab.button("Remove gone.txt").click()
        tab.button("Send").click()
        tab.answered()
        assert tab.sent()["messages"][-1]["content"] == "stays.txt:\n```\nstays\n```"


def test_everything_is_reached_by_keyboard(browser):
    with browser.tab(answers=[events("One."), events("Two.")]) as tab:
        keyboard, focused = tab.page.keyboard, lambda: tab.page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.textContent")
        tab.ask("Hello")
        keyboard.press("Control+/")
        shortcuts = tab.page.get_by_role("dialog", name="Keyboard shortcuts")
        expect(shortcuts.get_by_role("row")).to_have_count(8)
        keyboard.press("Escape")
        expect(shortcuts).to_have_count(0)
        expect(tab.field).to_be_focused()
        keyboard.press("Control+k")
        expect(tab.page.get_by_role("searchbox")).to_be_focused()
        keyboard.press("Shift+Escape")
        expect(tab.field).to_be_focused()
        keyboard.press("Control+Shift+O")
        expect(tab.page.get_by_role("heading", level=1)).to_have_text("New chat")
        expect(tab.field).to_be_focused()
        # From the start of the page: past the list, the header and the messages to the field.
        tab.chats.get_by_role("button", name="Hello").first.click()
        expect(tab.field).to_be_focused()
        skip = tab.page.locator(".skip")
        skip.focus()
        order = [focused()]
        while len(order) < 30 and (len(order) == 1 or order[-1] != "Message"):
            keyboard.press("Tab")
            order.append(focused())
        expected = ["New chat", "Search chats", "Hello", "Rename “Hello”", "Export all chats", "Keyboard shortcuts"]
        expected += ["Hide chats", "Model", "Settings", "Conversation", "Edit message", "Answer again", "Message"]
        places = [order.index(name, 1) for name in expected]
        assert places == sorted(places), order
        # The first stop leads straight to the field.
        skip.press("Enter")
        expect(tab.field).to_be_focused()
