"""The checks that the tables are made of: each looks at what came back and says what is wrong."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from ..documents import TEXT
from ..exchange import Answer, Exchange


@dataclass(frozen=True)
class Facts:
    """What a server said about /text.txt before the list began.

    An empty text: it said no such thing.
    """

    etag: str = ""
    modified: str = ""
    port: int = 0


#: The answer is right because the RFC leaves the feature to the server, and this one does without.
NOT_OFFERED = "\0not offered"


@dataclass(frozen=True)
class Check:
    """*judge* returns what is wrong, in a few words, or an empty text, or NOT_OFFERED.

    *words* say what is required. *follows*: it has to see whether the connection serves another
    request behind the answer. `a & b` requires both, `a | b` one of the two.
    """

    words: str
    judge: Callable[[Exchange, Facts], str]
    follows: bool = False

    def called(self, words: str) -> "Check":
        return replace(self, words=words)

    def __and__(self, other: "Check") -> "Check":
        def judge(seen: Exchange, facts: Facts) -> str:
            return self.judge(seen, facts) or other.judge(seen, facts)

        words = f"{self.words}, {other.words}"
        return Check(words, judge, self.follows or other.follows)

    def __or__(self, other: "Check") -> "Check":
        def judge(seen: Exchange, facts: Facts) -> str:
            complaint = self.judge(seen, facts)
            return complaint and other.judge(seen, facts) and complaint

        words = f"{self.words}, or {other.words}"
        return Check(words, judge, self.follows or other.follows)


def of_answer(words: str, judge: Callable[[Answer], str]) -> Check:
    """A check that looks at the first answer alone."""

    def check(seen: Exchange, _facts: Facts) -> str:
        return judge(seen.answers[0]) if seen.answers else seen.failure or "no answer"

    return Check(words, check)


def status(*wanted: int) -> Check:
    """One of the statuses; a single digit stands for its class."""
    shown = [str(each) if each > 9 else f"{each}xx" for each in wanted]
    words = " or ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))

    def judge(answer: Answer) -> str:
        right = answer.status in wanted or answer.status // 100 in wanted
        return "" if right else f"{answer.status} instead of {words}"

    return of_answer(words, judge)


def body(content: bytes, words: str) -> Check:
    def judge(answer: Answer) -> str:
        if len(answer.body) != len(content):
            return f"{answer.status} with {len(answer.body)} bytes instead of {len(content)}"
        same = answer.body == content
        return "" if same else f"{answer.status} with other bytes than the file's"

    return of_answer(words, judge)


def field(name: str, pattern: str) -> Check:
    """The field's value matches *pattern* wholly, in any case.

    Several lines are joined by commas; a missing field is an empty text.
    """

    def judge(answer: Answer) -> str:
        found = answer.value(name)
        if re.fullmatch(pattern, found, re.IGNORECASE):
            return ""
        return f"{answer.status} {f'with {name}: {found}'[:100] if found else f'without {name}'}"

    return of_answer(f"{name}: {pattern}", judge)


def members(*names: str) -> str:
    """A pattern for a comma-separated value that has all *names* in it."""
    return "".join(rf"(?=(.*,)?\s*{re.escape(name)}\s*(,|$))" for name in names) + ".*"


ANY, NONE, ONE = ".+", "", "[^,]+"
#: An IMF-fixdate (RFC 9110 section 5.6.7).
DATE = (
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), ([0-2]\d|3[01]) "
    r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} ([01]\d|2[0-3]):[0-5]\d:[0-6]\d GMT"
)
EMPTY = body(b"", "no content")
OTHER_FILE = body(b"Another file.\n", "the other file")
WHOLE = (status(200) & body(TEXT, "the file")).called("200 with the file")
SERVED = status(200) & OTHER_FILE
INTERIM = Check("100 Continue", lambda seen, _: "" if 100 in seen.interim else "no 100 Continue")
NO_INTERIM = Check("no 1xx", lambda seen, _: "a 100 Continue" if 100 in seen.interim else "")
SAME_TAG = Check(
    "the same ETag",
    lambda seen, facts: (
        "" if not facts.etag else field("ETag", re.escape(facts.etag)).judge(seen, facts)
    ),
)


def _announces_close(answer: Answer) -> bool:
    return "close" in answer.value("Connection").lower()


def answers(count: int) -> Check:
    """There are that many final answers.

    A server that announces it will close need not give the later ones.
    """

    def judge(seen: Exchange, _facts: Facts) -> str:
        found = len(seen.answers)
        if found == count:
            return ""
        if 0 < found < count and _announces_close(seen.answers[-1]):
            return NOT_OFFERED
        why = f" ({seen.failure})" if seen.failure else ""
        return f"{found} answer{'s' * (found != 1)} instead of {count}{why}"

    return Check(f"{count} answers", judge)


def second(check: Check) -> Check:
    """There are two answers, and *check* is for the second."""

    def judge(seen: Exchange, facts: Facts) -> str:
        rest = Exchange(seen.answers[1:], [], seen.closed, seen.failure)
        complaint = check.judge(rest, facts)
        return complaint and f"second answer: {complaint}"

    return answers(2) & Check(f"then {check.words}", judge)


def _served_behind(seen: Exchange, _facts: Facts) -> str:
    if len(seen.answers) > 1 and seen.answers[1].status < 400:
        first, then = seen.answers[0].status, seen.answers[1].status
        return f"{first}, and the connection went on serving ({then})"
    return ""


def _open_behind(seen: Exchange, _facts: Facts) -> str:
    still_open = len(seen.answers) == 1 and not seen.closed
    return f"{seen.answers[0].status}, and the connection stayed open" if still_open else ""


#: The connection may stay open, but what follows is not answered with success.
SERVES_NO_MORE = Check("nothing else is served", _served_behind, follows=True)
#: A late error before the connection ends is no service.
CLOSES = (SERVES_NO_MORE & Check("", _open_behind)).called("the connection ends")
_DROPPED = Check(
    "no answer", lambda seen, _: "" if seen.closed and not seen.answers else "an answer"
)


def refused(*wanted: int) -> Check:
    """One of the statuses (4xx by default) and then nothing more, or an end without any answer."""
    refusal = status(*(wanted or (4,))) & CLOSES
    return (refusal | _DROPPED).called(refusal.words)


def offered(feature: Callable[[Answer], bool], then: Check) -> Check:
    """*then* if the first answer uses the *feature*; a plain 200 without it is not offered."""

    def judge(seen: Exchange, facts: Facts) -> str:
        plain = seen.answers and seen.answers[0].status == 200 and not feature(seen.answers[0])
        return NOT_OFFERED if plain else then.judge(seen, facts)

    return Check(then.words, judge, then.follows)


def unless_ignored(then: Check) -> Check:
    """*then*; but a 200 with the whole file is right too (RFC 9110 section 14.2): not offered."""
    return offered(lambda _answer: False, then)
