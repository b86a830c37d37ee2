"""The class of a request: what decides, what is remembered, and what a flood costs."""

import subprocess
import sys
from threading import Thread

import pytest

from app.clients import Classifier, Networks, read_patterns
from app.clients.classifier import LONGEST_AGENT, MOST_NEW_A_SECOND, REMEMBERED

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def environ(agent: str = BROWSER, address: str = "203.0.113.5", **fields: str) -> dict[str, str]:
    return {"HTTP_USER_AGENT": agent, "REMOTE_ADDR": address, **fields}


REQUESTS = [
    (environ(), "people"),
    (environ("curl/8.5.0"), "tools"),
    (environ("Googlebot/2.1"), "robots"),
    (environ(HTTP_SEC_PURPOSE="prefetch"), "robots"),
    (environ(HTTP_SEC_PURPOSE="prefetch;prerender"), "robots"),
    (environ(HTTP_SEC_PURPOSE="prefetch;anonymous-client-ip"), "robots"),
    (environ(HTTP_PURPOSE="prefetch"), "robots"),
    (environ(HTTP_PURPOSE="Prefetch"), "robots"),
    (environ(HTTP_X_MOZ="prefetch"), "robots"),
    (environ(HTTP_SEC_PURPOSE="", HTTP_X_MOZ=" prefetch "), "robots"),
    (environ(HTTP_PURPOSE="preview"), "people"),
    (environ(HTTP_SEC_PURPOSE="prefetching"), "people"),
    (environ(address="192.0.2.9"), "own"),
    (environ(address="::ffff:192.0.2.9"), "own"),
    (environ("Googlebot/2.1", "192.0.2.9", HTTP_SEC_PURPOSE="prefetch"), "own"),
    (environ("corp-monitor"), "robots"),
    ({"REMOTE_ADDR": "203.0.113.5"}, "robots"),
    ({}, "robots"),
]


@pytest.mark.parametrize(("request_", "class_"), REQUESTS)
def test_what_decides(request_: dict[str, str], class_: str) -> None:
    classifier = Classifier(own=Networks(["192.0.2.0/24"]), more_robots=read_patterns(["corp-"]))
    assert [classifier.classify(request_) for _ in range(2)] == [class_] * 2


def test_long_agents_are_cut() -> None:
    classifier = Classifier()
    padding = "x" * (LONGEST_AGENT - len(BROWSER) - 1)
    assert classifier.classify(environ(f"{BROWSER} {padding}Googlebot")) == "people"
    assert classifier.classify(environ(f"{BROWSER} {padding[9:]}Googlebot")) == "robots"
    assert classifier.client(environ("x" * 10_000), "people") == classifier.client(
        environ("x" * 600), "people"
    )


def test_clients() -> None:
    classifier = Classifier()
    assert classifier.client(environ(), "people") == classifier.client(
        environ(address="::ffff:203.0.113.5"), "people"
    )
    one, other = (environ(address=f"2001:db8::{host}") for host in (1, 2))
    assert classifier.client(one, "tools") == classifier.client(other, "tools")
    different = {
        classifier.client(request, "people")
        for request in (environ(), environ("a"), environ(address="::1"))
    }
    assert len(different) == 3
    assert [classifier.client(environ(), class_) for class_ in ("robots", "own", "unknown")] == [
        None
    ] * 3
    assert classifier.client(environ("\xe4\udcff"), "people") is not None


def test_a_flood_of_new_agents_is_looked_up_at_a_bounded_rate() -> None:
    now = [100.0]
    classifier = Classifier(clock=lambda: now[0])
    assert classifier.classify(environ()) == "people"
    classes = [classifier.classify(environ(f"flood/{number}")) for number in range(1000)]
    assert classes == ["people"] * (MOST_NEW_A_SECOND - 1) + ["unknown"] * (
        1001 - MOST_NEW_A_SECOND
    )
    assert classifier.classify(environ()) == "people", "known ones keep their class"
    now[0] += 1
    assert classifier.classify(environ("flood/999")) == "people", (
        "and it was not remembered as unknown"
    )
    assert classifier.classify(environ("curl/8.5.0")) == "tools"


def test_agents_that_take_long_are_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]

    def slow(agent: str, more_robots: object) -> str:
        now[0] += 0.015
        return "people"

    monkeypatch.setattr("app.clients.classifier.class_of", slow)
    classifier = Classifier(clock=lambda: now[0], spent_by_thread=lambda: now[0])
    classes = [classifier.classify(environ(f"flood/{number}")) for number in range(50)]
    assert classes.count("people") == 4, "3 take 45 ms"
    now[0] += 1
    assert classifier.classify(environ("flood/49")) == "people"


def test_memory_is_bounded() -> None:
    now = [0.0]
    classifier = Classifier(clock=lambda: now[0])
    for number in range(REMEMBERED + 500):
        now[0] += 0.015
        classifier.classify(environ(f"agent/{number}"))
    assert classifier._class_of.cache_info().currsize == REMEMBERED


def test_many_threads() -> None:
    classifier = Classifier(clock=lambda: 1.0)
    wrong: list[str] = []

    def ask() -> None:
        for number in range(300):
            class_ = classifier.classify(environ(f"curl/{number % 40}"))
            if class_ != "tools":
                wrong.append(class_)

    threads = [Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_nothing_is_imported_before_the_first_agent() -> None:
    code = (
        "import sys; from app.clients import Classifier; c = Classifier(); "
        "assert 'counter_robots' not in sys.modules; "
        "c.classify({'HTTP_USER_AGENT': 'curl/8'}); assert 'counter_robots' in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=30)


def test_without_the_package_requests_are_answered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "counter_robots", None)
    classifier = Classifier()
    assert [classifier.classify(environ(f"agent/{number}")) for number in range(3)] == [
        "unknown"
    ] * 3
    [record] = caplog.records
    assert "not classified" in record.getMessage()
