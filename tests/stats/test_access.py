"""Who gets in: attempts without, with wrong and with half a right to, and the owner's own ways."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from app.stats.access import session_of
from app.stats_tokens import Tokens
from app.wsgi import make_app
from tests.stats.conftest import METRICS, READ, Site

SESSION = session_of(READ)
CLOSED = ["", "api/v1/totals", "api/v1/files", "api/v1/live", "api/v1/openapi.json"]

# what is sent to api/v1/totals instead of the token: all of it is refused with 401
ATTEMPTS: list[dict[str, Any]] = [
    {},
    {"HTTP_AUTHORIZATION": ""},
    {"HTTP_AUTHORIZATION": "Bearer"},
    {"HTTP_AUTHORIZATION": "Bearer "},
    {"HTTP_AUTHORIZATION": "Bearer null"},
    {"HTTP_AUTHORIZATION": "Bearer " + "a" * 26},
    {"HTTP_AUTHORIZATION": f"Bearer {READ[:-1]}"},
    {"HTTP_AUTHORIZATION": f"Bearer {READ}x"},
    {"HTTP_AUTHORIZATION": f"Bearer {READ.upper()}"},
    {"HTTP_AUTHORIZATION": f"Bearer {READ}, Bearer {READ}"},
    {"HTTP_AUTHORIZATION": f'Bearer "{READ}"'},
    {"HTTP_AUTHORIZATION": f"Bearer {READ}\0"},
    {"HTTP_AUTHORIZATION": f"Bearer {READ} x"},
    {"HTTP_AUTHORIZATION": f"Bearer token={READ}"},
    {"HTTP_AUTHORIZATION": f"Basic {READ}"},
    {"HTTP_AUTHORIZATION": "Basic cmVhZC10b2tlbg=="},
    {"HTTP_AUTHORIZATION": f"Token {READ}"},
    {"HTTP_AUTHORIZATION": READ},
    {"HTTP_AUTHORIZATION": f"Bearer {METRICS}"},
    {"HTTP_AUTHORIZATION": f"Bearer {SESSION}"},
    {"HTTP_AUTHORIZATION": "Bearer \xe9\xff" * 3},
    {"HTTP_AUTHORIZATION": "Bearer " + "x" * 8000},
    {"HTTP_COOKIE": ""},
    {"HTTP_COOKIE": "tally-8000="},
    {"HTTP_COOKIE": "tally-8000"},
    {"HTTP_COOKIE": f"tally-8000={READ}"},
    {"HTTP_COOKIE": f"tally-8000={SESSION[:-1]}"},
    {"HTTP_COOKIE": f"tally-8000={SESSION.upper()}"},
    {"HTTP_COOKIE": f'tally-8000="{SESSION}"'},
    {"HTTP_COOKIE": f"tally-8001={SESSION}"},
    {"HTTP_COOKIE": f"tally={SESSION}"},
    {"HTTP_COOKIE": f"Tally-8000={SESSION}"},
    {"HTTP_COOKIE": f"__Secure-tally-8000={SESSION}"},
    {"HTTP_COOKIE": f"tally-8000={session_of(METRICS)}"},
    {"HTTP_COOKIE": f"tally-8000={session_of('')}"},
    {"HTTP_COOKIE": f"tally-8000=x; tally-8000={SESSION}"},
    {"HTTP_COOKIE": f"tally-8000={SESSION}", "SERVER_PORT": "8001"},
    {"HTTP_COOKIE": f"tally-8000={SESSION}", "wsgi.url_scheme": "https"},
    {"HTTP_COOKIE": "tally-8000=\xff\xfe"},
    {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
    {"HTTP_X_AUTH_TOKEN": READ},
    {"HTTP_X_ORIGINAL_URL": "/-/tally/health"},
    {"HTTP_X_FORWARDED_USER": "admin"},
    {"REMOTE_USER": "admin"},
    {"REMOTE_ADDR": "127.0.0.1"},
    {"REMOTE_ADDR": ""},
    {"QUERY_STRING": f"token={READ}"},
    {"QUERY_STRING": f"access_token={READ}"},
    {"HTTP_HOST": "localhost"},
]


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: str(attempt)[:60])
def test_refused(site: Site, attempt: dict[str, Any]) -> None:
    answer = site.ask("api/v1/totals", token=None, **attempt)
    assert answer.status == 401
    assert answer["WWW-Authenticate"] == 'Bearer realm="Tally"'
    assert b"accesses" not in answer.body
    assert READ.encode() not in answer.body


# ways around a closed address: none of them leads anywhere
ADDRESSES = [
    "api/v1/totals/", "api//v1/totals", "./api/v1/totals", "API/v1/totals", "api/v1/totals\0",
    "api/v1/totals.json", "api/v1/totals;x=/health", "health/../api/v1/totals",
    "health/../../tally/api/v1/totals", "static/../api/v1/totals", "..", "%2e%2e/", "api/v2/totals",
    "api", "api/", "enter/", "static/", "static/../application.py", "openapi.json",
    "api/v1/../v1/totals", "\xe2\x80\xaehealth",
]  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_way_around(site: Site, address: str) -> None:
    assert site.ask(address, token=None).status in (401, 404)
    assert site.ask(address).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_is_changed_by_other_methods(site: Site, method: str) -> None:
    for address in ("api/v1/totals", "health"):
        answer = site.ask(address, method=method)
        assert answer.status == 405
        assert answer["Allow"] == "GET, HEAD"
    assert site.ask("api/v1/totals", method=method, token=None).status == 401


def test_the_link_gives_a_cookie_that_opens_everything(site: Site) -> None:
    answer = site.ask("enter", f"token={READ}", token=None)
    assert answer.status == 303
    assert answer["Location"] == "./"
    assert answer["Referrer-Policy"] == "no-referrer"
    assert answer["Cache-Control"] == "no-store"
    cookie = answer["Set-Cookie"]
    assert cookie == (
        f"tally-8000={SESSION}; Path=/-/tally/; Max-Age=2592000; HttpOnly; SameSite=Strict"
    )
    assert READ not in cookie
    sent = f"other=1; {cookie.partition(';')[0]}; bad[]=\xff"
    assert site.ask("api/v1/totals", token=None, HTTP_COOKIE=sent).status == 200


def test_the_form_does_the_same(site: Site) -> None:
    body = f"token={READ}".encode()
    assert site.ask("enter", method="POST", token=None, body=body).status == 303
    assert site.ask("enter", method="POST", token=None, body=b"token=x").status == 401
    assert site.ask("enter", method="POST", token=None, body=b"x" * 1025).status == 413
    assert site.ask("enter", method="POST", token=None).status == 400


def test_over_https_and_below_another_application(site: Site) -> None:
    more: dict[str, Any] = {"wsgi.url_scheme": "https", "SCRIPT_NAME": "/a;b", "SERVER_PORT": "443"}
    cookie = site.ask("enter", f"token={READ}", token=None, **more)["Set-Cookie"]
    assert cookie.startswith(f"__Secure-tally-443={SESSION}; Path=/a%3Bb/-/tally/; ")
    assert cookie.endswith("; Secure")
    sent = cookie.partition(";")[0]
    assert site.ask("api/v1/totals", token=None, HTTP_COOKIE=sent, **more).status == 200


def test_leaving(site: Site) -> None:
    answer = site.ask("leave", method="POST", token=None)
    assert answer.status == 303
    assert "tally-8000=; " in answer["Set-Cookie"]
    assert "Max-Age=0;" in answer["Set-Cookie"]
    assert site.ask("leave").status == 405


def test_another_token_ends_all_sessions() -> None:
    assert session_of(READ) == SESSION
    assert session_of(READ + "x") != SESSION
    assert re.fullmatch("[0-9a-f]{64}", SESSION)


@pytest.mark.parametrize("address", [*CLOSED, "enter", "api/v1/none"])
def test_without_a_token_there_is_nothing(address: str) -> None:
    site = Site(tokens=Tokens())
    assert site.ask(address, token=None).status == 404
    assert site.ask(address, token="").status == 404
    assert site.ask("health", token=None).status == 200


def test_a_public_page_needs_none() -> None:
    site = Site(tokens=Tokens(), is_public=True)
    assert site.ask("api/v1/totals", token=None).status == 200


def test_health_is_for_everybody(site: Site) -> None:
    assert site.ask("health", token=None).body == b"ok\n"
    assert site.ask("health", method="HEAD", token=None).body == b""
    site.problem = "/secret/place: no such directory"
    answer = site.ask("health", token=None)
    assert answer.status == 503
    assert answer["Retry-After"] == "5"
    assert b"secret" not in answer.body


def test_many_wrong_tokens_are_slowed_down(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    wrong = "w" * 26
    statuses = [site.ask("api/v1/totals", token=wrong).status for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    answer = site.ask("enter", f"token={wrong}", token=None)
    assert answer.status == 429
    assert 0 < int(answer["Retry-After"]) <= 60
    assert site.ask("enter", f"token={wrong}", token=None, REMOTE_ADDR="192.0.2.2").status == 401
    # The owner is not locked out by a neighbour behind the same proxy.
    assert site.ask("api/v1/totals").status == 200
    assert len(caplog.records) == 1
    assert wrong not in caplog.text
    # An IPv6 client has 2**64 addresses.
    for number in range(10):
        site.ask("api/v1/totals", token=wrong, REMOTE_ADDR=f"2001:db8::{number}")
    assert site.ask("api/v1/totals", token=wrong, REMOTE_ADDR="2001:db8::ff").status == 429


def test_a_request_without_a_token_is_no_guess(site: Site) -> None:
    statuses = {site.ask("api/v1/totals", token=None).status for _ in range(20)}
    assert statuses == {401}


def test_every_answer_is_for_its_reader_alone(site: Site) -> None:
    for answer in (
        site.ask("api/v1/totals"),
        site.ask("api/v1/totals", token=None),
        site.ask("api/v1/files", "format=csv"),
        site.ask("nothing"),
        site.ask("health"),
    ):
        assert answer["Cache-Control"] == "no-store"
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Referrer-Policy"] == "no-referrer"
        assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "default-src 'none'" in answer["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]


def test_the_slash_is_added(site: Site) -> None:
    answer = site.ask("", token=None, PATH_INFO="/-/tally")
    assert (answer.status, answer["Location"]) == (301, "./tally/")


@pytest.mark.parametrize(
    "path", ["", "/", "off", "off/health", "offhealth", "health", "/-/tally/health"]
)
def test_statistics_that_are_off_have_no_address(tmp_path: Path, path: str) -> None:
    settings = Settings.from_environment(
        {"TALLY_ROOT": str(tmp_path), "TALLY_STATS": "off", "TALLY_STATS_PUBLIC": "1"}
    )
    application = make_app(settings)
    statuses: list[str] = []

    def start_response(status: str, *_: object) -> Callable[[bytes], object]:
        statuses.append(status)
        return statuses.append  # type: ignore[return-value]

    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "SCRIPT_NAME": "",
        "wsgi.multiprocess": False,
    }
    body = b"".join(application(environ, start_response))
    application.close()
    assert statuses[0][:3] == "404"
    assert body != b"ok\n"
