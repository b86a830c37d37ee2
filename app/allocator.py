"""What freed memory goes back to the system: settings of glibc's allocator.

Its defaults are for speed alone. Each thread gets an arena of its own, and what one has freed no
other can use. And the first large block that is freed raises the size from which on blocks are
given back at once, so that a compressor's megabytes come to lie among small blocks that stay, and
leave holes when they go. Where the C library is another, nothing is done.
"""

import os
from contextlib import suppress
from threading import Timer

#: Of <malloc.h>: parameters of mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
#: Blocks of this size have a mapping of their own. What a request allocates again and again (64 KiB
#: of a socket or a file, a head and a body joined) is smaller: a mapping costs a system call.
_OWN_MAPPING = 256 * 1024
#: So much that is free at the end of the heap stays there, for the next requests.
_KEPT_FREE = 1024 * 1024
#: ctypes takes 2 ms to import: the first answers are not to wait for it.
_AFTER_START = 1.0


def give_back() -> None:
    """Set it now. To be called before there are many threads: an arena that is there stays."""
    with suppress(ImportError, OSError, ValueError, AttributeError):
        if not os.confstr("CS_GNU_LIBC_VERSION"):
            return
        import ctypes

        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_ARENA_MAX, 1)
        mallopt(_MMAP_THRESHOLD, _OWN_MAPPING)
        mallopt(_TRIM_THRESHOLD, _KEPT_FREE)


def give_back_soon() -> None:
    """Set it once the first answers are out."""
    timer = Timer(_AFTER_START, give_back)
    timer.daemon = True
    with suppress(RuntimeError):  # no thread to be had: it is not worth a start
        timer.start()
