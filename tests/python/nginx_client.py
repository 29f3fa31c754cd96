"""What a user does through nginx: python nginx_client.py HTTPS_URL CERTIFICATE NAME PASSWORD."""

import asyncio
import base64
import json
import ssl
import sys
import time

import httpx
import openai
import websockets

url, certificate, name, password = sys.argv[1:5]
tls = ssl.create_default_context(cafile=certificate)
messages = [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": "What is the capital of France?"}]


def refusals() -> None:
    for auth in (None, (name, "wrong")):
        with httpx.Client(verify=tls, auth=auth) as client:
            refused = client.get(f"{url}/v1/models")
            assert refused.status_code == 401 and "Basic" in refused.headers["www-authenticate"], refused
            assert client.get(f"{url}/health").status_code == 200, "probes bring no password"
    with httpx.Client(verify=tls, auth=(name, password)) as client:
        assert client.get(f"{url}/metrics").status_code == 404
        assert "max-age" in client.get(f"{url}/").headers["strict-transport-security"]
        large = client.post(f"{url}/v1/chat/completions", content=b" " * (11 << 20), headers={"content-type": "application/json"})
        assert large.status_code == 413, large


def chat() -> None:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", http_client=httpx.Client(verify=tls, auth=(name, password)))
    model = client.models.list().data[0].id
    asked = {"model": model, "messages": messages, "temperature": 0, "max_tokens": 200}
    whole = client.chat.completions.create(**asked).choices[0].message.content
    assert "Paris" in whole, whole
    # Long enough to be seen coming in parts: a proxy that gathers an answer hands all of it out at its end.
    story = dict(asked, messages=[{"role": "user", "content": "Tell a long story about the sea."}])
    began, times = time.monotonic(), []
    for _ in client.chat.completions.create(**story, stream=True):
        times.append(time.monotonic() - began)
    assert times[0] < times[-1] / 3, f"the first of {len(times)} chunks after {times[0]:.3f} s, the last after {times[-1]:.3f} s"
    print(f"first chunk after {times[0]:.3f} s of {times[-1]:.3f} s, {len(times)} chunks")


async def socket() -> None:
    address = url.replace("https", "wss") + "/v1/chat/ws"
    basic = base64.b64encode(f"{name}:{password}".encode()).decode()
    try:
        await websockets.connect(address, ssl=tls)
        raise AssertionError("a socket without a password")
    except websockets.InvalidStatus as refused:
        assert refused.response.status_code == 401, refused
    async with websockets.connect(address, ssl=tls, additional_headers={"Authorization": f"Basic {basic}"}) as ws:
        await ws.send(json.dumps({"type": "open", "id": "a", "body": {"messages": messages, "temperature": 0, "max_tokens": 24}}))
        text = ""
        while (event := json.loads(await ws.recv()))["type"] == "event":
            text += "".join(choice["delta"].get("content") or "" for choice in event["data"]["choices"])
        assert event["type"] == "done" and "Paris" in text, (text, event)


refusals()
chat()
asyncio.run(socket())
print("all went through nginx")
