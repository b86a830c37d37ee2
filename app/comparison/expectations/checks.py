"""The checks that the tables are made of: each takes what came back and says what is wrong with it."""

import re
from collections.abc import Callable, Collection
from email.utils import parsedate_to_datetime

from ..exchange import Answer, Exchange
from .probe import NOT_OFFERED, Check, Facts

_ETAG = re.compile(r'(W/)?"[\x21\x23-\x7e\x80-\xff]*"\Z')
_IMF_DATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\Z")


def all_of(*checks: Check) -> Check:
    """The first complaint among *checks*, in their order."""

    def check(seen: Exchange, facts: Facts) -> str:
        return next(filter(None, (one(seen, facts) for one in checks)), "")

    return check


def either(*checks: Check) -> Check:
    """Right if one of *checks* is; else the complaint of the first."""

    def check(seen: Exchange, facts: Facts) -> str:
        complaints = [one(seen, facts) for one in checks]
        return "" if "" in complaints else complaints[0]

    return check


def _of_answer(judge: Callable[[Answer], str]) -> Check:
    def check(seen: Exchange, _facts: Facts) -> str:
        return judge(seen.answers[0]) if seen.answers else seen.failure or "no answer"

    return check


def status(*wanted: int) -> Check:
    expected = " or ".join(map(str, wanted))
    return _of_answer(
        lambda answer: "" if answer.status in wanted else f"{answer.status} instead of {expected}"
    )


def not_status(*unwanted: int) -> Check:
    return _of_answer(lambda answer: f"{answer.status}" if answer.status in unwanted else "")


def status_class(first: int, *others: int) -> Check:
    """The status begins with one of the digits: 4 for 4xx."""
    wanted = (first, *others)
    shown = " or ".join(f"{digit}xx" for digit in wanted)
    return _of_answer(
        lambda answer: (
            "" if answer.status // 100 in wanted else f"{answer.status} instead of {shown}"
        )
    )


def body(content: bytes) -> Check:
    def judge(answer: Answer) -> str:
        if answer.body == content:
            return ""
        if len(answer.body) != len(content):
            return f"{answer.status} with {len(answer.body)} bytes instead of {len(content)}"
        return f"{answer.status} with other bytes than the file's"

    return _of_answer(judge)


def no_content() -> Check:
    return body(b"")


def has(name: str) -> Check:
    return _of_answer(
        lambda answer: "" if answer.values(name) else f"{answer.status} without {name}"
    )


def lacks(name: str) -> Check:
    return _of_answer(
        lambda answer: (
            f"{answer.status} with {name}: {answer.value(name)[:60]}" if answer.values(name) else ""
        )
    )


def once(name: str) -> Check:
    """The field is there exactly once."""

    def judge(answer: Answer) -> str:
        count = len(answer.values(name))
        return "" if count == 1 else f"{answer.status} with {count or 'no'} {name}"

    return _of_answer(judge)


def value(name: str, *wanted: str) -> Check:
    """The field has one of these values, letter case aside."""

    def judge(answer: Answer) -> str:
        found = answer.value(name)
        if found.lower() in {text.lower() for text in wanted}:
            return ""
        return f"{answer.status} with {name}: {found or '(none)'}"[:100]

    return _of_answer(judge)


def matches(name: str, pattern: str, words: str) -> Check:
    """The field matches *pattern* wholly; *words* say what that means."""
    compiled = re.compile(pattern, re.IGNORECASE)

    def judge(answer: Answer) -> str:
        found = answer.value(name)
        return (
            "" if compiled.fullmatch(found) else f"{name}: {found or '(none)'} is not {words}"[:110]
        )

    return _of_answer(judge)


def lists(name: str, *members: str) -> Check:
    """The comma-separated field names all *members*."""

    def judge(answer: Answer) -> str:
        found = {part.strip().lower() for part in answer.value(name).split(",")}
        absent = [member for member in members if member.lower() not in found]
        return f"{answer.status} whose {name} lacks {', '.join(absent)}" if absent else ""

    return _of_answer(judge)


def date_in(name: str) -> Check:
    """The field is one valid IMF-fixdate (RFC 9110 section 5.6.7)."""

    def judge(answer: Answer) -> str:
        found = answer.values(name)
        if len(found) != 1:
            return f"{answer.status} with {len(found) or 'no'} {name}"
        try:
            valid = bool(_IMF_DATE.match(found[0])) and parsedate_to_datetime(found[0]) is not None
        except ValueError:
            valid = False
        return "" if valid else f"{name}: {found[0]} is no IMF-fixdate"

    return _of_answer(judge)


