"""OpenAI's own client with keys of all sorts: `keys_client.py HEARTH URL`. Makes them by the program HEARTH, beside the server that needs them."""

import base64
import json
import subprocess
import sys

import openai

hearth, url = sys.argv[1:]
ASKED = dict(model="smollm2", messages=[{"role": "user", "content": "Say hello."}], max_tokens=4, temperature=0)


def keys(*words):
    return json.loads(subprocess.run([hearth, "keys", "--json", *words], check=True, capture_output=True, text=True).stdout)


def client(token="none", authorization=None):
    # The client has to have a key; a header of one's own takes its place.
    headers = {"Authorization": authorization} if authorization else {}
    return openai.OpenAI(base_url=f"{url}/v1", api_key=token, default_headers=headers, max_retries=0)


def chat(client):
    return client.chat.completions.create(**ASKED).choices[0].message.content


def chat_without_a_key(client):
    client.chat.completions.create(extra_headers={"Authorization": openai.Omit()}, **ASKED)


def refused(kind, client, code, ask=chat):
    try:
        ask(client)
    except kind as error:
        assert error.body["code"] == code, (code, error.body)
        return error
    raise AssertionError(f"{code} was expected")


def basic(key):
    return "Basic " + base64.b64encode(f"{key['id']}:{key['secret']}".encode()).decode()


good = keys("create", "python")
said = chat(client(good["token"]))
assert said == chat(client(authorization=basic(good))), said
streamed = client(good["token"]).chat.completions.create(stream=True, **ASKED)
assert said == "".join(choice.delta.content or "" for chunk in streamed for choice in chunk.choices)

unauthorized = openai.AuthenticationError
error = refused(unauthorized, client(), "missing_api_key", chat_without_a_key)
assert error.status_code == 401 and error.response.headers["www-authenticate"].startswith("Bearer"), error.response.headers
wrong = good["token"][:-1] + ("1" if good["token"].endswith("0") else "0")
for other in (client("sk-wrong"), client(wrong), client(authorization=basic({**good, "secret": wrong[-64:]}))):
    error = refused(unauthorized, other, "invalid_api_key")
    assert error.status_code == 401 and wrong not in str(error.body), error.body

reader = client(keys("create", "reader", "--scope", "read")["token"])
assert [model.id for model in reader.models.list()] == ["smollm2"]
assert refused(openai.PermissionDeniedError, reader, "insufficient_permissions").status_code == 403
elsewhere = client(keys("create", "elsewhere", "--model", "another")["token"])
assert refused(openai.PermissionDeniedError, elsewhere, "model_not_allowed").status_code == 403

limited = client(keys("create", "limited", "--requests-per-minute", "2", "--tokens-per-minute", "100000")["token"])
told = limited.chat.completions.with_raw_response.create(**ASKED).headers
assert (told["x-ratelimit-limit-requests"], told["x-ratelimit-limit-tokens"]) == ("2", "100000"), told
assert told["x-ratelimit-remaining-requests"] == "1" and int(told["x-ratelimit-remaining-tokens"]) < 100_000, told


def often(client):
    # As many as are refused even where a new minute begins meanwhile.
    for _ in range(8):
        client.models.list()


error = refused(openai.RateLimitError, limited, "rate_limit_exceeded", often)
told = error.response.headers
assert error.status_code == 429 and 1 <= int(told["retry-after"]) <= 60, told
assert (told["x-ratelimit-limit-requests"], told["x-ratelimit-remaining-requests"]) == ("2", "0"), told
assert told["x-ratelimit-reset-requests"].endswith("s"), told

turned = keys("create", "turned")
before = client(turned["token"])
assert chat(before) == said
after = keys("rotate", turned["id"])
assert after["id"] == turned["id"] and after["token"] != turned["token"]
refused(unauthorized, before, "invalid_api_key")
assert chat(client(after["token"])) == chat(client(authorization=basic(after))) == said
keys("revoke", turned["id"])
refused(unauthorized, client(after["token"]), "revoked_api_key")
refused(unauthorized, client(authorization=basic(after)), "revoked_api_key")
print("openai-python is let in and refused as its keys say")
