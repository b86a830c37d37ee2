"""Content codings: RFC 9110 sections 8.4 and 12.5.3. /coded.txt lies beside itself as gzip; nobody
has to offer it.
"""

import gzip

from ..documents import CODED
from ..exchange import Answer, Exchange
from .checks import all_of, body, lacks, lists, offered, status, value
from .probe import NOT_OFFERED, Check, Facts, Level, Probe, get, request

_MUST: Level = "MUST"
_SHOULD: Level = "SHOULD"
_PLAIN = all_of(status(200), lacks("Content-Encoding"), body(CODED))


def _is_coded(answer: Answer) -> bool:
    return bool(answer.values("Content-Encoding"))


def _unpacks(seen: Exchange, _facts: Facts) -> str:
    try:
        same = gzip.decompress(seen.answers[0].body) == CODED
    except (OSError, EOFError):
        same = False
    return "" if same else "what is called gzip does not unpack to the file"


_GZIP: Check = offered(_is_coded, all_of(status(200), value("Content-Encoding", "gzip"), _unpacks))


def _accepting(accepted: str, level: Level, requires: str, check: Check) -> Probe:
    return Probe(
        f"Accept-Encoding: {accepted}",
        get("/coded.txt", f"Accept-Encoding: {accepted}"),
        level,
        "RFC 9110 12.5.3",
        requires,
        check,
    )


def _distinct_tags(seen: Exchange, _facts: Facts) -> str:
    if len(seen.answers) < 2:
        return seen.failure or "no second answer"
    coded, plain = seen.answers
    tags = coded.value("ETag"), plain.value("ETag")
    if not _is_coded(coded) or not all(tags):
        return NOT_OFFERED
    return f"both are {tags[0]}" if tags[0] == tags[1] and not tags[0].startswith("W/") else ""


PROBES = (
    Probe(
        "no Accept-Encoding",
        get("/coded.txt"),
        _SHOULD,
        "RFC 9110 12.5.3",
        "the plain file",
        _PLAIN,
    ),
    _accepting("gzip", _MUST, "gzip that unpacks to the file, or the plain file", _GZIP),
    _accepting("GZIP", _MUST, "names of codings have no case", _GZIP),
    _accepting("gzip, deflate, br, zstd", _MUST, "gzip, or the plain file", _GZIP),
    _accepting("*", _MUST, "any coding, or the plain file", _GZIP),
    _accepting("gzip;q=0", _MUST, "not gzip: q=0 means not acceptable", _PLAIN),
    _accepting("gzip; q=0.0, identity", _MUST, "not gzip: q=0 means not acceptable", _PLAIN),
    _accepting("gzip;q=0, *", _MUST, "not gzip: the star is for the others", _PLAIN),
    _accepting("identity", _MUST, "the plain file", _PLAIN),
    _accepting("br", _SHOULD, "the plain file: there is no br", _PLAIN),
    _accepting("x-unknown", _SHOULD, "the plain file", _PLAIN),
    _accepting("", _SHOULD, "the plain file: nothing else is acceptable", _PLAIN),
    _accepting("gzip;q=0.2, identity;q=0.8", _SHOULD, "the plain file is preferred", _PLAIN),
    Probe(
        "Vary on the coded form",
        get("/coded.txt", "Accept-Encoding: gzip"),
        _SHOULD,
        "RFC 9110 12.5.5",
        "Vary: Accept-Encoding",
        offered(_is_coded, lists("Vary", "Accept-Encoding")),
    ),
    Probe(
        "a tag for each form",
        get("/coded.txt", "Accept-Encoding: gzip") + get("/coded.txt"),
        _MUST,
        "RFC 9110 8.8.3.3",
        "a strong tag of the gzip form differs from the plain form's",
        _distinct_tags,
        ("GET", "GET"),
    ),
    Probe(
        "HEAD of the coded form",
        request("HEAD", "/coded.txt", "Accept-Encoding: gzip"),
        _SHOULD,
        "RFC 9110 9.3.2",
        "Content-Encoding as for GET",
        offered(_is_coded, value("Content-Encoding", "gzip")),
        ("HEAD",),
    ),
    Probe(
        "the coded file under its own name",
        get("/coded.txt.gz"),
        _SHOULD,
        "RFC 9110 8.4",
        "a gzip file is content, not a coding",
        all_of(status(200), lacks("Content-Encoding")),
    ),
)
