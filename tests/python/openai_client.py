"""OpenAI's own client against a server of a chat model and an embedding model: `openai_client.py BASE_URL`. Prints the streamed answer."""

import json
import sys

import openai
from pydantic import BaseModel

client = openai.OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0)
model, embedder = [model.id for model in client.models.list()]
question = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is the capital of France?"},
]

whole = client.chat.completions.create(model=model, messages=question, max_tokens=32, temperature=0)
text, chunks = "", 0
with client.chat.completions.create(
    model=model, messages=question, max_tokens=32, temperature=0, stream=True, stream_options={"include_usage": True}
) as stream:
    for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            text += chunk.choices[0].delta.content
            chunks += 1
        usage = chunk.usage or None
assert text == whole.choices[0].message.content, (text, whole)
assert chunks > 3, chunks
counts = lambda usage: (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)
assert counts(usage) == counts(whole.usage), (usage, whole.usage)
# The prompt has come before: most of it is in the cache.
assert usage.prompt_tokens_details.cached_tokens > whole.usage.prompt_tokens_details.cached_tokens, (usage, whole.usage)
assert "Paris" in text, text

# Tools: called whole and streamed, and their result taken.
weather = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 30}, "unit": {"enum": ["celsius", "fahrenheit"]}},
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}
asked = [{"role": "user", "content": "What is the weather in Paris, in celsius?"}]
called = client.chat.completions.create(model=model, messages=asked, tools=[weather], tool_choice="required", parallel_tool_calls=False, seed=5)
(call,) = called.choices[0].message.tool_calls
assert called.choices[0].finish_reason == "tool_calls", called
assert call.function.name == "weather" and set(json.loads(call.function.arguments)) == {"city", "unit"}, call
name, arguments = "", ""
for chunk in client.chat.completions.create(
    model=model, messages=asked, tools=[weather], tool_choice={"type": "function", "function": {"name": "weather"}}, seed=5, stream=True
):
    for delta in chunk.choices[0].delta.tool_calls or []:
        name += delta.function.name or ""
        arguments += delta.function.arguments or ""
assert name == "weather" and set(json.loads(arguments)) == {"city", "unit"}, (name, arguments)
asked += [called.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": '{"temperature": 21}'}]
answer = client.chat.completions.create(model=model, messages=asked, tools=[weather], tool_choice="none", max_tokens=24, temperature=0)
assert answer.choices[0].message.content, answer


class Person(BaseModel):
    name: str
    age: int


parsed = client.chat.completions.parse(
    model=model, messages=[{"role": "user", "content": "Invent a person."}], response_format=Person, seed=1, max_tokens=200
)
assert isinstance(parsed.choices[0].message.parsed, Person), parsed

many = client.chat.completions.create(model=model, messages=question, max_tokens=8, n=3, logprobs=True, top_logprobs=2, seed=3)
assert [choice.index for choice in many.choices] == [0, 1, 2]
for choice in many.choices:
    assert all(token.logprob <= 0 and len(token.top_logprobs) == 2 for token in choice.logprobs.content), choice

completion = client.completions.create(model=model, prompt="One, two, three,", max_tokens=4, temperature=0, echo=True, logprobs=1)
assert completion.choices[0].text.startswith("One, two, three, four"), completion

near = client.embeddings.create(model=embedder, input=["A cat sat on the mat.", "A kitten rested on a rug.", "Shares fell sharply on Monday."])
vectors = [row.embedding for row in near.data]
cosine = lambda a, b: sum(x * y for x, y in zip(a, b))
assert len(vectors[0]) == 384 and abs(cosine(vectors[0], vectors[0]) - 1) < 1e-5
assert cosine(vectors[0], vectors[1]) > cosine(vectors[0], vectors[2]) + 0.3
assert len(client.embeddings.create(model=embedder, input="a", dimensions=8).data[0].embedding) == 8

for wrong, expected in [
    (dict(model="no-such-model", messages=question), openai.NotFoundError),
    (dict(model=model, messages=[]), openai.BadRequestError),
    (dict(model=model, messages=question, temperature=9), openai.BadRequestError),
    (dict(model=embedder, messages=question), openai.BadRequestError),
    (dict(model=model, messages=question, response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "string", "pattern": "("}}}), openai.BadRequestError),
]:
    try:
        client.chat.completions.create(**wrong)
        raise AssertionError(f"{wrong} was accepted")
    except expected as error:
        assert error.body["message"], error
print(text)
