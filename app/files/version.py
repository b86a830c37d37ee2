"""What tells one version of a file from another: for us its status, on the wire its bytes.

The status costs one system call and has ctime in it, which moves whatever a tool does. It differs
from host to host, and after a `chmod`; so entity tags are made from the bytes instead: all of them
for a file that is held, some blocks of a larger one together with its size and mtime. Hosts that
have the same tree agree on its tags.

The status does not tell everything. The kernel stamps mtime and ctime before it copies the bytes of
a write, by a clock that ticks every 10 ms or so; and what is written through a mapping shows only
when the pages are written back, up to some 35 s later. Hence two ages: a file whose ctime is less
than `YOUNG` seconds old is read at each request and never held; and until it is `SETTLED` seconds
old, its bytes are read again once a second.
"""

import os
from hashlib import blake2b
from operator import attrgetter

YOUNG = 2.0
SETTLED = 40.0

# How long a write may take from its time stamp to its last byte, on a loaded machine. It is shorter
# than YOUNG, since a download that began in it cannot be resumed after it.
_FRESH = 0.5

_TAG_BYTES = 15
_SAMPLES = 8
_SAMPLE_SIZE = 4096

Version = tuple[int, int, int, int, int]

#: The device, the inode, the size, mtime and ctime of a status.
version_of = attrgetter("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")
#: What else of a status moves ctime, and says nothing about the bytes.
attributes_of = attrgetter("st_mode", "st_uid", "st_gid", "st_nlink")


def may_be_held(status: os.stat_result, now: float) -> bool:
    """Tell whether the status will show the next change, as long as nobody writes through a
    mapping.
    """
    return now - status.st_ctime_ns / 1e9 >= YOUNG and status.st_mtime_ns / 1e9 <= now


def is_settled(version: Version, now: float) -> bool:
    """Tell whether the status has shown by now all that was written before."""
    return now - version[4] / 1e9 >= SETTLED


def digest_of(content: bytes) -> str:
    """Return what the entity tag is made of, for a representation whose bytes are all in memory."""
    return blake2b(content, digest_size=_TAG_BYTES).hexdigest()


def sample(descriptor: int, size: int) -> bytes:
    """Return a digest of the first block, the last one, and some between, of the first *size*
    bytes.
    """
    digest = blake2b(digest_size=_TAG_BYTES)
    last = size - _SAMPLE_SIZE
    for number in range(_SAMPLES):
        digest.update(os.pread(descriptor, _SAMPLE_SIZE, max(last, 0) * number // (_SAMPLES - 1)))
    return digest.digest()


def has_grown_only(descriptor: int, status: os.stat_result, size: int, sampled: bytes) -> bool:
    """Tell whether a file of *size* bytes has become longer, as its *status* says, and the blocks
    that were *sampled* are what they were.
    """
    return status.st_size > size and sample(descriptor, size) == sampled


def digest_of_large(status: os.stat_result, sampled: bytes, *, now: float, salt: int) -> str:
    """Return what the entity tag of a file is made of, of which only some blocks were read.

    A file that was written to this moment may be half of one version and half of the next: its tag
    is not the one that it has when it is finished. *salt* is 0, or sets apart what nothing else
    does (`salt_after`).
    """
    digest = blake2b(sampled, digest_size=_TAG_BYTES)
    is_fresh = now - status.st_mtime_ns / 1e9 < _FRESH
    digest.update(repr((status.st_size, status.st_mtime_ns, is_fresh, salt)).encode())
    return digest.hexdigest()


def salt_after(
    known: Version, known_attributes: object, known_salt: int, status: os.stat_result
) -> int:
    """Return the salt for the tag of a large file that was held in its *known* version.

    When ctime has moved and nothing else, somebody may have written to it and set mtime back; the
    blocks that were sampled need not show it. A new mode, owner or link explains a new ctime.
    """
    version = version_of(status)
    if version[:4] != known[:4]:
        return 0
    is_unexplained = version != known and attributes_of(status) == known_attributes
    return status.st_ctime_ns if is_unexplained else known_salt
