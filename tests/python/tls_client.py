"""What users' clients do over TLS: `tls_client.py PORT ROOT_CERTIFICATE`."""

import asyncio
import json
import ssl
import sys
import time

import httpx
import openai
import websockets

port, root = sys.argv[1:]
url = f"https://localhost:{port}"
messages = [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": "What is the capital of France?"}]
asked = {"messages": messages, "temperature": 0, "max_tokens": 24}


def context(version):
    tls = ssl.create_default_context(cafile=root)
    tls.minimum_version = tls.maximum_version = version
    return tls


def ready():
    deadline = time.monotonic() + 120
    with httpx.Client(verify=ssl.create_default_context(cafile=root)) as client:
        while client.get(f"{url}/health").status_code != 200:
            assert time.monotonic() < deadline, "it does not become healthy"
            time.sleep(0.05)


def names_are_bound_to_tls():
    with httpx.Client(verify=ssl.create_default_context(cafile=root)) as client:
        # `localhost` and addresses are for trials: whoever bound them would bind every other service of the machine.
        for host, bound in [("chat.example", True), (f"chat.example:{port}", True), ("localhost", False), (f"127.0.0.1:{port}", False)]:
            for path in ("/", "/v1/models", "/nowhere"):
                policy = client.get(f"{url}{path}", headers={"host": host}).headers.get("strict-transport-security")
                assert policy == ("max-age=31536000" if bound else None), (host, path, policy)


def plain_http_is_told():
    refused = httpx.get(f"http://127.0.0.1:{port}/health")
    assert refused.status_code == 400 and "https://" in refused.json()["error"]["message"], refused.text


def chat(tls):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", http_client=httpx.Client(verify=tls), max_retries=0) as client:
        model = client.models.list().data[0].id
        whole = client.chat.completions.create(model=model, **asked).choices[0].message.content
        chunks = client.chat.completions.create(model=model, stream=True, **asked)
        streamed = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert whole == streamed and "Paris" in whole, (whole, streamed)
    return whole


async def socket(tls):
    async with websockets.connect(f"wss://localhost:{port}/v1/chat/ws", ssl=tls) as ws:
        version = ws.transport.get_extra_info("ssl_object").version()
        await ws.send(json.dumps({"type": "open", "id": "a", "body": asked}))
        text = ""
        while (event := json.loads(await asyncio.wait_for(ws.recv(), 120)))["type"] == "event":
            text += "".join(choice["delta"].get("content") or "" for choice in event["data"]["choices"])
        assert event["type"] == "done", event
    return version, text


async def a_page_s_origin(tls):
    # A page of the very address that is called, and one of elsewhere; http is not https.
    for origin, allowed in [(f"https://localhost:{port}", True), ("https://elsewhere.example", False)]:
        try:
            async with websockets.connect(f"wss://localhost:{port}/v1/chat/ws", ssl=tls, origin=origin):
                assert allowed, origin
        except websockets.InvalidStatus as refused:
            assert not allowed and refused.response.status_code == 403, (origin, refused)


ready()
names_are_bound_to_tls()
plain_http_is_told()
for version, name in [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")]:
    said = chat(context(version))
    assert asyncio.run(socket(context(version))) == (name, said)
    print(f"{name}: {said!r}, over wss too")
asyncio.run(a_page_s_origin(context(ssl.TLSVersion.TLSv1_3)))
