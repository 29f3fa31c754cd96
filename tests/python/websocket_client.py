"""The library `websockets` against a server: `websocket_client.py HOST:PORT PID`. The server computes two answers at once, and is ended by it."""

import asyncio
import json
import os
import signal
import sys
import time
import urllib.request

import websockets
from websockets.asyncio.client import connect

ADDRESS, PID = sys.argv[1], int(sys.argv[2])
URL = f"ws://{ADDRESS}/v1/chat/ws"
SYSTEM = {"role": "system", "content": "You are a helpful assistant."}


def user(content):
    return {"role": "user", "content": content}


def body(messages, max_tokens=24):
    return {"messages": messages, "max_tokens": max_tokens, "temperature": 0}


async def over_http(messages, max_tokens=24):
    def post():
        request = urllib.request.Request(f"http://{ADDRESS}/v1/chat/completions", json.dumps(body(messages, max_tokens)).encode())
        with urllib.request.urlopen(request) as response:
            return json.load(response)["choices"][0]["message"]["content"]

    # In a thread: sockets are served, and closed, meanwhile.
    return await asyncio.to_thread(post)


async def say(socket, message):
    await socket.send(json.dumps(message))


async def heard(socket):
    return json.loads(await asyncio.wait_for(socket.recv(), 120))


def text_of(message):
    return "".join(choice["delta"].get("content") or "" for choice in message["data"]["choices"])


async def turn(socket, message):
    """The answer's text, and the message that ended it."""
    await say(socket, message)
    text = ""
    while (got := await heard(socket))["type"] == "event":
        assert got["id"] == message["id"], got
        text += text_of(got)
    return text, got


async def conversation():
    first = [SYSTEM, user("What is the capital of France?")]
    async with connect(URL) as socket:
        text, end = await turn(socket, {"type": "open", "id": "a", "body": body(first)})
        assert end == {"type": "done", "id": "a"}, end
        assert "Paris" in text and text == await over_http(first), text
        second = [*first, {"role": "assistant", "content": text}, user("And of Italy?")]
        again, end = await turn(socket, {"type": "continue", "id": "a", "messages": second[-1:]})
        assert end["type"] == "done" and again == await over_http(second), (again, await over_http(second))

        for wrong, status, word in [
            (body([]), 400, "messages"),
            ({**body(first), "temperature": 9}, 400, "temperature"),
            ({**body(first), "model": "none"}, 404, "none"),
        ]:
            text, end = await turn(socket, {"type": "open", "id": "b", "body": wrong})
            assert (text, end["type"], end["status"]) == ("", "error", status) and word in end["error"]["message"], end
        await socket.send("hello")
        assert (await heard(socket))["error"]["code"] == "invalid_message"
        await (await socket.ping())
        await say(socket, {"type": "ping"})
        assert await heard(socket) == {"type": "pong"}
        print(again)
    assert socket.close_code == 1000


async def side_by_side():
    questions = {"a": "Tell me about dragons.", "b": "Tell me about ships."}
    texts, order = dict.fromkeys(questions, ""), []
    async with connect(URL) as socket:
        for id, question in questions.items():
            await say(socket, {"type": "open", "id": id, "body": body([SYSTEM, user(question)], 64)})
        left = set(questions)
        while left:
            got = await heard(socket)
            if got["type"] == "event":
                texts[got["id"]] += text_of(got)
                order.append(got["id"])
            else:
                assert got["type"] == "done", got
                left.remove(got["id"])
    for id, question in questions.items():
        assert texts[id] == await over_http([SYSTEM, user(question)], 64), id
    changes = sum(a != b for a, b in zip(order, order[1:]))
    assert changes > 10, (changes, "".join(order))


async def cancelling():
    async with connect(URL) as socket:
        short = {"type": "open", "id": "short", "body": body([SYSTEM, user("Say hello.")], 4)}
        start = time.monotonic()
        baseline, _ = await turn(socket, short)
        alone = time.monotonic() - start
        for id in "abcd":
            await say(socket, {"type": "open", "id": id, "body": body([SYSTEM, user("Count from one to one thousand in words.")], 4000)})
            while not text_of(await heard(socket)):
                pass
            await say(socket, {"type": "cancel", "id": id})
            while (got := await heard(socket))["type"] == "event":
                pass
            assert got == {"type": "cancelled", "id": id}, got
        start = time.monotonic()
        assert (await turn(socket, short))[0] == baseline
        # Four answers of 4,000 tokens, two at a time, would take minutes.
        assert time.monotonic() - start < 20 * alone + 5, (time.monotonic() - start, alone)
        text, end = await turn(socket, {"type": "continue", "id": "d", "messages": [user("Stop. Say hello.")], "body": {"max_tokens": 4}})
        assert text and end["type"] == "done", (text, end)


async def a_hundred():
    async def one(number):
        async with connect(URL) as socket:
            text, end = await turn(socket, {"type": "open", "id": "a", "body": body([SYSTEM, user(f"Say {number}.")], 4)})
            assert text and end["type"] == "done", (text, end)
            await together.wait()
            return text

    together = asyncio.Barrier(100)
    texts = await asyncio.gather(*(one(number) for number in range(100)))
    for number in (0, 50, 99):
        assert texts[number] == await over_http([SYSTEM, user(f"Say {number}.")], 4), number


async def abrupt_ends():
    for _ in range(3):
        sockets = [await connect(URL) for _ in range(10)]
        for socket in sockets:
            for id in "abc":
                await say(socket, {"type": "open", "id": id, "body": body([SYSTEM, user("Write a long story about a dragon.")], 4000)})
        # Two are answered, whichever came first; the others wait.
        first, others = await asyncio.wait([asyncio.create_task(heard(socket)) for socket in sockets], return_when=asyncio.FIRST_COMPLETED)
        assert all(task.result()["type"] == "event" for task in first), first
        for task in others:
            task.cancel()
        for socket in sockets:
            socket.transport.abort()
    start = time.monotonic()
    assert await over_http([SYSTEM, user("Say hello.")], 4)
    assert time.monotonic() - start < 30, "ninety abandoned answers are still computed"


async def refusals():
    for origin, fine in [(f"http://{ADDRESS}", True), ("http://evil.example", False), ("https://friend.example", True)]:
        try:
            async with connect(URL, origin=origin):
                assert fine, origin
        except websockets.InvalidStatus as error:
            assert not fine and error.response.status_code == 403, error
    async with connect(URL) as socket:
        await socket.send(b"{}")
        try:
            await socket.recv()
            raise AssertionError("a binary message was answered")
        except websockets.ConnectionClosed as closed:
            assert closed.rcvd.code == 1003, closed


async def the_end():
    async with connect(URL) as idle, connect(URL) as busy:
        await say(busy, {"type": "open", "id": "a", "body": body([SYSTEM, user("Tell me about dragons.")], 64)})
        assert (await heard(busy))["type"] == "event"
        os.kill(PID, signal.SIGTERM)
        await asyncio.wait_for(idle.wait_closed(), 60)
        assert idle.close_code == 1001, idle.close_code
        while (got := await heard(busy))["type"] == "event":
            pass
        assert got["type"] == "done", got
        await asyncio.wait_for(busy.wait_closed(), 60)
        assert busy.close_code == 1001, busy.close_code


async def main():
    for part in (conversation, side_by_side, cancelling, a_hundred, abrupt_ends, refusals, the_end):
        start = time.monotonic()
        await part()
        print(f"{part.__name__}: {time.monotonic() - start:.1f} s")


asyncio.run(main())
