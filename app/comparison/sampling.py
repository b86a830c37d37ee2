"""Looks at some of a server's answers, byte by byte, before and after it is loaded."""

from dataclasses import dataclass, replace

from .documents import Documents
from .exchange import Exchange, exchange
from .workloads import ANY_LENGTH, COOKIE, Ask, Script

_SAMPLE = 40
_LARGE = 10_000_000
_PATIENCE_WITH_LARGE = 20.0


@dataclass(frozen=True)
class Complaint:
    """What is wrong with an answer.

    *kind* is "wrong status", "wrong length", "wrong content", "no answer" or "not offered".
    """

    kind: str
    detail: str
    status: int = 0  # the one that was expected


def patience_for(script: Script, patience: float) -> float:
    """Return seconds for an answer: a file of 100 MB takes the slower servers long."""
    large = any(ask.length > _LARGE for ask in script.asks)
    return patience * 2 + (_PATIENCE_WITH_LARGE if large else 0.0)


def fit(
    script: Script, documents: Documents, port: int, patience: float
) -> tuple[Script, Complaint | None]:
    """Leave out what the server on *port* need not offer, and put in the lengths only it knows.

    Returns the script, and a complaint when the server does not answer it rightly.
    """
    while True:
        complaint, lengths = check(script, documents, port, patience)
        if complaint is None:
            asks = (
                replace(ask, length=lengths.get(ask.status, ANY_LENGTH)) if ask.length < 0 else ask
                for ask in script.asks
            )
            return Script(tuple(asks), script.order), None
        without = tuple(i for i in script.order if script.asks[i].status != complaint.status)
        if complaint.kind != "not offered" or not without:
            return script, complaint
        script = Script(script.asks, without)


def check(
    script: Script, documents: Documents, port: int, patience: float, most: int | None = None
) -> tuple[Complaint | None, dict[int, int]]:
    """Send a sample of the requests, *most* at most, and compare the answers byte by byte.

    Also returns the lengths of those not known, by status.
    """
    lengths: dict[int, int] = {}
    for ask in _sample(script)[:most]:
        request = ask.head.replace(COOKIE, b"0" * len(COOKIE))
        seen = exchange(port, [request], patience=patience_for(script, patience))
        if complaint := compare(ask, seen, documents):
            return complaint, lengths
        if ask.length == ANY_LENGTH:
            lengths[ask.status] = len(seen.answers[0].body)
    return None, lengths


def _sample(script: Script) -> list[Ask]:
    """Some of the requests, one of each status among them."""
    asks = [script.asks[index] for index in sorted(set(script.order))]
    kinds = {ask.status: ask for ask in asks}
    return list(dict.fromkeys([*kinds.values(), *asks[:: max(1, len(asks) // _SAMPLE)]]))


def compare(ask: Ask, seen: Exchange, documents: Documents) -> Complaint | None:
    """Return what is wrong with the answer to *ask*, if anything."""
    asked = " ".join(ask.head.decode("latin-1").split(" ", 2)[:2])
    if not seen.answers:
        is_partial = "cut short" in seen.failure or "whole" in seen.failure
        return Complaint("wrong length" if is_partial else "no answer", f"{asked}: {seen.failure}")
    answer = seen.answers[0]
    length = len(answer.body)
    if answer.status != ask.status:
        kind = "not offered" if answer.status == ask.instead else "wrong status"
        detail = f"{asked}: {answer.status} instead of {ask.status}"
        return Complaint(kind, detail, ask.status)
    if ask.length not in (length, ANY_LENGTH):
        return Complaint("wrong length", f"{asked}: {length} bytes instead of {ask.length}")
    if ask.path and answer.body != documents.content(ask.path, ask.first, ask.length):
        return Complaint("wrong content", f"{asked}: other bytes than the file's")
    return None
