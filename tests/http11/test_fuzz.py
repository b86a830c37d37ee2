"""The invariant of `tests.http11.fuzz`, and proof that the fuzzer would see it broken."""

from random import Random

import pytest

from app.http11 import Limits
from app.http11.beginning import Beginning
from app.http11.buffer import ReceiveBuffer
from app.http11.receiver import Receiver
from app.http11.request import Request
from tests.http11 import fuzz
from tests.http11.wire import head


@pytest.mark.parametrize(
    ("streams", "seed"),
    [(1000, 5), *(pytest.param(5000, seed, marks=pytest.mark.slow) for seed in (1, 2, 3, 4))],
)
def test_mutated_streams(streams: int, seed: int) -> None:
    assert fuzz.run(streams, seed) == 0


def test_the_fuzzer_finds_a_receiver_that_depends_on_the_cuts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read_line = ReceiveBuffer.read_line

    def forgetful(self: ReceiveBuffer, size: int, status: int, reason: str) -> str | None:
        line = read_line(self, size, status, reason)
        if line is None:
            self.searched = len(self.data)  # overlooks a CR that came last
        return line

    monkeypatch.setattr(ReceiveBuffer, "read_line", forgetful)
    assert fuzz.run(200, seed=1) > 0


def test_the_fuzzer_finds_a_quick_path_that_accepts_more(monkeypatch: pytest.MonkeyPatch) -> None:
    read_short_head = Receiver._read_short_head

    def lax(self: Receiver, data: bytes, start: int) -> Request | None:
        return read_short_head(self, bytes(data).replace(b"\n\r\n", b"\r\n\r\n"), start)

    monkeypatch.setattr(Receiver, "_read_short_head", lax)
    assert fuzz.run(2000, seed=1) > 0


def test_the_fuzzer_finds_a_beginning_that_is_not_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lax(self: Beginning, data: bytes, start: int, end: int) -> int:
        at = data.find(b"\r\n", start, end) + self.length
        return at if start + self.length <= at < end else 0

    monkeypatch.setattr(Beginning, "end_in", lax)
    assert fuzz.run(500, seed=1) > 0


def test_a_failure_ends_the_program_with_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["fuzz", "--streams", "3", "--seed", "7"])
    assert fuzz.main() == 0
    assert capsys.readouterr().out == "3 streams, seed 7: 0 failures\n"

    def broken(stream: bytes, limits: Limits, random: Random) -> None:
        raise KeyError(stream)

    monkeypatch.setattr(fuzz, "check_stream", broken)
    assert fuzz.main() == 1
    assert capsys.readouterr().out.endswith("3 streams, seed 7: 3 failures\n")


def test_a_stream_without_fault_passes() -> None:
    fuzz.check_stream(head(), Limits(), Random(1))
