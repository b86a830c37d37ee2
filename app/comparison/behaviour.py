"""Asks one server everything in the tables, and judges the answers."""

from dataclasses import dataclass
from typing import Literal, get_args

from .exchange import CLOSED, Exchange, exchange
from .expectations import TOPICS
from .expectations.checks import NOT_OFFERED, Facts
from .expectations.row import OTHER, Row, text

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


def observe(port: int, patience: float) -> list[Verdict]:
    """Send every request of the tables to the server on *port*, each on a connection of its own.

    *patience*: seconds for an answer; a request that got none is sent once more, with twice as
    much, so that a busy machine is not taken for a silent server.
    """
    facts = _facts(port, patience)
    verdicts: list[Verdict] = []
    silences = 0
    for topic, rows in TOPICS.items():
        for row in rows:
            seen = _send(row, facts, patience)
            if seen.failure not in ("", CLOSED) and not seen.answers:
                # A server that often says nothing is not asked twice: the list has to come to an
                # end.
                silences += 1
                if silences <= 5:
                    seen = _send(row, facts, patience * 2)
            verdicts.append(judge(topic, row, seen, facts))
    return verdicts


def judge(topic: str, row: Row, seen: Exchange, facts: Facts) -> Verdict:
    """Hold what came back against what the row requires."""
    lacking = row.needs and not getattr(facts, row.needs)
    complaint = NOT_OFFERED if lacking else row.check.judge(seen, facts)
    outcome: Outcome = "pass"
    if complaint == NOT_OFFERED:
        outcome, complaint = "not offered", ""
    elif complaint:
        outcome = "deviates" if seen.answers else "error"
    return Verdict(topic, row.name, row.level, row.section, row.requires, outcome, complaint)


def _send(row: Row, facts: Facts, patience: float) -> Exchange:
    parts = tuple(_filled(part, facts) for part in row.parts)
    follow_up = _filled(OTHER, facts) if row.follows else b""
    return exchange(facts.port, parts, row.methods, patience, follow_up)


def _filled(part: bytes, facts: Facts) -> bytes:
    """Put what the server said in the place of `<etag>`, `<weak-etag>`, `<modified>`, `<port>`."""
    weak = facts.etag if facts.etag.startswith("W/") else f"W/{facts.etag}"
    texts = {"etag": facts.etag, "weak-etag": weak, "modified": facts.modified, "port": facts.port}
    for name, value in texts.items():
        part = part.replace(f"<{name}>".encode(), str(value).encode("latin-1"))
    return part


def _facts(port: int, patience: float) -> Facts:
    seen = exchange(port, [_filled(text(), Facts(port=port))], patience=patience * 2)
    if not seen.answers or seen.answers[0].status != 200:
        return Facts(port=port)
    first = seen.answers[0]
    return Facts(first.value("ETag"), first.value("Last-Modified"), port)
