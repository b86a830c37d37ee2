"""The scripts that run inside Redis, and the keys that they work on.

A batch of counts is applied whole, once, and answered with its numbers. A writer numbers its
entries 1, 2, 3, ... and delivers them in order. Redis keeps the last number applied for each
writer, so a batch that comes again, because its reply was lost, adds nothing; the numbers it got
the first time are kept until the writer's next batch, and are returned again. All keys share a hash
tag, and so one slot of a cluster. Each script's arguments are described in its file.

Format 3. A tally is a JSON array of the numbers in the order of `tally.NAMES`, without the zeros at
its end.

 - file-records: by path, [first access, last access, day, total, tally of that day, id], where day
   is the last on which something was counted; a file has no id until a day of it is packed
 - month:MONTH: by path, days that are over and not packed, [[day, tally], ...]
 - packed:MONTH: by number, a month block (`month_block.py`) of the files with ids 128·n to
   128·n + 127. A file's day may be in both, in parts; months: which months there are
 - top: the paths, sorted by the negative number of their accesses
 - site: total, first, last, newest (hour), detailed_since, era (changes when all is reset),
   next_id, packed_before (no later day is packed), packed_until (all days before it are), packs
   (how often)
 - hours, site-days: the site's tallies; statuses: answers by status
 - missed: by name that is not there, how often it was asked for
 - clients:ERA:DAY:PATH: by client hash, "last access, hours seen, bytes"; salt:DAY. Both expire.
 - writers, seen, replies: what was applied; packing: expires when it is time to go on with it
 - lists, columns-1:MONTH:DIGEST: columns of all files, made of the others (`ready_lists.py`);
   lists-parts:TOKEN: the next, in parts; making: who makes them. These expire, and programs that do
   not know them need not

Days are packed by the processes that count (`packing.py`), some at a time. A script moves files'
days from their texts to the block, if all are what the process read before, so that nothing is lost
or doubled. Only days that are over for two days are packed: Redis cannot look into a block, and
what comes later for such a day is a part of its own.

Format 2 was the same without blocks; its records were called records. They are renamed, and their
days are packed like others. A text is in their place, so that a program of format 2 that runs
already is refused.
"""

from hashlib import sha1
from pkgutil import get_data
from typing import NamedTuple

PREFIX = "{tally}:"
RECORDS, TOP, MONTHS = PREFIX + "file-records", PREFIX + "top", PREFIX + "months"
SITE, HOURS, SITE_DAYS = PREFIX + "site", PREFIX + "hours", PREFIX + "site-days"
STATUSES, MISSED = PREFIX + "statuses", PREFIX + "missed"
WRITERS, SEEN, REPLIES = PREFIX + "writers", PREFIX + "seen", PREFIX + "replies"
#: Format 1 kept files and their days under these names; and where they wait to be converted.
FILES, DAYS = PREFIX + "files", PREFIX + "days"
OLD_FILES, OLD_DAYS = PREFIX + "old-files", PREFIX + "old-days"
FORMAT_KEY = PREFIX + "format"
#: Where format 2 kept the records.
FORMER_RECORDS = PREFIX + "records"
#: The keys of every script, in this order.
KEYS = (
    RECORDS,
    TOP,
    MONTHS,
    SITE,
    HOURS,
    SITE_DAYS,
    STATUSES,
    WRITERS,
    SEEN,
    REPLIES,
    FILES,
    DAYS,
    OLD_FILES,
    OLD_DAYS,
    FORMAT_KEY,
    MISSED,
    FORMER_RECORDS,
)
#: Keys of these are followed by a month, and by a file's day.
MONTH, PACKED = PREFIX + "month:", PREFIX + "packed:"
CLIENTS, SALT = PREFIX + "clients:", PREFIX + "salt:"
PACKING = PREFIX + "packing"
LISTS, MAKING = PREFIX + "lists", PREFIX + "making"
#: These keys are followed by a month and a digest. A format of columns has a name of its own, so
#: that those of another are nobody's, and expire.
COLUMNS = PREFIX + "columns-1:"
#: The field of the lists that says what they are. What those of another format say is not read.
LISTS_ABOUT = "about"
LISTS_FORMAT = 2

FORMAT = "3"
#: Formats that this program makes its own of.
KNOWN_FORMATS = ("1", "2", FORMAT)
#: A random text, by which the store is known under each of its names.
ID_KEY = PREFIX + "id"

#: The name of an import's writer begins so.
IMPORT = "import-"


class Script(NamedTuple):
    """A script's text, and the digest by which Redis knows it once it has seen it."""

    text: bytes
    digest: str


def _load(*names: str) -> Script:
    texts = [get_data(__package__, f"{name}.lua") for name in names]
    text = b"".join(part for part in texts if part is not None)
    return Script(text, sha1(text, usedforsecurity=False).hexdigest())


# Those that change counts.
APPLY, CONVERT, RESET, NUMBER = (
    _load("common", name) for name in ("apply", "convert", "reset", "number")
)
BEGIN = _load("begin")
FINISH, FORGET, FORGET_DAYS, TOP_PAGE, ACCESSES, SALT_OF, ADD_MISSED = map(
    _load, ("finish", "forget", "forget_days", "top", "accesses", "salt", "missed")
)
READ, READ_BLOCKS = (_load("blocks", name) for name in ("read", "read_blocks"))
SCAN, PACKABLE, PACK = map(_load, ("scan", "packable", "pack"))
STAY, KEEP_LISTS, DIGEST = map(_load, ("stay", "keep_lists", "digest"))
