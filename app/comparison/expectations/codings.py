"""Content codings: RFC 9110 sections 8.4 and 12.5.3.

/coded.txt lies beside itself as gzip; nobody has to offer it.
"""

import gzip

from ..documents import CODED
from ..exchange import Answer, Exchange
from .checks import (
    NONE,
    NOT_OFFERED,
    Check,
    Facts,
    body,
    field,
    members,
    of_answer,
    offered,
    status,
)
from .row import Maker, Row, get, head, must, should


def _is_coded(answer: Answer) -> bool:
    return bool(answer.values("Content-Encoding"))


def _unpacks(answer: Answer) -> str:
    if answer.value("Content-Encoding") != "gzip":
        return ""  # Python 3.11 unpacks no other
    try:
        same = gzip.decompress(answer.body) == CODED
    except (OSError, EOFError):
        same = False
    return "" if same else "what is called gzip does not unpack to the file"


def _distinct_tags(seen: Exchange, _facts: Facts) -> str:
    if len(seen.answers) < 2:
        return seen.failure or "no second answer"
    coded, plain = seen.answers
    tags = coded.value("ETag"), plain.value("ETag")
    if not _is_coded(coded) or not all(tags):
        return NOT_OFFERED
    return f"both are {tags[0]}" if tags[0] == tags[1] and not tags[0].startswith("W/") else ""


_NOT_CODED = status(200) & field("Content-Encoding", NONE)
_PLAIN = (_NOT_CODED & body(CODED, "the file")).called("the plain file")
_NAMED_GZIP = field("Content-Encoding", "gzip")
_UNPACKS = of_answer("unpacks to the file", _unpacks)
_GZIP = offered(_is_coded, status(200) & _NAMED_GZIP & _UNPACKS)
_ANY = offered(_is_coded, status(200) & field("Content-Encoding", "gzip|br|zstd") & _UNPACKS)
_NOT_GZIP = _PLAIN | (status(200) & field("Content-Encoding", "br|zstd"))


def _accepting(level: Maker, accepted: str, check: Check, requires: str = "") -> Row:
    line = f"Accept-Encoding: {accepted}"
    return level("9110 12.5.3", line, get("/coded.txt", line), check, requires)


ROWS = (
    should("9110 12.5.3", "no Accept-Encoding", get("/coded.txt"), _PLAIN),
    _accepting(must, "gzip", _GZIP, "gzip that unpacks to the file, or the plain file"),
    _accepting(must, "GZIP", _GZIP, "names of codings have no case"),
    _accepting(must, "gzip, deflate, br, zstd", _ANY, "one of them, or the plain file"),
    _accepting(must, "*", _ANY, "any coding, or the plain file"),
    _accepting(must, "gzip;q=0", _PLAIN, "not gzip: q=0 means not acceptable"),
    _accepting(must, "gzip; q=0.0, identity", _PLAIN, "not gzip: q=0 means not acceptable"),
    _accepting(must, "gzip;q=0, *", _NOT_GZIP, "not gzip: the star is for the others"),
    _accepting(must, "identity", _PLAIN),
    _accepting(should, "br", _NOT_GZIP, "br, or the plain file"),
    _accepting(should, "x-unknown", _PLAIN),
    _accepting(should, "", _PLAIN, "the plain file: nothing else is acceptable"),
    _accepting(should, "gzip;q=0.2, identity;q=0.8", _PLAIN, "the plain file is preferred"),
    should("9110 12.5.5", "Vary on the coded form", get("/coded.txt", "Accept-Encoding: gzip"),
           offered(_is_coded, field("Vary", members("Accept-Encoding"))), "Vary: Accept-Encoding"),
    must("9110 8.8.3.3", "a tag for each form", get("/coded.txt", "Accept-Encoding: gzip") + get("/coded.txt"),
         Check("a strong tag of the gzip form differs from the plain form's", _distinct_tags), replies=2),
    should("9110 9.3.2", "HEAD of the coded form", head("Accept-Encoding: gzip", target="/coded.txt"),
           offered(_is_coded, _NAMED_GZIP), "Content-Encoding as for GET"),
    should("9110 8.4", "the coded file under its own name", get("/coded.txt.gz"), _NOT_CODED,
           "a gzip file is content, not a coding"),
)  # fmt: skip
