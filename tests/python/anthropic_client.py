"""Anthropic's own client against a server: `anthropic_client.py BASE_URL`, without `/v1`. Prints the streamed answer."""

import json
import sys

import anthropic

client = anthropic.Anthropic(base_url=sys.argv[1], api_key="none", max_retries=0)
listed = client.models.list()
model = listed.data[0].id
assert (listed.has_more, listed.first_id, listed.data[0].type, listed.data[0].display_name) == (False, model, "model", model), listed
assert listed.data[0].created_at.year >= 2026 and client.models.retrieve(model).id == model, listed
system = "You are a helpful assistant."
question = [{"role": "user", "content": "What is the capital of France?"}]
# The client no longer has arguments for these, which its service's newer models do not take.
greedy = dict(extra_body={"temperature": 0, "top_p": 1.0, "top_k": 40})
usual = dict(model=model, system=system, messages=question, max_tokens=32, **greedy)
prompt_tokens = lambda usage: usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens

whole = client.messages.create(**usual)
(block,) = whole.content
assert (whole.role, whole.model, whole.stop_sequence) == ("assistant", model, None), whole
assert whole.stop_reason in ("end_turn", "max_tokens"), whole
assert "Paris" in block.text, whole
counted = client.messages.count_tokens(model=model, system=system, messages=question)
assert counted.input_tokens == prompt_tokens(whole.usage), (counted, whole.usage)

pieces, kinds = [], []
with client.messages.stream(**usual) as stream:
    for event in stream:
        kinds.append(event.type)
        if event.type == "text":
            pieces.append(event.text)
    message = stream.get_final_message()
assert "".join(pieces) == message.content[0].text == block.text, (pieces, whole)
assert len(pieces) > 3, pieces
assert (kinds[0], kinds[-1]) == ("message_start", "message_stop"), kinds
assert message.stop_reason == whole.stop_reason
assert prompt_tokens(message.usage) == prompt_tokens(whole.usage) and message.usage.output_tokens == whole.usage.output_tokens, (message, whole)

# Raw events, and both forms of texts.
blocks = dict(system=[{"type": "text", "text": system}], messages=[{"role": "user", "content": [{"type": "text", "text": question[0]["content"]}]}])
text = ""
for event in client.messages.create(**{**usual, **blocks}, stream=True):
    if event.type == "content_block_delta" and event.delta.type == "text_delta":
        text += event.delta.text
assert text == block.text, text

stopped = client.messages.create(**usual, stop_sequences=["Paris"])
assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "Paris"), stopped
assert block.text.startswith(stopped.content[0].text) and "Paris" not in stopped.content[0].text, stopped
short = client.messages.create(**{**usual, "max_tokens": 2})
assert (short.stop_reason, short.usage.output_tokens) == ("max_tokens", 2), short

# An answer that is begun is gone on from.
begun = block.text[: block.text.index(" Paris")]
prefill = [*question, {"role": "assistant", "content": begun}]
rest = client.messages.create(**{**usual, "messages": prefill})
assert begun + rest.content[0].text == block.text, (begun, rest)
counted_begun = client.messages.count_tokens(model=model, system=system, messages=prefill)
assert counted.input_tokens < counted_begun.input_tokens == prompt_tokens(rest.usage), (counted_begun, rest.usage)

# Whatever the model thinks, the client reads it, and may send it back.
thought = client.messages.create(**usual, thinking={"type": "adaptive"}, metadata={"user_id": "u"})
assert all(one.type in ("thinking", "text") for one in thought.content), thought
again = question + [thought.to_param(), {"role": "user", "content": "Thanks."}]
assert client.messages.create(**{**usual, "messages": again}).content

# A call is held to its schema, so that it has its fields whatever the model is.
tool = {
    "name": "weather",
    "description": "Tells the weather in a city",
    "input_schema": {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"], "additionalProperties": False},
}
ask = [{"role": "user", "content": "What is the weather in Paris?"}]
tools = dict(model=model, messages=ask, max_tokens=256, tools=[tool], **greedy)
for choice in [{"type": "any"}, {"type": "tool", "name": "weather"}]:
    with client.messages.stream(**tools, tool_choice={**choice, "disable_parallel_tool_use": True}) as stream:
        called = stream.get_final_message()
    (call,) = [one for one in called.content if one.type == "tool_use"]
    assert called.stop_reason == "tool_use" and call.name == "weather" and call.input["city"] in ("Paris", "Rome"), called
ask += [called.to_param(), {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "It is sunny."}]}]
told = client.messages.create(**{**tools, "messages": ask}, tool_choice={"type": "none"})
assert told.stop_reason != "tool_use" and told.content[0].type == "text", told
assert client.messages.count_tokens(model=model, messages=question, tools=[tool]).input_tokens >= counted.input_tokens

schema = {
    "type": "object",
    "properties": {"capital": {"type": "string", "maxLength": 20}, "population": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["capital", "population"],
    "additionalProperties": False,
}
formed = client.messages.create(**{**usual, "max_tokens": 128}, output_config={"format": {"type": "json_schema", "schema": schema}})
document = json.loads(formed.content[0].text)
assert set(document) == {"capital", "population"} and isinstance(document["population"], int), formed

for wrong, expected in [
    ({**usual, "model": "no-such-model"}, anthropic.NotFoundError),
    ({**usual, "messages": []}, anthropic.BadRequestError),
    ({**usual, "extra_body": {"temperature": 9}}, anthropic.BadRequestError),
]:
    try:
        client.messages.create(**wrong)
        raise AssertionError(f"{wrong} was accepted")
    except expected as error:
        assert error.body["type"] == "error" and error.body["error"]["message"], error.body
print(text)
