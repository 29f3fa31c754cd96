"""Uses every feature of a server that needs keys, with texts that are to be found nowhere else: `every_feature.py URL`, with JSON on standard input: `keys` by what they may,
`texts` by where they are said, `models`. Prints JSON: `errors`, all that was refused, each as one text; `answers` of the model."""

import asyncio
import base64
import json
import socket
import sys

import httpx
import websockets

url = sys.argv[1]
given = json.load(sys.stdin)
keys, texts, models = given["keys"], given["texts"], given["models"]
errors, answers = [], []
client = httpx.Client(base_url=url, timeout=300)


def headers(key):
    return {"authorization": f"Bearer {key}"} if key else {}


def ask(path, body=None, key=keys["chat"], method=None, status=200, **more):
    content = body if isinstance(body, (str, bytes, type(None))) else json.dumps(body)
    response = client.request(method or ("GET" if body is None else "POST"), path, content=content, headers={**headers(key), **more})
    assert response.status_code == status, (path, response.status_code, response.text)
    if status >= 400:
        errors.append(f"{response.headers}\n{response.text}")
    return response


def user(text):
    return {"role": "user", "content": text}


def chats():
    body = {"messages": [{"role": "system", "content": texts["system"]}, user(texts["chat"])], "temperature": 0, "max_tokens": 24, "user": texts["user"]}
    whole = ask("/v1/chat/completions", body)
    answers.append(whole.json()["choices"][0]["message"]["content"])
    assert "hearth-cache" not in whole.headers and ask("/v1/chat/completions", body).headers["hearth-cache"] == "hit"
    streamed = ask("/v1/chat/completions", {"messages": [user(texts["stream"])], "stream": True, "max_tokens": 24, "stop": [texts["stop"]]})
    chunks = [json.loads(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: {")]
    answers.append("".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]))
    # One that nobody hears to its end.
    with client.stream("POST", "/v1/chat/completions", json={"messages": [user(texts["left"])], "stream": True, "max_tokens": 400}, headers=headers(keys["chat"])) as left:
        next(left.iter_lines())


def tools():
    function = {"name": "look", "description": texts["tool"], "parameters": {"type": "object", "properties": {"where": {"enum": [texts["argument"]]}}, "required": ["where"]}}
    asked = {"messages": [user("Look.")], "tools": [{"type": "function", "function": function}], "tool_choice": "required", "max_tokens": 200}
    message = ask("/v1/chat/completions", asked).json()["choices"][0]["message"]
    assert texts["argument"] in message["tool_calls"][0]["function"]["arguments"], message
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": texts["result"]}
    ask("/v1/chat/completions", {"messages": [user("Look."), message, result], "max_tokens": 8})
    schema = {"type": "object", "properties": {"word": {"const": texts["schema"]}}, "required": ["word"]}
    shaped = {"type": "json_schema", "json_schema": {"name": "word", "schema": schema}}
    answers.append(ask("/v1/chat/completions", {"messages": [user("A word.")], "response_format": shaped, "max_tokens": 100}).json()["choices"][0]["message"]["content"])


def kept():
    asked = {"input": texts["response"], "instructions": texts["instructions"], "metadata": {"note": texts["metadata"]}, "max_output_tokens": 24}
    first = ask("/v1/responses", asked).json()
    answers.append(first["output"][0]["content"][0]["text"])
    second = ask("/v1/responses", {"input": "Go on.", "previous_response_id": first["id"], "max_output_tokens": 8, "stream": True})
    assert "response.completed" in second.text or "response.incomplete" in second.text, second.text
    ask(f"/v1/responses/{first['id']}")
    ask(f"/v1/responses/{first['id']}/input_items")
    conversation = ask("/v1/conversations", {"items": [user(texts["conversation"])], "metadata": {"note": texts["metadata"]}}).json()["id"]
    ask(f"/v1/conversations/{conversation}/items", {"items": [user(texts["item"])]})
    ask("/v1/responses", {"input": "Go on.", "conversation": conversation, "max_output_tokens": 8})
    gone = ask("/v1/conversations", {"items": [user(texts["deleted"])]}).json()["id"]
    ask(f"/v1/conversations/{gone}", method="DELETE")
    export = ask("/v1/export").text
    assert texts["response"] in export and texts["item"] in export and texts["deleted"] not in export
    # Somebody else's is not there.
    ask(f"/v1/conversations/{conversation}", key=keys["static"], status=404)


def other_apis():
    ask("/v1/completions", {"prompt": texts["completion"], "max_tokens": 4})
    ask("/v1/messages", {"messages": [user(texts["anthropic"])], "max_tokens": 4}, key=None, **{"x-api-key": keys["chat"]})
    ask("/api/chat", {"messages": [user(texts["ollama"])], "stream": False, "options": {"num_predict": 4}})
    ask("/tokenize", {"content": texts["tokens"]})
    ask("/v1/embeddings", {"model": models["embedder"], "input": texts["embedding"]})
    pair = base64.b64encode(f"{keys['id']}:{keys['secret']}".encode()).decode()
    ask("/v1/models", key=None, authorization=f"Basic {pair}")
    ask("/v1/models", key=keys["static"], cookie=f"session={texts['cookie']}", **{"user-agent": texts["agent"], "referer": f"https://a.example/?{texts['referer']}"})
    ask(f"/v1/models?api_key={keys['wrong']}&q={texts['query']}")


def refusals():
    chat = "/v1/chat/completions"
    ask(chat, {"messages": [user(texts["unheard"])]}, key=None, status=401)
    wrong = base64.b64encode(f"{keys['id']}:{keys['wrong']}".encode()).decode()
    for value in (f"Bearer {keys['wrong']}", f"Bearer hearth-{keys['id']}-{keys['wrong']}", f"Basic {wrong}", keys["wrong"], f"Bearer {keys['revoked']}", f"Bearer {keys['old']}"):
        ask(chat, {"messages": [user(texts["unheard"])]}, key=None, status=401, authorization=value)
    ask(chat, {"messages": [user(texts["unheard"])]}, key=None, status=401, **{"x-api-key": keys["wrong"]})
    ask(chat, {"messages": [user(texts["unheard"])]}, key=keys["read"], status=403)
    for _ in range(8):
        if client.get("/v1/models", headers=headers(keys["limited"])).status_code == 429:
            break
    else:
        raise AssertionError("nothing is limited")
    # Bad JSON that has secrets, and what is no request of this API.
    for broken in (f'{{"messages": [{{"role": "user", "content": "{texts["broken"]}" "{keys["chat"]}"', f"{texts['broken']} {keys['chat']}", b"\xff\xfe" + texts["broken"].encode()):
        ask(chat, broken, status=400)
    for wrong in ({"messages": [user(texts["wrong"])], "temperature": texts["wrong"]}, {"messages": texts["wrong"]}, {"messages": [{"role": texts["wrong"], "content": ""}]}, {texts["wrong"]: 1}):
        ask(chat, wrong, status=400)
    ask(chat, {"messages": [user(texts["long"] * 600)]}, status=400)
    ask(chat, {"messages": [user(texts["pattern"])], "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "string", "pattern": f"({texts['pattern']}"}}}}, status=400)
    ask(chat, {"messages": [user(texts["wrong"])], "model": "no-such-model"}, status=404)
    ask(f"/v1/nowhere?{texts['query']}", status=404)
    ask("/v1/models", {"messages": [user(texts["wrong"])]}, status=405)
    ask(chat, texts["large"] * (5 << 20 >> 4), status=413)
    ask("/v1/models", status=431, **{"x-large": texts["large"] * 4000})
    ask("/v1/responses", {"input": texts["wrong"], "previous_response_id": "resp_" + "0" * 32}, status=400)


def junk():
    host, port = url.removeprefix("http://").split(":")
    for said in (f"{texts['junk']} {keys['chat']}\r\n\r\n", f"GET / HTTP/1.1\r\nauthorization: Bearer {keys['chat']}\r\n{texts['junk']}\r\n\r\n", f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {keys['chat']}\r\ncontent-length: 999\r\n\r\n{{{texts['junk']}"):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(said.encode())
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(60)
            answer = b""
            while more := connection.recv(65536):
                answer += more
            errors.append(answer.decode(errors="replace"))


async def sockets():
    address = url.replace("http", "ws") + "/v1/chat/ws"

    async def turn(ws, text):
        await ws.send(json.dumps({"type": "open", "id": "a", "body": {"messages": [user(text)], "max_tokens": 8}}))
        while (event := json.loads(await asyncio.wait_for(ws.recv(), 120)))["type"] == "event":
            pass
        return event

    async with websockets.connect(address) as ws:
        await ws.send(json.dumps({"type": "auth", "key": keys["wrong"]}))
        refused = await turn(ws, texts["socket"])
        assert refused["type"] == "error" and refused["status"] == 401, refused
        errors.append(json.dumps(refused))
        await ws.send(json.dumps({"type": "auth", "key": keys["chat"]}))
        assert (await turn(ws, texts["socket"]))["type"] == "done"
        await ws.send(f'{{"type": "{texts["socket"]}", "key": "{keys["chat"]}')
        errors.append(await ws.recv())
    async with websockets.connect(address, additional_headers=headers(keys["chat"])) as ws:
        assert (await turn(ws, texts["socket"]))["type"] == "done"
    try:
        async with websockets.connect(address, origin="https://elsewhere.example", additional_headers=headers(keys["chat"])):
            raise AssertionError("a page of elsewhere")
    except websockets.InvalidStatus as refused:
        errors.append(refused.response.body.decode())


chats()
tools()
kept()
other_apis()
refusals()
junk()
asyncio.run(sockets())
print(json.dumps({"errors": errors, "answers": answers}))
