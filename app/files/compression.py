"""Coded forms of small text files, made once for each version of a file, beside the requests.

A request that finds a form missing asks for it and goes on with the file as it is; a thread of low
priority makes the three forms and hands them over. What does not shrink is not kept, and is not
tried again. The packages are imported by that thread, at the first file.
"""

import logging
import os
import sys
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from queue import Full, Queue
from threading import Lock, Thread, get_native_id

from .. import after_fork

#: Levels for a form that is made while people wait for it. On 2.5 MB of HTML, script and JSON
#: (milliseconds a file of 32 KB on an old core; share of the bytes): gzip 6 1.1, 29 %; gzip 9 2.5,
#: 29 %; br 6 1.3, 27 %; br 11 64, 24 %; zstd 12 2.6, 28.6 %; zstd 19 17, 27.8 %.
QUICK = {"zstd": 12, "br": 6, "gzip": 6}

#: Shorter files gain less than the field lines cost that a coding adds; longer ones would take
#: seconds of a core.
LEAST_BYTES, MOST_BYTES = 256, 4 << 20
#: A form that saves fewer bytes than this is not kept.
LEAST_SAVED = 64

#: Files that may wait to be compressed, in memory, whether they are still held or not; what comes
#: beyond them is sent as it is, and asks again.
_MOST_WAITING = 250
#: Not the lowest priority: while the thread holds the interpreter's lock, others wait for it.
_NICENESS = 10

_log = logging.getLogger("tally.files")

# Types outside of text/ that are text, or as regular as text (a bitmap, an uncompressed font).
_COMPRESSIBLE = frozenset(
    {
        "application/dash+xml", "application/geo+json", "application/graphql", "application/json",
        "application/jsonl", "application/manifest+json", "application/rtf", "application/sql",
        "application/toml", "application/vnd.apple.mpegurl", "application/vnd.ms-fontobject",
        "application/wasm", "application/x-ndjson", "application/x-sh", "application/xml",
        "application/yaml", "font/otf", "font/ttf", "image/bmp", "image/svg+xml",
        "image/vnd.microsoft.icon", "model/gltf+json", "model/obj", "model/stl",
    }
)  # fmt: skip


@lru_cache(256)
def is_compressible(media_type: str) -> bool:
    """Tell whether files of *media_type* are usually text, or shrink like text."""
    essence = media_type.partition(";")[0].strip().lower()
    return (
        essence.startswith("text/")
        or essence.endswith(("+json", "+xml"))
        or essence in _COMPRESSIBLE
    )


def compress(content: bytes, coding: str, level: int) -> bytes:
    """Return *content* in *coding*. The same bytes, version of library and level give the same."""
    return _encoders()[coding](content, level)


def forms(content: bytes, levels: Mapping[str, int] = QUICK) -> dict[str, bytes]:
    """Return the coded forms of *content* that are worth sending, by coding."""
    made = {coding: compress(content, coding, level) for coding, level in levels.items()}
    most = len(content) - LEAST_SAVED
    return {coding: form for coding, form in made.items() if len(form) <= most}


def _gzip(content: bytes, level: int) -> bytes:
    # Neither a name nor a time in it: every host makes the same bytes.
    coder = zlib.compressobj(level, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return coder.compress(content) + coder.flush()


def _encoders() -> dict[str, Callable[[bytes, int], bytes]]:
    import brotli

    def br(content: bytes, level: int) -> bytes:
        coded: bytes = brotli.compress(content, mode=brotli.MODE_TEXT, quality=level)
        return coded

    return {"zstd": _zstd(), "br": br, "gzip": _gzip}


def _zstd() -> Callable[[bytes, int], bytes]:
    if sys.version_info >= (3, 14):
        from compression import zstd

        return lambda content, level: zstd.compress(content, level)
    import zstandard

    # RFC 9659: a decoder need not take a window above 8 MB, which no level below 20 uses.
    return lambda content, level: zstandard.ZstdCompressor(level=level).compress(content)


def is_packed(name: bytes, media_type: str) -> bool:
    """Tell whether the file *name* holds what *media_type* says in gzip, by its name: `.svgz`.

    SVG alone has a name for that (SVG 2, appendix on the media type), and no viewer unpacks what
    does not come with Content-Encoding.
    """
    return media_type == "image/svg+xml" and name.lower().endswith(b".svgz")


def unpack(content: bytes) -> bytes | None:
    """Return what *content* holds in gzip, or *content* itself if it is not gzip.

    None if it holds more than MOST_BYTES.
    """
    unpacked, rest = b"", content
    while rest:
        decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            unpacked += decoder.decompress(rest, MOST_BYTES + 1 - len(unpacked))
        except zlib.error:
            return content
        if len(unpacked) > MOST_BYTES:
            return None
        if not decoder.eof:
            return content
        rest = decoder.unused_data
    return unpacked


class Compressor:
    """Runs jobs, one after the other, in a thread of low priority.

    Safe from any thread; a forked child begins without jobs.
    """

    def __init__(self, most_waiting: int = _MOST_WAITING) -> None:
        self._most_waiting = most_waiting
        self.begin_in_child()
        after_fork.register(self)

    def begin_in_child(self) -> None:
        self._lock = Lock()
        self._jobs: Queue[Callable[[], object]] = Queue(self._most_waiting)
        self._thread: Thread | None = None

    def submit(self, job: Callable[[], object]) -> bool:
        """Have *job* run once, soon. Returns False when too many wait already."""
        try:
            self._jobs.put_nowait(job)
        except Full:
            return False
        with self._lock:
            if self._thread is None:
                self._start()
        return True

    def _start(self) -> None:
        thread = Thread(target=self._run, args=(self._jobs,), name="compressor", daemon=True)
        with suppress(RuntimeError):  # no thread to be had now: the next job tries again
            thread.start()
            self._thread = thread

    @staticmethod
    def _run(jobs: Queue[Callable[[], object]]) -> None:
        with suppress(OSError, AttributeError):  # Linux alone has a priority for each thread
            os.setpriority(os.PRIO_PROCESS, get_native_id(), _NICENESS)
        while True:
            job = jobs.get()
            try:
                job()
            except Exception:  # noqa: BLE001 - the thread goes on with the next file
                # A file that cannot be compressed (no memory, a broken package) is sent as it is.
                _log.exception("a file could not be compressed")
            del job  # it holds the file's bytes
