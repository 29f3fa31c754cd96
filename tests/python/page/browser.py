"""A tab of Chromium that notes what must never happen: a request to anywhere else, an error in a script, something that the page's policy had to stop."""

import json
import shutil
from contextlib import contextmanager

from playwright.sync_api import expect

expect.set_options(timeout=30_000)

# A browser of the system, else the one that Playwright installed.
SYSTEM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"])), None)


class Browser:
    def __init__(self, playwright, base, axe):
        self.chromium = playwright.chromium.launch(executable_path=SYSTEM)
        self.base = base
        with open(axe, encoding="utf-8") as script:
            self.axe = script.read()

    @contextmanager
    def tab(self, width=1200, height=800, locale="en-US", scheme="light", answers=None, models=None, **options):
        """A page that is loaded. `answers` are the events of each answer in turn, in the place of the server's."""
        context = self.chromium.new_context(
            base_url=self.base, viewport={"width": width, "height": height}, locale=locale, color_scheme=scheme, reduced_motion="reduce", **options
        )
        try:
            tab = Tab(context, self.base, self.axe)
            if answers is not None:
                tab.answer_with(answers)
            if models is not None:
                tab.page.route("**/v1/models", lambda route: route.fulfill(json={"object": "list", "data": models}))
            tab.page.goto("/")
            yield tab
            assert not tab.faults, tab.faults
        finally:
            context.close()


class Tab:
    def __init__(self, context, base, axe):
        self.context, self.base, self.axe = context, base, axe
        self.page = context.new_page()
        self.faults, self.requests = [], []
        self.page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        self.page.on("console", self.heard)
        self.page.on("dialog", lambda dialog: (self.faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        context.on("request", self.requested)

    def heard(self, message):
        # The browser logs an answer like 401 as an error; that is the page's business.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.faults.append(f"console: {message.text}")

    def requested(self, request):
        if not request.url.startswith((f"{self.base}/", f"blob:{self.base}/")):
            self.faults.append(f"request: {request.url}")
        if request.url.endswith("/v1/chat/completions"):
            self.requests.append(request)

    def answer_with(self, answers):
        waiting = iter(answers)
        self.page.route("**/v1/chat/completions", lambda route: route.fulfill(content_type="text/event-stream", body=next(waiting)))

    # What a reader sees and does.
    def send(self, text):
        self.field.fill(text)
        self.field.press("Enter")

    def ask(self, text):
        """Sends a message and waits for the whole answer."""
        self.send(text)
        return self.answered()

    def answered(self):
        expect(self.page.locator("article.answer").last).to_be_visible()
        expect(self.page.locator("article.live")).to_have_count(0, timeout=120_000)
        return self.page.locator("article.answer").last

    @property
    def field(self):
        return self.page.locator("#message")

    @property
    def chats(self):
        return self.page.get_by_role("navigation").get_by_role("listitem")

    def button(self, name, **options):
        return self.page.get_by_role("button", name=name, **options)

    def open_settings(self):
        self.button("Settings").click()
        return self.page.get_by_role("dialog", name="Settings")

    def set(self, **values):
        """Changes settings by the names of their fields."""
        dialog = self.open_settings()
        for name, value in values.items():
            field = dialog.locator(f"[name={name}]")
            field.select_option(value) if field.evaluate("field => field.tagName") == "SELECT" else field.fill(value)
            field.blur()
        self.page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)

    def sent(self, index=-1):
        """The document of a chat request."""
        return json.loads(self.requests[index].post_data)

    def check_accessible(self, what):
        """axe-core, all of its rules."""
        violations = self.page.evaluate(f"async () => {{ {self.axe}\nreturn (await axe.run(document)).violations }}")
        found = [(rule["id"], rule["help"], [node["html"][:200] for node in rule["nodes"]]) for rule in violations]
        assert not found, (what, found)


def events(*deltas, finish="stop", usage=(7, 3), done=True, **more):
    """A streamed answer with these deltas; a text is a delta of content."""
    frames = [{"choices": [{"index": 0, "delta": {"content": delta} if isinstance(delta, str) else delta}], "model": "tiny"} for delta in deltas]
    frames.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    prompt, completion = usage
    frames.append({"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}, **more})
    return "".join(f"data: {json.dumps(frame)}\n\n" for frame in frames) + ("data: [DONE]\n\n" if done else "")
