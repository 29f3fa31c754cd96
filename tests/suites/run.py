"""A suite that is not ours against this service, and what docs/suites.md says of it:

    run.py openai DATA ADDRESS             openai-python's tests against the server at ADDRESS
    run.py llama DATA PORT -- COMMAND…     the tests of llama.cpp's server, against those that COMMAND starts on PORT

DATA is the folder with the suites' sources and the models. The run fails where a test fails that is not listed, where one that is listed passes, and where the numbers are
not those of docs/suites.md; with HEARTH_WRITE_TABLES=1 in the environment they are written there instead.
"""

import os
import pathlib
import sys

import pytest

import llama_server
import openai_api
from listed import Listed

HERE = pathlib.Path(__file__).resolve().parent
DOCUMENT = HERE.parents[1] / "docs/suites.md"
OPENAI = "openai-3.54.0"
LLAMA = "llama-cpp-python-0.3.36/vendor/llama.cpp/tools/server/tests"


def main(suite, data, *more):
    data = pathlib.Path(data).resolve()
    if suite == "openai":
        folder, names, tests = data / OPENAI, data / OPENAI / "tests/api_resources", [f"tests/api_resources/{test}" for test in openai_api.TESTS]
        listed = Listed(HERE / "openai.toml", names)
        plugins, flags = openai_api.plugins(listed, *more), []
    else:
        folder, names, tests = data / LLAMA, data / LLAMA, llama_server.TESTS
        listed = Listed(HERE / "llama.toml", names)
        port, _, *command = more
        plugins, flags = [llama_server.Servers(command, data, int(port))], ["-p", "no:asyncio"]
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    # A line of each failure: whole tracebacks of those that are listed would take longer to write than the tests to run.
    # Nor a cache: the folders are those of other tests too.
    flags += ["-p", "no:cacheprovider", "--override-ini=addopts=", "--quiet", "--tb=line", "--timeout=120"]
    failed = pytest.main([*flags, *tests], plugins=[listed, *plugins])
    if failed:
        return int(failed)
    if unused := list(listed.unused()):
        print(f"{listed.path}: no test is called", *unused, sep="\n  ")
        return 1
    return check(suite, listed.section())


def check(suite, section):
    """Whether the document has the section; writes it where that is wanted."""
    text = DOCUMENT.read_text(encoding="utf-8")
    begin, end = f"<!-- {suite} -->\n", f"<!-- end of {suite} -->\n"
    before, rest = text.split(begin)
    found, after = rest.split(end)
    if found == section:
        return 0
    if os.environ.get("HEARTH_WRITE_TABLES"):
        DOCUMENT.write_text(before + begin + section + end + after, encoding="utf-8")
        return 0
    print(f"{DOCUMENT} says otherwise of {suite}; HEARTH_WRITE_TABLES=1 writes what was found:\n\n{section}")
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
