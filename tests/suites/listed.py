"""What a suite that is not ours cannot ask of this service, and what it says of itself in the end.

A suite's list (`openai.toml`, `llama.toml`) has three kinds of entries, whose `test` is a pattern for the names that pytest gives tests (`file::Class::test[values]`):

- `[[listed]]`: tests that fail here, and the `reason`. They are run all the same, and one that passes fails the suite, so that the list stays true;
  `run = false` for those that would need what cannot be there, or wait for it.
- `[[values]]`: values of tests that depend on a model, with the numbers and words of ours.
- `[[amended]]`: requests of made-up values, which are sent without those that no service could take (see `openai_api.py`).
"""

import fnmatch
import pathlib
import re
import tomllib

import pytest


class Listed:
    """A plugin of pytest for one suite; `root` is the folder below which its tests' names begin."""

    def __init__(self, path, root):
        entries = tomllib.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        self.path, self.root = path, pathlib.Path(root).resolve()
        self.entries = {kind: entries.get(kind, []) for kind in ("listed", "values", "amended")}
        self.used = set()
        # Of each file: for each test the reason why it is not expected to pass, or `passed`, or `skipped` by the suite itself.
        self.files = {}

    def name(self, item):
        """A test's name, from its file on."""
        return f"{item.path.relative_to(self.root).as_posix()}::{item.nodeid.split('::', 1)[1]}"

    def entry(self, kind, name):
        """The first entry of a kind that has this test."""
        for at, entry in enumerate(self.entries[kind]):
            for pattern in patterns(entry):
                if fnmatch.fnmatchcase(name, re.sub(r"\[(?!!)", "[[]", pattern)):
                    self.used.add((kind, at, pattern))
                    return entry
        return None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        for item in items:
            name = self.name(item)
            entry = self.entry("listed", name)
            if entry:
                item.add_marker(pytest.mark.xfail(reason=entry["reason"], run=entry.get("run", True), strict=True))
            if values := self.entry("values", name):
                item.callspec.params.update((key, value) for key, value in values.items() if key in item.callspec.params)
            skipped = item.get_closest_marker("skip") is not None
            self.files.setdefault(name.split("::")[0], []).append("skipped" if skipped else entry["reason"] if entry else "passed")

    def section(self):
        """What a document says of a suite that has run as it should."""
        lines = ["| tests | pass | listed |", "|---|---|---|"]
        total = [0, 0]
        for file, results in sorted(self.files.items()):
            passed, skipped = results.count("passed"), results.count("skipped")
            total = [total[0] + passed, total[1] + len(results) - passed - skipped]
            lines.append(f"| `{file}` | {passed} | {len(results) - passed - skipped} |")
        lines += [f"| together | {total[0]} | {total[1]} |", "", "| listed | why |", "|---|---|"]
        for entry in self.entries["listed"]:
            count = sum(results.count(entry["reason"]) for results in self.files.values())
            lines.append(f"| {count} | {entry['reason']} |")
        for entry in self.entries["amended"]:
            lines.append(f"| without {', '.join(f'`{name}`' for name in entry['without'])} | {entry['reason']} |")
        return "\n".join(lines) + "\n"

    def unused(self):
        """Patterns of the list that no test has."""
        for kind, entries in self.entries.items():
            for at, entry in enumerate(entries):
                for pattern in patterns(entry):
                    if (kind, at, pattern) not in self.used:
                        yield f"[[{kind}]] {pattern}"


def patterns(entry):
    """An entry's patterns, one or several."""
    return entry["test"] if isinstance(entry["test"], list) else [entry["test"]]
