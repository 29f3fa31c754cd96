"""openai-python's tests of its calls, against a server. They were written for a mock that takes any value of the right type: what is amended in `openai.toml` is sent
without the values that OpenAI itself would refuse."""

import os

import pytest


class Amend:
    """A plugin of pytest that amends the requests of tests as the list says."""

    def __init__(self, listed):
        self.listed, self.entry = listed, None

    def pytest_sessionstart(self):
        # Not before pytest's own plugins have loaded the library's dependencies: it warns of that, and a warning is an error there.
        import openai._base_client as base

        build = base.BaseClient._build_request

        def amended(client, options, **rest):
            if self.entry and isinstance(options.json_data, dict):
                data = {key: value for key, value in options.json_data.items() if key not in self.entry["without"]}
                options = options.model_copy(update={"json_data": data})
            return build(client, options, **rest)

        base.BaseClient._build_request = amended

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item):
        self.entry = self.listed.entry("amended", self.listed.name(item))


def plugins(listed, address):
    os.environ["TEST_API_BASE_URL"] = f"http://{address}/v1"
    return [Amend(listed)]


TESTS = ["chat", "responses", "test_completions.py", "test_embeddings.py", "test_models.py", "test_responses.py"]
