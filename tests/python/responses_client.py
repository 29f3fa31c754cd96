"""OpenAI's own client on responses and conversations: `responses_client.py BASE_URL`.

What the client reads it reads leniently, so each document is held to the client's own types as well."""

import json
import sys

import openai
import pydantic
from openai.types.conversations import Conversation, ConversationDeletedResource, ConversationItem, ConversationItemList
from openai.types.responses import Response, ResponseItemList, ResponseStreamEvent

client = openai.OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0)
model = client.models.list().data[0].id
usual = dict(model=model, max_output_tokens=32, temperature=0)


def held(type_, thing):
    """The thing, as the client's type has it: everything required is there, and every word is one of the known."""
    pydantic.TypeAdapter(type_).validate_python(thing.to_dict())
    return thing


def refused(error, call, **arguments):
    try:
        call(**arguments)
    except error as refusal:
        assert refusal.body["message"], refusal
        return refusal
    raise AssertionError(f"{arguments} was accepted")


def streamed(**arguments):
    """All events of a stream, which the client's own bookkeeping takes, and its last response."""
    events = [held(ResponseStreamEvent, event) for event in client.responses.create(stream=True, **arguments)]
    assert [event.sequence_number for event in events] == list(range(len(events))), events
    with client.responses.stream(**arguments) as stream:
        for event in stream:
            pass
        final = stream._state._completed_response
    last = events[-1]
    assert last.type in ("response.completed", "response.incomplete"), last
    # In a conversation the second answer has the first before it.
    if last.type == "response.completed" and "conversation" not in arguments:
        assert final.output_text == last.response.output_text, (final, last)
    return events, last.response


# A whole answer, kept.
first = held(
    Response,
    client.responses.create(input="What is the capital of France?", instructions="You are a helpful assistant.", metadata={"topic": "geography"}, **usual),
)
assert first.output_text and first.status in ("completed", "incomplete"), first
assert first.usage.total_tokens == first.usage.input_tokens + first.usage.output_tokens > 0, first.usage
again = held(Response, client.responses.retrieve(first.id))
assert again.to_dict() == first.to_dict(), (again, first)

# The same, streamed.
events, response = streamed(input="What is the capital of France?", instructions="You are a helpful assistant.", **usual)
assert [event.type for event in events[:4]] == [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
], events
text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
assert text == response.output_text == first.output_text, (text, response, first)

# Going on from it.
second = held(Response, client.responses.create(input="And of Italy?", previous_response_id=first.id, **usual))
assert second.previous_response_id == first.id
items = client.responses.input_items.list(second.id, order="asc")
held(ResponseItemList, items)
assert [item.role for item in items.data] == ["user", "assistant", "user"], items
assert items.data[1].id == first.output[0].id, (items, first)
paged = list(client.responses.input_items.list(second.id, order="asc", limit=1))
assert [item.id for item in paged] == [item.id for item in items.data], paged
unkept = client.responses.create(input="Hi", store=False, **usual)
refused(openai.NotFoundError, client.responses.retrieve, response_id=unkept.id)

refused(openai.BadRequestError, client.responses.cancel, response_id=second.id)
client.responses.delete(first.id)
refused(openai.NotFoundError, client.responses.retrieve, response_id=first.id)
refused(openai.BadRequestError, client.responses.create, input="x", previous_response_id=first.id, **usual)
third = client.responses.create(input="And of Spain?", previous_response_id=second.id, **usual)
assert third.usage.input_tokens > second.usage.input_tokens, (third.usage, second.usage)

# Conversations.
conversation = held(Conversation, client.conversations.create(metadata={"a": "b"}, items=[{"role": "system", "content": "You are a helpful assistant."}]))
client.responses.create(input="What is the capital of France?", conversation=conversation.id, **usual)
events, response = streamed(input="And of Italy?", conversation=conversation.id, store=False, **usual)
assert response.conversation.id == conversation.id
items = client.conversations.items.list(conversation.id, order="asc")
held(ConversationItemList, items)
# `streamed` asks twice.
assert [item.role for item in items.data] == ["system"] + ["user", "assistant"] * 3, items
added = held(ConversationItemList, client.conversations.items.create(conversation.id, items=[{"role": "user", "content": "Bye"}]))
one = held(ConversationItem, client.conversations.items.retrieve(added.data[0].id, conversation_id=conversation.id))
assert one.content[0].text == "Bye", one
held(Conversation, client.conversations.items.delete(one.id, conversation_id=conversation.id))
refused(openai.NotFoundError, client.conversations.items.retrieve, item_id=one.id, conversation_id=conversation.id)
assert len(list(client.conversations.items.list(conversation.id, limit=2))) == 7
updated = held(Conversation, client.conversations.update(conversation.id, metadata={"c": "d"}))
assert updated.metadata == client.conversations.retrieve(conversation.id).metadata == {"c": "d"}, updated
held(ConversationDeletedResource, client.conversations.delete(conversation.id))
refused(openai.NotFoundError, client.conversations.retrieve, conversation_id=conversation.id)

# What is not here is refused by its name.
refusal = refused(openai.BadRequestError, client.responses.create, input="x", tools=[{"type": "web_search"}], **usual)
assert refusal.param == "tools[0].type" and "web_search" in refusal.message, refusal
assert refused(openai.BadRequestError, client.responses.create, input="x", background=True, **usual).param == "background"
assert refused(openai.BadRequestError, client.responses.create, input="x", **{**usual, "temperature": 9}).param == "temperature"
refused(openai.NotFoundError, client.responses.create, input="x", model="no-such-model")

usual["max_output_tokens"] = 256
weather = {
    "type": "function",
    "name": "weather",
    "description": "Tells the weather of a city",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
tools = dict(tools=[weather], tool_choice="required", parallel_tool_calls=False)
asked = held(Response, client.responses.create(input="What is the weather in Paris?", **tools, **usual))
(call,) = [item for item in asked.output if item.type == "function_call"]
assert call.name == "weather" and isinstance(json.loads(call.arguments)["city"], str), call
told = [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}]
answer = held(Response, client.responses.create(input=told, previous_response_id=asked.id, tools=[weather], **usual))
assert answer.output_text, answer
# The same without anything kept: the answer's items are sent back.
sent = [{"role": "user", "content": "What is the weather in Paris?"}, *[item.to_dict() for item in asked.output], *told]
assert client.responses.create(input=sent, store=False, tools=[weather], **usual).output_text == answer.output_text

events, response = streamed(input="What is the weather in Paris?", **tools, **usual)
(call,) = [item for item in response.output if item.type == "function_call"]
pieces = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
(done,) = [event for event in events if event.type == "response.function_call_arguments.done"]
assert "".join(pieces) == done.arguments == call.arguments and len(pieces) > 1, (pieces, done, call)

class City(pydantic.BaseModel):
    name: str
    population: int

parsed = client.responses.parse(input="Tell me of Paris.", text_format=City, **usual)
assert isinstance(parsed.output_parsed, City), parsed
with client.responses.stream(input="Tell me of Paris.", text_format=City, **usual) as stream:
    assert isinstance(stream.get_final_response().output_parsed, City)

likely = held(Response, client.responses.create(input="Hi", include=["message.output_text.logprobs"], top_logprobs=2, **usual))
assert likely.output[-1].content[0].logprobs is not None, likely
events, response = streamed(input="Hi", reasoning={"effort": "low"}, **usual)
print(first.output_text)
