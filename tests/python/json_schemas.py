"""Answers held to JSON schemas, judged by PyPI's jsonschema: `json_schemas.py BASE_URL [COMPOSED [TOKENS]]`.

Each schema is sent as a strict `response_format`. An answer that came to its end must be valid, one that was cut must be the beginning of JSON, and a refusal must be a 400
that says why. Prints counts, and the refusals' reasons.
"""

import collections
import concurrent.futures
import http.client
import json
import sys
import time
import urllib.parse
from decimal import Decimal

import jsonschema

from schemas import composed, everyday, keywords, prefix, refused

CONCURRENT = 12
SECONDS = 120  # for one answer
base = urllib.parse.urlparse(sys.argv[1])
count = int(sys.argv[2]) if len(sys.argv) > 2 else 230
tokens = int(sys.argv[3]) if len(sys.argv) > 3 else 48


def exact_multiple(_validator, divisor, instance, _schema):
    """jsonschema divides floating point numbers, by which 0.07 is no multiple of 0.01."""
    if isinstance(instance, (int, Decimal)) and not isinstance(instance, bool) and Decimal(instance) % Decimal(divisor) != 0:
        yield jsonschema.ValidationError(f"{instance} is no multiple of {divisor}")


def is_integer(_checker, instance):
    return isinstance(instance, int) and not isinstance(instance, bool) or isinstance(instance, Decimal) and instance == instance.to_integral_value()


def is_number(_checker, instance):
    return isinstance(instance, (int, Decimal)) and not isinstance(instance, bool)


def read(text):
    """JSON with exact numbers, no name twice in an object, and nothing that only Python takes."""

    def unique(pairs):
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)), f"a name is twice in {names}"
        return dict(pairs)

    def no(word):
        raise ValueError(f"{word} is no JSON")

    return json.loads(text, parse_float=Decimal, parse_constant=no, object_pairs_hook=unique)


def validate(schema, value):
    draft = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    types = draft.TYPE_CHECKER.redefine_many({"integer": is_integer, "number": is_number})
    exact = jsonschema.validators.extend(draft, {"multipleOf": exact_multiple}, type_checker=types)
    exact(read(json.dumps(schema)), format_checker=draft.FORMAT_CHECKER).validate(value)


def ask(number, schema):
    body = {
        "messages": [{"role": "user", "content": "Give an example, as short as can be."}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "case", "strict": True, "schema": schema}},
        "max_tokens": tokens, "temperature": 1, "seed": number,
    }
    connection = http.client.HTTPConnection(base.hostname, base.port, timeout=SECONDS)
    begun = time.monotonic()
    connection.request("POST", base.path + "/chat/completions", json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer, time.monotonic() - begun


def judge(number, name, schema, expected):
    """What became of a case, and what is wrong with that."""
    status, answer, took = ask(number, schema)
    if status == 400:
        error = answer["error"]
        if error["param"] is None or not error["message"]:
            return "refused", error["message"], took, f"the refusal does not say what is at fault: {error}"
        if expected == "answered":
            return "refused", error["message"], took, f"refused: {error['message']}"
        if expected not in (None, "endless") and expected not in error["message"]:
            return "refused", error["message"], took, f"the refusal does not name {expected!r}: {error['message']}"
        return "refused", error["message"], took, None
    if status != 200:
        return str(status), "", took, f"{status}: {answer}"
    choice = answer["choices"][0]
    text, reason = choice["message"]["content"], choice["finish_reason"]
    wrong = None
    try:
        if reason == "stop":
            validate(schema, read(text))
        else:
            assert reason == "length", reason
            prefix.check(text)
    except (AssertionError, ValueError, jsonschema.ValidationError) as error:
        wrong = f"{reason}: {getattr(error, 'message', error)}: {text!r}"
    if wrong is None and expected not in (None, "answered") and (expected, reason) != ("endless", "length"):
        wrong = f"answered, where it should be refused: {text!r}"
    return reason, "", took, wrong


cases = [(name, schema, "answered") for name, schema in [*everyday.cases(), *keywords.cases(), *composed.cases(count, 1)]] + list(refused.cases())
outcomes, reasons, wrong, slowest = collections.Counter(), collections.Counter(), [], (0, "")
begun = time.monotonic()
with concurrent.futures.ThreadPoolExecutor(CONCURRENT) as pool:
    for (name, schema, _), (outcome, reason, took, fault) in zip(cases, pool.map(lambda case: judge(case[0], *case[1]), enumerate(cases))):
        outcomes[outcome] += 1
        if reason:
            reasons[reason.split(": ", 1)[-1][:100]] += 1
        slowest = max(slowest, (took, name))
        if fault:
            wrong.append(f"{name}: {fault}\n    {json.dumps(schema, ensure_ascii=False)[:600]}")
print(f"{len(cases)} schemas in {time.monotonic() - begun:.0f} s: {dict(outcomes)}; slowest {slowest[1]} with {slowest[0]:.1f} s")
for reason, times in sorted(reasons.items()):
    print(f"  {times} refused: {reason}")
sys.exit("\n".join([f"{len(wrong)} wrong", *wrong]) if wrong else 0)
