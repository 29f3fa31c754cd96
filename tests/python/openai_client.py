"""OpenAI's own client against a server: `openai_client.py BASE_URL`. Prints the streamed answer."""

import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0)
(model,) = [model.id for model in client.models.list()]
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

for wrong, expected in [
    (dict(model="no-such-model", messages=question), openai.NotFoundError),
    (dict(model=model, messages=[]), openai.BadRequestError),
    (dict(model=model, messages=question, temperature=9), openai.BadRequestError),
]:
    try:
        client.chat.completions.create(**wrong)
        raise AssertionError(f"{wrong} was accepted")
    except expected as error:
        assert error.body["message"], error
print(text)
