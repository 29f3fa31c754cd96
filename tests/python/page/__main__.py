"""The chat page in a real Chromium: `python page BASE_URL AXE_SCRIPT [CASE …]`. Runs every case, each in a browser profile of its own, and fails if one does."""

import sys
import traceback

from playwright.sync_api import sync_playwright

import chats
import looks
import safety
import talk
from browser import Browser

base, axe, *wanted = sys.argv[1:]
failed, passed = [], 0
with sync_playwright() as playwright:
    browser = Browser(playwright, base, axe)
    for module in (talk, chats, looks, safety):
        for name, case in vars(module).items():
            if name.startswith("test_") and (not wanted or name in wanted):
                try:
                    case(browser)
                    passed += 1
                except Exception:
                    failed.append(name)
                    print(f"--- {name}", traceback.format_exc(), sep="\n", file=sys.stderr)
print(f"{passed} passed, {len(failed)} failed {failed or ''}")
sys.exit(1 if failed or not passed else 0)
