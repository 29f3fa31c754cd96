"""A guest in Python: two routes that run a model through wasi-nn, in each of its modes (docs/wasi-nn.md).

    GET  /tensor?1,2,3     tensor mode: the guest gives tokens, gets logits, and chooses the next eight tokens itself, the likeliest each time
    POST /generate         generate mode: the body is the request's JSON document; the answer streams as it is made
"""

import array
import json
import os

from componentize_py_types import Err, Ok
from wit_world.exports import IncomingHandler as Exported
from wit_world.imports import errors, graph
from wit_world.imports.tensor import Tensor, TensorType
from wit_world.imports.types import Fields, IncomingBody, Method_Get, Method_Post, OutgoingBody, OutgoingResponse, ResponseOutparam

# The model's name in the host; the component's environment may say another.
MODEL = os.environ.get("MODEL", "smollm2-135m-instruct")
# What one read may bring, and what one write may take.
PIECE = 4096


class IncomingHandler(Exported):
    def handle(self, request, response_out):
        path, _, query = (request.path_with_query() or "/").partition("?")
        answer = Answer(response_out)
        try:
            match (request.method(), path):
                case (Method_Get(), "/tensor"):
                    answer.json(200, {"tokens": likeliest(tokens(query), 8)})
                case (Method_Post(), "/generate"):
                    generate(read(request), answer)
                case _:
                    answer.json(404, {"error": "there are GET /tensor?1,2,3 and POST /generate"})
        except ValueError as error:
            answer.json(400, {"error": str(error)})
        except Err as failure:
            # What the host says is a JSON document with the kind and a message.
            status = 400 if failure.value.code() == errors.ErrorCode.INVALID_ARGUMENT else 503
            answer.json(status, {"error": json.loads(failure.value.data())})
        answer.end()


def tokens(text):
    """The numbers of a list with commas."""
    try:
        return [int(token) for token in text.split(",")]
    except ValueError:
        raise ValueError(f"'{text}' is no list of tokens: ask for /tensor?1,2,3") from None


def likeliest(ids, count):
    """The `count` tokens that follow `ids`, the likeliest each time."""
    context = graph.load_by_name(MODEL).init_execution_context()
    found = []
    for _ in range(count):
        # The context keeps what it was given: each call brings the new tokens alone.
        tensor = Tensor([len(ids)], TensorType.I32, array.array("i", ids).tobytes())
        outputs = dict(context.compute([("input_ids", tensor)]))
        logits = array.array("f", outputs["logits"].data())
        ids = [max(range(len(logits)), key=logits.__getitem__)]
        found += ids
    return found


def generate(request, answer):
    """Streams what the model says to a request, a chunk of the host's at a time."""
    context = graph.load_by_name(MODEL).init_execution_context()
    outputs = dict(context.compute([("request", Tensor([len(request)], TensorType.U8, request))]))
    # Only now: what is wrong with a request is told by its first chunk.
    answer.begin(200, "text/plain; charset=utf-8")
    while True:
        answer.write(bytes(outputs["text"].data()))
        if "result" in outputs:
            return
        outputs = dict(context.compute([]))


def read(request):
    """The whole body."""
    body, pieces = request.consume(), []
    with body.stream() as stream:
        try:
            while True:
                pieces.append(bytes(stream.blocking_read(PIECE)))
        except Err:
            # That it is closed is how a stream says that it is at its end.
            pass
    IncomingBody.finish(body)
    return b"".join(pieces)


class Answer:
    """The response, begun once and written piece by piece."""

    def __init__(self, out):
        self.out, self.body, self.stream = out, None, None

    def begin(self, status, content_type):
        response = OutgoingResponse(Fields.from_list([("content-type", content_type.encode())]))
        response.set_status_code(status)
        self.body = response.body()
        ResponseOutparam.set(self.out, Ok(response))
        self.stream = self.body.write()

    def write(self, data):
        for start in range(0, len(data), PIECE):
            self.stream.blocking_write_and_flush(data[start : start + PIECE])

    def json(self, status, value):
        # An answer that has begun cannot change its status any more: it ends.
        if self.body is None:
            self.begin(status, "application/json")
            self.write(json.dumps(value).encode())

    def end(self):
        self.stream.__exit__(None, None, None)
        OutgoingBody.finish(self.body, None)
