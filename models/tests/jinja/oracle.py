"""Renders chat templates with jinja2, in the environment that Hugging Face's `apply_chat_template` makes.

in (standard input):  {"templates": ["source", ...], "chats": [{"messages", "tools", "add_generation_prompt", "extra"}, ...], "bos", "eos", "now": seconds}
    or with "chats_of": [[chat, ...], ...] in place of "chats", for each template its own
out (standard output): for each template its outcome for each chat: [{"text": "..."} or {"error": "..."}, ...]
"""

import datetime
import json
import sys

from jinja2 import nodes
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(Extension):
    """`{% generation %}`: renders its body."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def raise_exception(message):
    raise TemplateError(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment(now):
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = now.strftime
    return env


def render(template, chat, bos, eos):
    try:
        text = template.render(
            messages=chat["messages"],
            tools=chat.get("tools"),
            documents=None,
            add_generation_prompt=chat["add_generation_prompt"],
            bos_token=bos,
            eos_token=eos,
            **chat.get("extra", {}),
        )
        return {"text": text}
    except Exception as error:  # whatever a template does wrong is its outcome
        return {"error": f"{type(error).__name__}: {error}"}


def main():
    job = json.load(sys.stdin)
    env = environment(datetime.datetime.fromtimestamp(job["now"], datetime.timezone.utc))
    outcomes = []
    for number, source in enumerate(job["templates"]):
        chats = job["chats_of"][number] if "chats_of" in job else job["chats"]
        try:
            template = env.from_string(source)
        except Exception as error:
            outcomes.append([{"error": f"{type(error).__name__}: {error}"}] * len(chats))
            continue
        outcomes.append([render(template, chat, job["bos"], job["eos"]) for chat in chats])
    json.dump(outcomes, sys.stdout)


main()
