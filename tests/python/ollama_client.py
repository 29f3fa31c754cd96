"""Ollama's own client against a server: `ollama_client.py BASE_URL`. Prints the streamed answer. Embeds where a model for that is served."""

import json
import sys

import ollama

client = ollama.Client(host=sys.argv[1])
names = [model.model for model in client.list().models]
kinds = {name: client.show(name) for name in names}
model = next(name for name in names if "completion" in kinds[name].capabilities)
assert model.endswith(":latest") and kinds[model].modelinfo["general.architecture"], kinds[model]
assert {running.model for running in client.ps().models} == set(names)

question = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is the capital of France?"},
]
greedy = {"temperature": 0, "num_predict": 32, "num_ctx": 2048}
whole = client.chat(model, question, options=greedy)
assert (whole.model, whole.done) == (model, True) and whole.done_reason in ("stop", "length"), whole
assert "Paris" in whole.message.content, whole
assert whole.prompt_eval_count > 0 and whole.eval_count > 0 and whole.total_duration >= whole.eval_duration > 0, whole

chunks = list(client.chat(model, question, options=greedy, stream=True))
text = "".join(chunk.message.content for chunk in chunks)
assert text == whole.message.content, (text, whole)
assert [chunk.done for chunk in chunks] == [False] * (len(chunks) - 1) + [True] and len(chunks) > 4, chunks
assert (chunks[-1].done_reason, chunks[-1].eval_count) == (whole.done_reason, whole.eval_count), chunks[-1]
# The name without its tag is the same model's.
plain = model.removesuffix(":latest")
assert client.chat(plain, question, options=greedy).message.content == text

generated = client.generate(model, question[1]["content"], system=question[0]["content"], options=greedy)
assert generated.response == text, generated
streamed = client.generate(model, question[1]["content"], system=question[0]["content"], options=greedy, stream=True)
assert "".join(chunk.response for chunk in streamed) == text
stopped = client.generate(model, question[1]["content"], system=question[0]["content"], options={**greedy, "stop": ["Paris"]})
assert stopped.done_reason == "stop" and text.startswith(stopped.response) and "Paris" not in stopped.response, stopped
raw = client.generate(model, "The capital of France is", raw=True, options={**greedy, "num_predict": 4}, logprobs=True, top_logprobs=2)
assert raw.response and raw.done_reason == "length" and raw.eval_count == 4, raw
assert len(raw.logprobs) == 4 and all(token.logprob <= 0 and len(token.top_logprobs) == 2 for token in raw.logprobs), raw
assert client.generate(model).done_reason == "load"
for think in (True, False, "low"):
    assert client.chat(model, question, options=greedy, think=think).done


def weather(city: str) -> str:
    """Tells the weather in a city.

    Args:
      city: The city
    """
    return f"It is sunny in {city}."


# Whether a small model calls is its own matter; what it calls is held to the schema.
ask = [{"role": "user", "content": "What is the weather in Paris?"}]
answer = client.chat(model, ask, tools=[weather], options={"temperature": 0, "num_predict": 128})
assert answer.message.content or answer.message.tool_calls, answer
calls = list(answer.message.tool_calls or [])
for chunk in client.chat(model, ask, tools=[weather], options={"temperature": 0, "num_predict": 128}, stream=True):
    calls += chunk.message.tool_calls or []
assert all(call.function.name == "weather" and isinstance(call.function.arguments["city"], str) for call in calls), calls
earlier = ollama.Message(role="assistant", content="", tool_calls=[{"function": {"name": "weather", "arguments": {"city": "Paris"}}}])
ask += [answer.message if answer.message.tool_calls else earlier, {"role": "tool", "tool_name": "weather", "content": weather("Paris")}]
assert client.chat(model, ask, tools=[weather], options=greedy).done

schema = {
    "type": "object",
    "properties": {"capital": {"type": "string", "maxLength": 20}, "population": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["capital", "population"],
    "additionalProperties": False,
}
for formed in [
    client.chat(model, question, format=schema, options={"temperature": 0, "num_predict": 128}).message.content,
    client.generate(model, question[1]["content"], format=schema, options={"temperature": 0, "num_predict": 128}).response,
]:
    document = json.loads(formed)
    assert set(document) == {"capital", "population"} and isinstance(document["population"], int), formed

for name in (name for name in names if "embedding" in kinds[name].capabilities):
    embedded = client.embed(name, ["The cat sat on the mat.", "A feline rested on the rug."])
    assert len(embedded.embeddings) == 2 and embedded.prompt_eval_count > 0, embedded
    for vector in embedded.embeddings:
        assert abs(sum(element * element for element in vector) - 1) < 1e-3, vector
    one = client.embeddings(name, "The cat sat on the mat.").embedding
    assert max(abs(a - b) for a, b in zip(one, embedded.embeddings[0])) < 1e-5
    # A text that is longer than the context is cut.
    assert len(client.embed(name, "cat " * 2000, dimensions=2).embeddings[0]) == 2

for wrong, status in [
    (lambda: client.chat("no-such-model", question), 404),
    (lambda: list(client.chat("no-such-model", question, stream=True)), 404),
    (lambda: client.show("no-such-model"), 404),
    (lambda: client.generate(model, "a", options={"temperature": 9}), 400),
    (lambda: client.pull("llama3.2"), 404),
]:
    try:
        wrong()
        raise AssertionError("it was accepted")
    except ollama.ResponseError as error:
        assert error.status_code == status and error.error and not error.error.startswith("{"), error
print(text)
