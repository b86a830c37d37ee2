"""Applications of others run unchanged, with the standard library's validator around them."""

import gc
import hashlib
import warnings
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from wsgiref.validate import validator

import pytest
from flask import Flask, jsonify, request

from tests.server.serving import Running, serving

with warnings.catch_warnings():
    # WebTest imports WebOb, which imports a module of Python that is on its way out.
    warnings.simplefilter("ignore", DeprecationWarning)
    from webtest.debugapp import debug_app

BODY = bytes(range(256)) * (50 * 1024 * 1024 // 256)
SUM = hashlib.sha256(BODY).hexdigest()


def flask_application() -> Any:
    flask = Flask(__name__)

    @flask.post("/upload")
    def upload() -> Any:
        digest = hashlib.sha256()
        while piece := request.stream.read(65536):
            digest.update(piece)
        return jsonify(sum=digest.hexdigest())

    @flask.get("/stream")
    def stream() -> Any:
        return (f"{number}\n" for number in range(1000)), {"Content-Type": "text/plain"}

    return flask


@pytest.fixture(params=[8, 0], ids=["loop", "thread-per-connection"])
def threads(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def in_pieces() -> Iterator[bytes]:
    for start in range(0, len(BODY), 1 << 20):
        yield BODY[start : start + (1 << 20)]


def asked(running: Running, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
    """Send *body* by its length, or in chunks if it is an iterator."""
    connection = HTTPConnection("127.0.0.1", running.port, timeout=30)
    try:
        connection.request(method, path, body, encode_chunked=not isinstance(body, bytes | None))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_a_flask_application(threads: int) -> None:
    with serving(validator(flask_application()), threads=threads) as running:
        for body in (BODY, in_pieces()):
            status, answer = asked(running, "POST", "/upload", body)
            assert (status, SUM.encode() in answer) == (200, True)
        assert asked(running, "GET", "/stream") == (
            200,
            b"".join(b"%d\n" % number for number in range(1000)),
        )
        assert asked(running, "GET", "/none")[0] == 404


# WebOb leaves it to the collector to close the temporary file of a large body: to be done within
# this test.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_debug_application_of_webtest(threads: int) -> None:
    with serving(validator(debug_app), threads=threads) as running:
        status, answer = asked(running, "POST", "/path?status=200%20Fine&header-X-Y=z", BODY)
        assert status == 200
        assert answer.endswith(BODY)
        assert b"REQUEST_METHOD: POST" in answer
        assert asked(running, "GET", "/?status=404%20Gone")[0] == 404
    gc.collect()
