"""What freed memory goes back to the system: settings of glibc's allocator.

Its defaults are for speed alone. Each thread gets an arena of its own, and what one has freed no
other can use. And the first large block that is freed raises the size from which on blocks are
given back at once, so that a compressor's megabytes come to lie among small blocks that stay, and
leave holes when they go. Where the C library is another, nothing is done.
"""

import os
from contextlib import suppress

#: Of <malloc.h>: parameters of mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
#: Blocks of this size have a mapping of their own. What a request allocates again and again (64 KiB
#: of a socket or a file, a head and a body joined) is smaller: a mapping costs a system call.
_OWN_MAPPING = 256 * 1024
#: So much that is free at the end of the heap stays there, for the next requests.
_KEPT_FREE = 1024 * 1024


def give_back() -> None:
    """Set it. To be called before the first thread starts: an arena that is there stays."""
    with suppress(ImportError, OSError, ValueError, AttributeError):
        if not os.confstr("CS_GNU_LIBC_VERSION"):
            return
        # Not ctypes, which is made of it and takes four times as long: 2 ms of every start.
        from _ctypes import call_function, dlopen, dlsym

        mallopt = dlsym(dlopen(None, 0), "mallopt")  # type: ignore[arg-type]
        for parameter, value in (
            (_ARENA_MAX, 1),
            (_MMAP_THRESHOLD, _OWN_MAPPING),
            (_TRIM_THRESHOLD, _KEPT_FREE),
        ):
            call_function(mallopt, (parameter, value))
