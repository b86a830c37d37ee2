"""Asks one server everything in the tables, and judges the answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from .exchange import CLOSED, Exchange, exchange
from .expectations import TOPICS
from .expectations.probe import NOT_OFFERED, Facts, Probe, get

Outcome = Literal["pass", "deviates", "error", "not offered"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True)
class Verdict:
    """What became of one row.

    *said* tells the difference in a line; it is empty where there is none.

    "error": no answer that could be read; "not offered": right, because the RFC leaves the feature
    to the server.
    """

    topic: str
    name: str
    level: str
    section: str
    requires: str
    outcome: Outcome
    said: str = ""

    @property
    def is_wrong(self) -> bool:
        return self.outcome in ("deviates", "error")


def observe(
    port: int, patience: float, told: Callable[[int], None] = lambda _done: None
) -> list[Verdict]:
    """Send every request of the tables to the server on *port*, each on a connection of its own.

    *patience*: seconds for an answer; a request that got none is sent once more, with twice as
    much, so that a busy machine is not taken for a silent server. *told* is called with the number
    of rows done.
    """
    facts = _facts(port, patience)
    verdicts: list[Verdict] = []
    silences = 0
    for topic, probes in TOPICS.items():
        for probe in probes:
            seen = _send(probe, facts, patience)
            if _was_silent(seen):
                # A server that often says nothing is not asked twice: the list has to come to an
                # end.
                silences += 1
                if silences <= 5:
                    seen = _send(probe, facts, patience * 2)
            verdicts.append(judge(topic, probe, seen, facts))
            told(len(verdicts))
    return verdicts


def judge(topic: str, probe: Probe, seen: Exchange, facts: Facts) -> Verdict:
    """Hold what came back against what the row requires."""
    complaint = probe.check(seen, facts)
    outcome: Outcome = "pass"
    if complaint == NOT_OFFERED:
        outcome, complaint = "not offered", ""
    elif complaint:
        outcome = "deviates" if seen.answers else "error"
    return Verdict(
        topic, probe.name, probe.level, probe.section, probe.requires, outcome, complaint
    )


def _was_silent(seen: Exchange) -> bool:
    return bool(seen.failure) and seen.failure != CLOSED and not seen.answers


def _send(probe: Probe, facts: Facts, patience: float) -> Exchange:
    parts = tuple(_filled(part, facts) for part in probe.parts)
    follow_up = _filled(get("/other.txt"), facts) if probe.then_closed else b""
    return exchange(facts.port, parts, probe.methods, patience, follow_up)


def _filled(part: bytes, facts: Facts) -> bytes:
    for placeholder, text in facts.placeholders().items():
        part = part.replace(placeholder.encode(), text.encode("latin-1"))
    return part


def _facts(port: int, patience: float) -> Facts:
    seen = exchange(port, [_filled(get("/text.txt"), Facts(port=port))], patience=patience * 2)
    if not seen.answers or seen.answers[0].status != 200:
        return Facts(port=port)
    first = seen.answers[0]
    return Facts(first.value("ETag"), first.value("Last-Modified"), port)
