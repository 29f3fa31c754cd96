"""langchain-openai against a server of a chat model and an embedding model: `langchain_client.py BASE_URL CHAT_MODEL EMBEDDING_MODEL`."""

import sys

from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field

url, model, embedder = sys.argv[1:]
chat = ChatOpenAI(base_url=url, api_key="none", model=model, temperature=0, max_tokens=48, max_retries=0)
messages = [SystemMessage("You are a helpful assistant."), HumanMessage("What is the capital of France?")]
whole = chat.invoke(messages)
assert "Paris" in whole.content and whole.usage_metadata["output_tokens"] > 0, whole
assert "".join(chunk.content for chunk in chat.stream(messages)) == whole.content


@tool
def multiply(a: int, b: int) -> int:
    """Multiplies two numbers."""
    return a * b


asked = [HumanMessage("What is 6 times 7?")]
called = chat.bind_tools([multiply], tool_choice="multiply").invoke(asked)
(call,) = called.tool_calls
assert call["name"] == "multiply" and set(call["args"]) == {"a", "b"}, called
result = ToolMessage(str(multiply.invoke(call["args"])), tool_call_id=call["id"])
assert chat.invoke([*asked, called, result]).content


class Person(BaseModel):
    """A person."""

    name: str = Field(max_length=20)
    age: int = Field(ge=0, le=120)


for method in ["json_schema", "function_calling"]:
    person = chat.with_structured_output(Person, method=method).invoke("Invent a person.")
    assert isinstance(person, Person), (method, person)

embeddings = OpenAIEmbeddings(base_url=url, api_key="none", model=embedder, check_embedding_ctx_length=False)
assert [len(vector) for vector in embeddings.embed_documents(["one", "two"])] == [384, 384]
print(whole.content)
