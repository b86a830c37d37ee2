"""The scripts that run inside Redis, and the keys that they work on.

A batch of counts is applied whole, once, and answered with its numbers. A writer numbers its
entries 1, 2, 3, ... and delivers them in order. Redis keeps the last number applied for each
writer, so a batch that comes again, because its reply was lost, adds nothing; the numbers it got
the first time are kept until the writer's next batch, and are returned again. All keys share a hash
tag, and so one slot of a cluster. Each script's arguments are described in its file.
"""

from hashlib import sha1
from pkgutil import get_data
from typing import NamedTuple

PREFIX = "{tally}:"
FILES, DAYS, STATUSES = PREFIX + "files", PREFIX + "days", PREFIX + "statuses"
WRITERS, SEEN, REPLIES = PREFIX + "writers", PREFIX + "seen", PREFIX + "replies"
#: The keys of every script, in this order.
KEYS = (FILES, DAYS, STATUSES, WRITERS, SEEN, REPLIES)

FORMAT_KEY = PREFIX + "format"
FORMAT = "1"
#: A random text, by which the store is known under each of its names.
ID_KEY = PREFIX + "id"

#: The name of an import's writer begins so.
IMPORT = "import-"


class Script(NamedTuple):
    """A script's text, and the digest by which Redis knows it once it has seen it."""

    text: bytes
    digest: str


def _load(name: str) -> Script:
    text = get_data(__package__, f"{name}.lua")
    assert text is not None
    return Script(text, sha1(text, usedforsecurity=False).hexdigest())


APPLY, FINISH, FORGET, READ, RESET = map(_load, ("apply", "finish", "forget", "read", "reset"))
