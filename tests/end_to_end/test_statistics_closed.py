"""Every method on every address below the prefix, of running servers, by who has no right to."""

import re
from collections.abc import Iterator

import pytest

from app import host_figures
from app.counters.contract import CounterError
from app.counters.reading import CountReader
from app.stats.application import Host, StatsApplication, StatsOptions
from app.stats_tokens import Tokens
from tests.end_to_end.client import Client
from tests.end_to_end.servers import LiveServer, running

TOKEN = "a-token-of-the-tests-own"
METRICS = "a-token-for-the-metrics-alone"
PREFIX = "/-/tally/"
NAME = "secret-name.txt"
ACCESSES = 47
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "BREW"]
#: What has an answer for the owner.
GUARDED = [
    "", "?period=7d", f"file?path=/{NAME}", "dir?path=/", "api/v1/totals", "api/v1/files",
    "api/v1/files?format=csv", f"api/v1/file?path=/{NAME}", "api/v1/series?period=7d",
    "api/v1/directory?path=/", "api/v1/missed", "api/v1/live", f"api/v1/live?path=/{NAME}",
    "api/v1/openapi.json", "metrics", "metrics/files", "api%2fv1%2ftotals", "%61pi/v1/totals",
]  # fmt: skip
#: What has none for anybody.
NOTHING = [
    "none", "index.html", "file/", "dir/", "api", "api/", "api/v1", "api/v1/", "api/v2/totals",
    "api/v1/totals/", "api/v1/totals.json", "api/v1/totals%00", "api/v1/totals%2f",
    "API/V1/TOTALS", "api//v1/totals", "./api/v1/totals", "health/../api/v1/totals",
    "static/../api/v1/totals", "static/..%2fapplication.py", "static/../../../../etc/passwd",
    "..%2f..%2f" + NAME, "api/v1/totals;token=" + TOKEN, "metrics/", "metrics/hosts", "badge.png",
    "%2e%2e/", "%ff%fe", "%0d%0aX-Injected:%20yes", "<script>alert(1)</script>", "{{7*7}}",
]  # fmt: skip
#: For everybody, who learns nothing from it.
OPEN = ["health", "enter", "enter?token=wrong", "leave", "static/none.css",
        f"badge.svg?path=/{NAME}", f"badge.json?path=/{NAME}"]  # fmt: skip
#: Other ways to write the prefix.
AROUND = [
    "//-/tally/api/v1/totals", "/-//tally/api/v1/totals", "/./-/tally/api/v1/totals",
    "/x/../-/tally/api/v1/totals", "/%2d/tally/api/v1/totals", "/-/tally%2fapi/v1/totals",
    "/-/tally\\api/v1/totals", "/-/TALLY/api/v1/totals", "/-/tally;/api/v1/totals",
    "http://tally.test/-/tally/api/v1/totals", "/-/tallyapi/v1/totals",
]  # fmt: skip
#: Half a right.
FIELDS: list[list[tuple[str, str]]] = [
    [],
    [("Authorization", "Bearer " + "x" * 24)],
    [("Authorization", f"Basic {TOKEN}")],
    [("Cookie", f"tally={TOKEN}")],
    [("X-Forwarded-For", "127.0.0.1"), ("X-Original-URL", "/-/tally/health")],
    [("X-HTTP-Method-Override", "GET"), ("X-Forwarded-User", "admin")],
]


@pytest.fixture(scope="module", params=["builtin", "gunicorn"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveServer]:
    directory = tmp_path_factory.mktemp("site")
    root, tokens = directory / "root", directory / "tokens"
    root.mkdir()
    (root / NAME).write_text("text")
    tokens.write_text(f"{TOKEN}\nmetrics {METRICS}\n")
    with running(request.param, root=root, TALLY_STATS_TOKEN_FILE=str(tokens)) as server:
        with Client(server.port) as client:
            for _ in range(ACCESSES):
                assert client.ask("GET", f"/{NAME}").status == 200
        yield server


def asked(
    server: LiveServer, method: str, target: str, fields: list[tuple[str, str]]
) -> tuple[int, str]:
    """Return the status, and all of the answer as text. It must give nothing away."""
    with Client(server.port) as client:
        answer = client.ask(method, target, fields)
    said = "\n".join(f"{name}: {value}" for name, value in answer.fields)
    said += answer.body.decode("utf-8", "replace")
    for secret in (NAME, TOKEN, METRICS, "Traceback", "tally_", "X-Injected: yes", "set-cookie"):
        # TRACE is not answered with the request; a cookie that is taken back is no secret.
        if not (secret == "set-cookie" and "Max-Age=0" in said):
            assert secret not in said, (method, target, said)
    assert not re.search(rf"\b{ACCESSES}\b", answer.body.decode("utf-8", "replace")), (
        method,
        target,
    )
    return answer.status, said


@pytest.mark.parametrize("method", METHODS)
def test_every_address_is_closed_to_every_method(server: LiveServer, method: str) -> None:
    for number, address in enumerate(GUARDED):
        fields = FIELDS[number % len(FIELDS)]
        status, said = asked(server, method, PREFIX + address, fields)
        assert status in (401, 429), (address, said)
        if status == 401:
            assert 'www-authenticate: Bearer realm="Tally"' in said
    for address in NOTHING:
        status, said = asked(server, method, PREFIX + address, [])
        assert status in (400, 404, 301), (address, said)
        assert status != 301 or PREFIX.encode() not in said.encode()
    for address in OPEN:
        status, _ = asked(server, method, PREFIX + address, [])
        assert status in (200, 303, 401, 404, 405, 400, 411, 429)
    for target in AROUND:
        status, _ = asked(server, method, target, [])
        assert status in (301, 400, 401, 404, 405, 204)


def test_half_a_right_opens_half(server: LiveServer) -> None:
    bearer = [("Authorization", f"Bearer {METRICS}")]
    for address in GUARDED:
        if not address.startswith("metrics"):
            assert asked(server, "GET", PREFIX + address, bearer)[0] in (401, 429)
    with Client(server.port) as client:
        assert client.ask("GET", PREFIX + "metrics", bearer).status == 200


def test_the_owner_gets_an_answer_from_each(server: LiveServer) -> None:
    """So that the attempts were made where something is."""
    bearer = [("Authorization", f"Bearer {TOKEN}")]
    with Client(server.port) as client:
        for address in GUARDED:
            answer = client.ask("GET", PREFIX + address, bearer)
            assert answer.status == 200, address
            assert client.ask("DELETE", PREFIX + address, bearer).status == 405
        for address in NOTHING:
            assert client.ask("GET", PREFIX + address, bearer).status in (400, 404, 301), address


def test_nothing_of_it_was_counted(server: LiveServer) -> None:
    with Client(server.port) as client:
        answer = client.ask("GET", PREFIX + "api/v1/totals", [("Authorization", f"Bearer {TOKEN}")])
    assert f'"accesses": {ACCESSES}'.encode() in answer.body


def test_every_route_is_among_them() -> None:
    def reader() -> CountReader:
        raise CounterError("nothing is read")

    application = StatsApplication(
        StatsOptions(prefix=PREFIX, tokens=Tokens((TOKEN,))),
        reader,
        Host(host_figures.figures, lambda: 0, lambda: None),
    )
    guarded = {address.partition("?")[0] for address in GUARDED}
    open_ = {address.partition("?")[0] for address in OPEN}
    for address, route in application._routes.items():
        assert address in (open_ if route.scope == "everybody" else guarded)
