"""llama.cpp's tests of its server, against this one: `start` and `stop` of their `ServerProcess` are replaced, its options become ours, and its models ours.

A server runs on from test to test while the next asks for the same one: that a chat before it changes nothing is a promise of the service."""

import inspect
import os
import re
import subprocess
import sys
import time
import types
import urllib.request

# What its options are here. A context is that of one chat here, and of all together there.
MODELS = {
    ("ggml-org/test-model-stories260K", None): "smollm2.gguf",
    ("ggml-org/models", "bert-bge-small/ggml-model-f16.gguf"): "minilm",
    ("ggml-org/models", "jina-reranker-v1-tiny-en/ggml-model-f16.gguf"): "minilm",
}
# Options without an equal, and the values that ask for nothing. The others that its tests set change no answer: batches, threads, attention.
NOT_HERE = {
    "backend_sampling": [False],
    "chat_template": [None],
    "chat_template_file": [None],
    "cors_origins": [None],
    "media_path": [None],
    "model_tags": [None],
    "no_ui": [None, False],
    "pooling": [None, "mean", "last"],
    "reasoning": [None],
    "server_host": ["127.0.0.1"],
    "server_metrics": [False],
    "server_slots": [False],
    "server_tools": [None],
    "ui_mcp_proxy": [False],
}


class NotHere(Exception):
    """A test's server has an option or a model that this one has not."""


class Servers:
    """A plugin of pytest that gives tests their servers: `command` starts one, further options follow; models lie in `data`."""

    def __init__(self, command, data, port):
        self.command, self.data, self.port = command, data, port
        self.process, self.arguments, self.keys, self.names = None, None, {}, []
        # Their module of helpers wants a downloader, which is not needed where nothing is downloaded.
        sys.modules.setdefault("wget", types.ModuleType("wget"))

    def pytest_sessionstart(self):
        import utils

        servers = self

        def start(self, timeout_seconds=60):
            self.server_port = servers.port
            servers.ensure(self)
            utils.server_instances.add(self)

        utils.ServerProcess.start = start
        utils.ServerProcess.stop = lambda self: utils.server_instances.discard(self)
        utils.ServerPreset.load_all = staticmethod(lambda: None)
        process = utils.ServerProcess
        process.make_request, process.make_stream_request = translated(process.make_request, process.make_stream_request)

    def pytest_runtest_setup(self, item):
        # Its server answers to any model's name; this one to those that it serves.
        source = inspect.getsource(item.function)
        self.names = re.findall(r'\bmodel="([^"]+)"', source)
        if model := hasattr(item, "callspec") and item.callspec.params.get("model"):
            self.names.append(model)

    def pytest_sessionfinish(self):
        self.end()

    def ensure(self, wanted):
        """A server such as `wanted`: the one that runs, if it is such."""
        for option, values in NOT_HERE.items():
            if (value := getattr(wanted, option)) not in values:
                raise NotHere(f"{option} = {value!r}")
        file = MODELS.get((wanted.model_hf_repo, wanted.model_hf_file))
        if file is None or "," in wanted.model_alias:
            raise NotHere(f"{wanted.model_hf_repo} {wanted.model_hf_file} as {wanted.model_alias}")
        slots = wanted.n_slots or 1
        arguments = ["--context", str((wanted.n_ctx or 512) // slots), "--sequences", str(slots)]
        for name in [wanted.model_alias, *self.names]:
            arguments += ["--model", f"{name}={self.data / file}"]
        # A key is a secret, which no server takes as an argument; each shape knows its own variable.
        keys = {name: wanted.api_key for name in ("HEARTH_API_KEY", "SPIN_VARIABLE_API_KEY") if wanted.api_key}
        if (arguments, keys) != (self.arguments, self.keys) or self.process.poll() is not None:
            self.end()
            self.process = subprocess.Popen([*self.command, "--listen", f"127.0.0.1:{self.port}", *arguments], env=os.environ | keys)
            self.arguments, self.keys = arguments, keys
            self.wait()

    def wait(self):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health"):
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"the server did not become healthy: {self.arguments}")

    def end(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


def translated(make_request, make_stream_request):
    """Both ways to ask, with what llama.cpp's server is told as it starts, and what its tests know it by."""

    def asked(server, path, data):
        # Greedy, for a draw could end an answer before its limit.
        if path.endswith("/chat/completions") and isinstance(data, dict):
            return {"temperature": 0, "max_tokens": server.n_predict} | data
        # llama.cpp's test model hardly ever ends.
        if path == "/completion":
            return {"temperature": 0, "n_predict": server.n_predict, "seed": server.seed, "ignore_eos": True} | data
        return data

    def answered(body):
        # llama.cpp's fingerprint is its build, as in b1234; and the first piece of its streams has no text, where OpenAI's has an empty one.
        if isinstance(body, dict) and "system_fingerprint" in body:
            body["system_fingerprint"] = "b" + body["system_fingerprint"]
            for choice in body["choices"]:
                if choice.get("delta", {}).get("content") == "":
                    choice["delta"]["content"] = None
        return body

    def request(self, method, path, data=None, *more, **named):
        response = make_request(self, method, path, asked(self, path, data), *more, **named)
        response.body = answered(response.body)
        return response

    def stream(self, method, path, data=None, *more, **named):
        return map(answered, make_stream_request(self, method, path, asked(self, path, data), *more, **named))

    return request, stream


TESTS = [f"unit/test_{name}.py" for name in ("basic", "chat_completion", "completion", "embedding", "metrics", "rerank", "security", "stream", "tokenize")]
