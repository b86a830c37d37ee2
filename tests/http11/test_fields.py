"""The memory of valid field lines: what it keeps, how large it becomes, that threads may share it."""

import threading

import pytest

from app.http11 import ProtocolError
from app.http11.fields import DROPPED, LineMemory, parse_field_line

_BOUND = 4096


@pytest.mark.parametrize(
    "line",
    [
        "Host: example.com",
        "user-agent: x",
        "Accept:*/*",
        "SEC-CH-UA: a",
        "Sec-Ch-Ua-Mobile: ?0",
        "Content-Type: a/b",
        'If-None-Match: "a"',
        "if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT",
        "Referer: http://a/page",
    ],
)
def test_a_repeated_line_is_remembered(line: str) -> None:
    memory = LineMemory()
    field = memory[line]
    assert field == parse_field_line(line)
    assert dict.__getitem__(memory, line) is field
    assert memory[line] is field


@pytest.mark.parametrize(
    "line",
    [
        "Cookie: session=1",
        "cookie: session=1",
        "COOKIE: session=1",
        "Authorization: Basic YTpi",
        "aUTHORIZATION: Basic YTpi",
        "Proxy-Authorization: Basic YTpi",
        "X-Api-Key: 1",
        "X-Auth-Token: 1",
        "Referer: http://a/reset?token=1",
        "Accept_: a",
        "Accept: " + "a" * 250,
    ],
)
def test_secrets_and_long_lines_are_not_remembered(line: str) -> None:
    memory = LineMemory()
    assert memory[line] == parse_field_line(line)
    assert not memory


def test_a_line_of_256_characters_is_remembered() -> None:
    memory = LineMemory()
    assert memory["Accept: " + "a" * 248][1] == "a" * 248
    assert len(memory) == 1


@pytest.mark.parametrize(
    "line", ["Host: a b", "Accept : a", "Accept: \x00", "", "Accept", "Content-Length: +1"]
)
def test_an_invalid_line_is_refused_each_time(line: str) -> None:
    memory = LineMemory()
    for _ in range(2):
        with pytest.raises(ProtocolError):
            memory[line]
    assert not memory


def test_the_variable_of_a_dropped_field() -> None:
    assert parse_field_line("Accept_Language: de") == (DROPPED, "de")


def test_a_flood_of_lines_neither_grows_it_nor_locks_others_out() -> None:
    memory = LineMemory()
    largest = 0
    for number in range(3 * _BOUND):
        memory[f"Accept: {number}"]
        largest = max(largest, len(memory))
    assert largest == _BOUND
    memory["Host: a"]
    assert "Host: a" in memory


def test_threads_share_it() -> None:
    memory = LineMemory()
    wrong: list[object] = []

    def use(offset: int) -> None:
        try:
            for number in range(offset, offset + 2 * _BOUND):
                line = f"Accept: {number % (_BOUND + 100)}"
                if memory[line] != ("HTTP_ACCEPT", line[8:]):
                    wrong.append(line)
        except Exception as error:  # noqa: BLE001  what a thread raises must be seen
            wrong.append(error)

    threads = [threading.Thread(target=use, args=(offset * 1000,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(memory) <= _BOUND + len(threads)