def well_formed_etag() -> Check:
    def judge(answer: Answer) -> str:
        tags = answer.values("etag")
        if not tags:
            return NOT_OFFERED
        return (
            ""
            if len(tags) == 1 and _ETAG.match(tags[0])
            else f"ETag: {', '.join(tags)} is no entity tag"
        )

    return _of_answer(judge)


def interim(wanted: bool) -> Check:
    def check(seen: Exchange, _facts: Facts) -> str:
        return (
            ""
            if (100 in seen.interim) == wanted
            else ("no 100 Continue" if wanted else "a 100 Continue")
        )

    return check


def _announces_close(answer: Answer) -> bool:
    return "close" in answer.value("Connection").lower()


def answers(count: int) -> Check:
    """There are that many final answers.

    A server that announces it will close need not give the later ones.
    """

    def check(seen: Exchange, _facts: Facts) -> str:
        if len(seen.answers) == count:
            return ""
        if 0 < len(seen.answers) < count and _announces_close(seen.answers[-1]):
            return NOT_OFFERED
        found = f"{len(seen.answers)} answer{'s' * (len(seen.answers) != 1)}"
        return f"{found} instead of {count}" + (f" ({seen.failure})" if seen.failure else "")

    return check


def second(check_of_answer: Check) -> Check:
    """*check_of_answer*, applied to the second answer of the connection."""

    def check(seen: Exchange, facts: Facts) -> str:
        if len(seen.answers) == 1 and _announces_close(seen.answers[0]):
            return NOT_OFFERED
        if len(seen.answers) < 2:
            return f"no second answer ({seen.failure or 'closed'})"
        complaint = check_of_answer(
            Exchange(seen.answers[1:], [], seen.closed, seen.failure), facts
        )
        return f"second answer: {complaint}" if complaint else ""

    return check


def stays_open() -> Check:
    def check(seen: Exchange, _facts: Facts) -> str:
        return (
            ""
            if len(seen.answers) > 1
            else f"closed after the first answer ({seen.answers[0].status})"
            if seen.answers
            else seen.failure
        )

    return check


def serves_no_more() -> Check:
    """The connection may stay open, but what follows is not answered with success."""

    def check(seen: Exchange, _facts: Facts) -> str:
        if len(seen.answers) > 1 and seen.answers[1].status < 400:
            return f"{seen.answers[0].status}, and the connection went on serving ({seen.answers[1].status})"
        return ""

    return check


def closed() -> Check:
    """The connection serves nothing more after the first answer; a late error before it ends is no
    service.
    """

    def check(seen: Exchange, facts: Facts) -> str:
        if len(seen.answers) > 1:
            return serves_no_more()(seen, facts)
        if seen.closed or not seen.answers:
            return ""
        return f"{seen.answers[0].status}, and the connection stayed open"

    return check


def refused(*wanted: int) -> Check:
    """An error status (one of *wanted*, or any 4xx), and then nothing more from this connection."""
    return all_of(status(*wanted) if wanted else status_class(4), closed())


def refused_or_dropped(*wanted: int) -> Check:
    """As `refused`; a connection closed without any answer is right as well."""

    def check(seen: Exchange, facts: Facts) -> str:
        if not seen.answers and seen.closed:
            return ""
        return refused(*wanted)(seen, facts)

    return check


def ends() -> Check:
    """An error and then nothing more from this connection, or its end without any answer."""

    def check(seen: Exchange, facts: Facts) -> str:
        if not seen.answers and seen.closed:
            return ""
        return all_of(status_class(4, 5), closed())(seen, facts)

    return check


def offered(feature: Callable[[Answer], bool], then: Check) -> Check:
    """*then* if the first answer uses the *feature*; a plain 200 without it is right, and shown as
    not offered.
    """

    def check(seen: Exchange, facts: Facts) -> str:
        if seen.answers and seen.answers[0].status == 200 and not feature(seen.answers[0]):
            return NOT_OFFERED
        return then(seen, facts)

    return check


def unless_ignored(then: Check) -> Check:
    """*then*; but a 200 with the whole file is right too (RFC 9110 section 14.2), and shown as not
    offered.
    """
    return offered(lambda _answer: False, then)


def with_validator(which: Collection[str], then: Check) -> Check:
    """*then*, where the server sends the validators the request needs (`etag`, `modified`); else
    not offered.
    """

    def check(seen: Exchange, facts: Facts) -> str:
        return then(seen, facts) if all(getattr(facts, name) for name in which) else NOT_OFFERED

    return check


def field_equals_fact(name: str, fact: str) -> Check:
    """The field repeats what the first look at the file showed."""

    def check(seen: Exchange, facts: Facts) -> str:
        found = seen.answers[0].value(name) if seen.answers else ""
        expected = str(getattr(facts, fact))
        return (
            "" if found == expected else f"{name}: {found or '(none)'} instead of {expected}"[:110]
        )

    return check
