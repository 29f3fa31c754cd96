"""LiteLLM against a server of a chat model and an embedding model: `litellm_client.py BASE_URL CHAT_MODEL EMBEDDING_MODEL`."""

import json
import os
import sys

# Its table of prices lies in the package; nothing is fetched.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from pydantic import BaseModel

url, model, embedder = sys.argv[1:]
litellm.telemetry = False
common = dict(model=f"openai/{model}", api_base=url, api_key="none", num_retries=0)
question = [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": "What is the capital of France?"}]
whole = litellm.completion(messages=question, temperature=0, max_tokens=32, **common)
text = whole.choices[0].message.content
assert "Paris" in text and whole.usage.completion_tokens > 0, whole
streamed = litellm.completion(messages=question, temperature=0, max_tokens=32, stream=True, **common)
assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed) == text

tools = [
    {
        "type": "function",
        "function": {
            "name": "multiply",
            "description": "Multiplies two numbers",
            "parameters": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"]},
        },
    }
]
called = litellm.completion(
    messages=[{"role": "user", "content": "What is 6 times 7?"}], tools=tools, tool_choice="required", parallel_tool_calls=False, seed=2, **common
)
(call,) = called.choices[0].message.tool_calls
assert call.function.name == "multiply" and {"a", "b"} <= set(json.loads(call.function.arguments)), called


class Answer(BaseModel):
    city: str
    sure: bool


structured = litellm.completion(messages=question, response_format=Answer, max_tokens=200, seed=1, **common)
Answer.model_validate_json(structured.choices[0].message.content)

embedded = litellm.embedding(model=f"openai/{embedder}", input=["one", "two"], api_base=url, api_key="none")
assert [len(row["embedding"]) for row in embedded.data] == [384, 384]

try:
    litellm.completion(messages=question, temperature=9, **common)
    raise AssertionError("a temperature of 9 was accepted")
except litellm.BadRequestError as error:
    assert "temperature" in str(error), error
print(text)
