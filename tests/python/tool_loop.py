"""Tools over a streamed chat with OpenAI's own client: `tool_loop.py BASE_URL [TRIES]`.

Each try asks a question, puts the calls together from the stream's deltas, runs them, sends their results back and asks for an answer. At temperature 1 a small model says
many things; whatever it calls has to parse, to be valid, and to run.
"""

import collections
import concurrent.futures
import json
import sys

import jsonschema
import openai

CONCURRENT = 8
client = openai.OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0, timeout=120)
tries = int(sys.argv[2]) if len(sys.argv) > 2 else 200
model = client.models.list().data[0].id

PARAMETERS = {
    "weather": {
        "type": "object",
        "properties": {"city": {"type": "string", "minLength": 1, "maxLength": 24}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
        "required": ["city", "unit"],
        "additionalProperties": False,
    },
    "calculator": {
        "type": "object",
        "properties": {
            "operation": {"type": "string", "enum": ["add", "subtract", "multiply", "divide"]},
            "a": {"type": "number", "minimum": -1000000, "maximum": 1000000},
            "b": {"type": "number", "minimum": -1000000, "maximum": 1000000},
        },
        "required": ["operation", "a", "b"],
        "additionalProperties": False,
    },
}
ABOUT = {"weather": "The weather in a city now.", "calculator": "Computes with two numbers."}
TOOLS = [{"type": "function", "function": {"name": name, "description": ABOUT[name], "parameters": schema, "strict": True}} for name, schema in PARAMETERS.items()]
QUESTIONS = ["What is the weather in Zürich, in celsius?", "What is 12.5 times 8?", "Is it warmer in 東京 or in Oslo?", "Divide 7 by 0.", "Add 19 and 23, and tell me the weather in \"New\\York\"."]
CHOICES = ["required", {"type": "function", "function": {"name": "weather"}}, {"type": "function", "function": {"name": "calculator"}}, "auto", None]

EARLIER = [
    {"role": "user", "content": "What is the weather in Bern, in celsius?"},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\": \"Bern\", \"unit\": \"celsius\"}"}}]},
    {"role": "tool", "tool_call_id": "call_1", "content": "{\"temperature\": 7}"},
    {"role": "assistant", "content": "It is 7 °C in Bern."},
    {"role": "user", "content": "And what is 3 plus 4?"},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "call_2", "type": "function", "function": {"name": "calculator", "arguments": "{\"operation\": \"add\", \"a\": 3, \"b\": 4}"}}]},
    {"role": "tool", "tool_call_id": "call_2", "content": "{\"result\": 7}"},
    {"role": "assistant", "content": "It is 7."},
]


def weather(city, unit):
    return {"city": city, "unit": unit, "temperature": len(city) % 30 if unit == "celsius" else 32 + len(city) % 80}


def calculator(operation, a, b):
    if operation == "divide" and b == 0:
        return {"error": "division by zero"}
    return {"result": {"add": lambda: a + b, "subtract": lambda: a - b, "multiply": lambda: a * b, "divide": lambda: a / b}[operation]()}


def collect(stream):
    """A stream's text, its calls by their index, and its finish reason."""
    text, calls, reason, deltas = "", {}, None, 0
    for chunk in stream:
        for choice in chunk.choices:
            assert reason is None, f"{choice} comes after the finish reason {reason}"
            text += choice.delta.content or ""
            for part in choice.delta.tool_calls or []:
                if part.index not in calls:
                    assert part.index == len(calls) and part.id and part.type == "function" and part.function.name, f"a call begins with {part}"
                    calls[part.index] = {"id": part.id, "name": part.function.name, "arguments": part.function.arguments or ""}
                else:
                    assert part.index == len(calls) - 1 and part.id is None and part.function.name is None, f"a call goes on with {part}"
                    calls[part.index]["arguments"] += part.function.arguments
                    deltas += 1
            reason = choice.finish_reason
    assert reason is not None, "the stream has no finish reason"
    return text, list(calls.values()), reason, deltas


def loop(number):
    """One try: what came of it."""
    choice, question = CHOICES[number % len(CHOICES)], QUESTIONS[number // len(CHOICES) % len(QUESTIONS)]
    messages = [{"role": "user", "content": question}]
    if choice in ("auto", None):
        # A small model calls by itself what it has just seen called.
        messages = [*EARLIER, *messages]
    more = {} if choice is None else {"tool_choice": choice}
    if number % 2 or choice == "required":
        more["parallel_tool_calls"] = number % 4 == 1
    common = dict(model=model, tools=TOOLS, temperature=1, stream=True)
    with client.chat.completions.create(messages=messages, seed=number, max_tokens=160, **common, **more) as stream:
        text, calls, reason, deltas = collect(stream)
    forced = choice not in ("auto", None)
    assert reason == ("tool_calls" if calls else "stop") or reason == "length", (reason, calls, text)
    if forced:
        # One call is at most some 60 tokens; only several can be cut, and then the last.
        assert calls and not text, f"no call, though the choice is {choice}: {text!r}"
        assert isinstance(choice, str) or {call["name"] for call in calls} == {choice["function"]["name"]}, calls
    if more.get("parallel_tool_calls") is False:
        assert len(calls) <= 1, calls
    cut = calls.pop() if calls and reason == "length" else None
    if cut is not None and not calls:
        assert not forced, f"a call of few tokens was cut: {cut}"
    assert len({call["id"] for call in calls}) == len(calls), calls
    results = []
    for call in calls:
        arguments = json.loads(call["arguments"])
        jsonschema.validate(arguments, PARAMETERS[call["name"]])
        results.append({"weather": weather, "calculator": calculator}[call["name"]](**arguments))
    if not calls:
        return "an answer without a call" if cut is None else "cut", 0, deltas
    messages.append({
        "role": "assistant", "content": text or None,
        "tool_calls": [{"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}} for call in calls],
    })
    messages += [{"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result)} for call, result in zip(calls, results)]
    with client.chat.completions.create(messages=messages, seed=number, max_tokens=24, tool_choice="none", **common) as stream:
        answer, none, reason, _ = collect(stream)
    assert not none and reason in ("stop", "length"), (none, reason)
    assert answer or reason == "stop", "no answer"
    return f"{len(calls)} calls" if len(calls) > 1 else "1 call", len(calls), deltas


def attempt(number):
    try:
        return loop(number), None
    except (AssertionError, ValueError, TypeError, jsonschema.ValidationError, openai.OpenAIError) as error:
        return None, f"try {number}: {type(error).__name__}: {error}"


outcomes, wrong, calls, deltas = collections.Counter(), [], 0, 0
with concurrent.futures.ThreadPoolExecutor(CONCURRENT) as pool:
    for number, (outcome, fault) in enumerate(pool.map(attempt, range(tries))):
        if fault:
            wrong.append(fault)
            continue
        choice = CHOICES[number % len(CHOICES)]
        name = choice["function"]["name"] if isinstance(choice, dict) else str(choice)
        outcomes[f"{name}: {outcome[0]}"] += 1
        calls, deltas = calls + outcome[1], deltas + outcome[2]
print(f"{tries} tries, {calls} calls in {deltas} further deltas: {dict(sorted(outcomes.items()))}")
assert deltas > 2 * calls, "calls are not streamed"
assert tries < 50 or any(name.startswith(("auto: 1", "None: 1")) for name in outcomes), "none of its own accord"
sys.exit("\n".join([f"{len(wrong)} wrong", *wrong]) if wrong else 0)
