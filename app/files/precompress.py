"""`tally compress DIR`: coded forms of text files, written beside them ahead of time.

`style.css` gets `style.css.zst`, `style.css.br` and `style.css.gz`, at the levels that take longest
and give the shortest form. What does not shrink is left out. A form is written again only when its
file has changed. A form that this command wrote is removed when its file is gone or has ceased to
shrink; a file called so that somebody else wrote is never touched. Which ones are ours is noted in
`DIR/.tally-compressed`.
"""

import argparse
import errno
import json
import os
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

from . import compression
from .codings import SUFFIXES
from .policy import Policy
from .version import version_of

#: Milliseconds a file of 32 KB on an old core: gzip 9 2.5, br 11 64, zstd 19 17.
THOROUGH = {"zstd": 19, "br": 11, "gzip": 9}
#: A larger file would take minutes, and each form of it is held in memory.
MOST_BYTES = 64 << 20

_NOTES = ".tally-compressed"


class Done(NamedTuple):
    """What became of one file."""

    forms: dict[str, list[int]]  # by name below DIR: the size and mtime (ns) that we gave it
    written: int
    saved: int  # bytes, by the shortest form


def main(arguments: Sequence[str] | None = None, *, program: str = "tally compress") -> int:
    """Return the exit status: 0, or 1 when something cannot be read or written."""
    options = _parser(program).parse_args(arguments)
    try:
        written, removed, saved = compress_tree(
            options.directory, options.jobs, quiet=options.quiet
        )
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else options.directory
        print(f"{program}: {where!a}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if not options.quiet:
        print(
            f"{written} forms written, {removed} removed; {saved:,} bytes less for who takes them"
        )
    return 0


def compress_tree(root: str, jobs: int, *, quiet: bool = True) -> tuple[int, int, int]:
    """Write and prune the forms below *root*, *jobs* files at a time.

    Returns the numbers of forms written and removed, and the bytes that a client is spared. What
    was finished stays when it is interrupted. Raises OSError.
    """
    root = os.fspath(root)
    ours = _read_notes(root)
    names = list(_compressible(root, ours))
    notes: dict[str, list[int]] = {}
    written = saved = 0
    with ThreadPoolExecutor(jobs) as pool:
        running = [pool.submit(_compress, root, name, ours) for name in names]
        try:
            for number, future in enumerate(running, 1):
                done = future.result()
                notes |= done.forms
                written, saved = written + done.written, saved + done.saved
                if not quiet:
                    _show_progress(number, len(names))
        finally:
            for future in running:
                future.cancel()
            # After an interruption, forms of files that were not looked at are still ours.
            _write_notes(root, {**ours, **notes})
    removed = 0
    for name, (size, modified) in ours.items():
        if name not in notes and _is_unchanged(os.path.join(root, name), size, modified):
            os.unlink(os.path.join(root, name))
            removed += 1
    _write_notes(root, notes)
    return written, removed, saved


def _compressible(root: str, ours: Mapping[str, list[int]]) -> Iterator[str]:
    """Yield the names below *root* of files that may shrink, hidden ones left out."""
    policy = Policy()
    for directory, below, files in os.walk(root, onerror=_raise):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for file in sorted(files):
            name = os.path.relpath(os.path.join(directory, file), root)
            media_type = policy.content_type(os.fsencode(file))
            is_text = compression.is_compressible(media_type) and not compression.is_packed(
                os.fsencode(file), media_type
            )
            if is_text and not file.startswith(".") and name not in ours:
                yield name


def _raise(error: OSError) -> None:
    raise error


def _compress(root: str, name: str, ours: Mapping[str, list[int]]) -> Done:
    path = os.path.join(root, name)
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode) or not (
        compression.LEAST_BYTES <= status.st_size <= MOST_BYTES
    ):
        return Done({}, 0, 0)
    content = b""
    forms: dict[str, list[int]] = {}
    shortest, written = status.st_size, 0
    for coding, level in THOROUGH.items():
        form_name, form_path = name + SUFFIXES[coding], path + SUFFIXES[coding]
        note = ours.get(form_name)
        if note is None and os.path.lexists(form_path):
            continue  # somebody else's
        if note and note[1] == status.st_mtime_ns and _is_unchanged(form_path, *note):
            forms[form_name] = note
        else:
            content = content or _read(path, status)
            form = compression.compress(content, coding, level)
            if len(form) > len(content) - compression.LEAST_SAVED:
                continue
            _replace(form_path, form, stat.S_IMODE(status.st_mode), status.st_mtime_ns)
            forms[form_name] = [len(form), status.st_mtime_ns]
            written += 1
        shortest = min(shortest, forms[form_name][0])
    return Done(forms, written, status.st_size - shortest)


def _read(path: str, status: os.stat_result) -> bytes:
    """Return the file's bytes, if it still is what *status* says. Raises OSError."""
    with open(path, "rb") as file:
        content = file.read()
        if version_of(os.fstat(file.fileno())) != version_of(status):
            raise BlockingIOError(errno.EAGAIN, "it is being written to", path)
    return content


def _replace(path: str, content: bytes, mode: int, modified_ns: int | None = None) -> None:
    """Write *path* in one step, with this mode and modification time."""
    descriptor, temporary = tempfile.mkstemp(prefix=".tally-", dir=os.path.dirname(path) or ".")
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
        if modified_ns is not None:
            os.utime(temporary, ns=(modified_ns, modified_ns))
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _is_unchanged(path: str, size: int, modified: int) -> bool:
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (size, modified)


def _read_notes(root: str) -> dict[str, list[int]]:
    try:
        with open(os.path.join(root, _NOTES), encoding="utf-8") as file:
            notes = json.load(file)
    except FileNotFoundError:
        os.stat(root)  # to be told when that is what is missing
        return {}
    except ValueError:
        return {}  # then nothing is known to be ours, and nothing is removed
    return {
        name: note
        for name, note in (notes.items() if isinstance(notes, dict) else ())
        if isinstance(note, list) and len(note) == 2 and ".." not in name.split("/")
    }


def _write_notes(root: str, notes: Mapping[str, list[int]]) -> None:
    path = os.path.join(root, _NOTES)
    if notes or os.path.exists(path):
        text = json.dumps(dict(sorted(notes.items())), indent=0) + "\n"
        _replace(path, text.encode(), 0o644)


def _show_progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        filled = 30 * done // total
        end = "\n" if done == total else ""
        print(f"\r[{'#' * filled:<30}] {done}/{total} files", end=end, file=sys.stderr, flush=True)


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="Write coded forms (zstd, br, gzip) beside the text files below a directory.",
        epilog="Without this the server compresses each file itself, at a lower level, once it has"
        " been asked for.",
    )
    parser.add_argument("directory", metavar="DIR")
    parser.add_argument(
        "--jobs",
        type=_jobs,
        default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2,
        metavar="N",
        help="how many files at a time (default: one for each core)",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")
    return parser


def _jobs(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:4]) > 0 and len(text) < 4):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 999")
    return int(text)


if __name__ == "__main__":
    sys.exit(main(program="python -m app.files.precompress"))
