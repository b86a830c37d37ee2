"""The files that every server serves, generated anew for each comparison, and the same each time."""

import gzip
import os
import random
import time
from dataclasses import dataclass

PAGES = 1000
SMALL_BYTES = 1024
LARGE_BYTES = 100_000_000
#: The lengths of the pages are all different, so that an answer's length tells which page it is.
PAGE_BYTES = range(1024, 16 * 1024 + 1)

MODIFIED = 1_700_000_000  # Tue, 14 Nov 2023 22:13:20 GMT
TEXT = b"".join(b"%03d: a line of text for ranges.\n" % number for number in range(32))[:1000]
SECRET = b"outside the root\n"
CODED = b"The plain form of a text that also lies beside itself as gzip.\n" * 20


@dataclass(frozen=True)
class Documents:
    """A directory filled for a comparison.

    *pages* are URL paths with lengths; all content is on disk since *written_at*, in monotonic
    seconds.
    """

    root: str
    pages: tuple[tuple[str, int], ...]
    written_at: float
    small: str = "/small.html"
    large: str = "/large.bin"

    def content(self, path: str, first: int = 0, length: int = -1) -> bytes:
        """Return *length* bytes, from byte *first* on, of the file at URL *path* (not encoded)."""
        with open(self.root + path, "rb") as file:
            file.seek(first)
            return file.read(length)


def write_documents(root: str) -> Documents:
    """Create the document root at *root*, which must not exist, and return what is in it."""
    source = random.Random(1)  # noqa: S311 - the same files each time are wanted
    write_behaviour_files(root)
    pages = []
    for number, length in enumerate(source.sample(PAGE_BYTES, PAGES)):
        path = f"/pages/{number:04d}.html"
        _write(root, path, _page(number, length, source))
        pages.append((path, length))
    _write(root, "/small.html", _page(-1, SMALL_BYTES, source))
    _write_large(root + "/large.bin", source)
    return Documents(root, tuple(pages), time.monotonic())


def _page(number: int, length: int, source: random.Random) -> bytes:
    start = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Page {number}</title><p>".encode()
    )
    words = b" ".join(
        source.choices(
            (b"quick", b"brown", b"fox", b"lazy", b"dog", b"jumps", b"over"), k=length // 4
        )
    )
    return (start + words)[: length - 8].ljust(length - 8) + b"</html>\n"


def _write_large(path: str, source: random.Random) -> None:
    block = source.randbytes(1_000_000)
    with open(path, "wb") as file:
        # Each block begins with its number: bytes from the wrong place are seen.
        file.writelines(
            number.to_bytes(8, "big") + block[8:] for number in range(LARGE_BYTES // len(block))
        )


_BEHAVIOUR_FILES = {
    "/index.html": b"<!doctype html><title>The root</title>\n",
    "/text.txt": TEXT,
    "/other.txt": b"Another file.\n",
    "/empty.txt": b"",
    "/dir/index.html": b"<!doctype html><title>A directory</title>\n",
    "/a b.txt": b"a space\n",
    "/plus+.txt": b"a plus\n",
    "/100%.txt": b"a percent sign\n",
    "/semi;colon.txt": b"a semicolon\n",
    "/gr\u00fc\u00df.txt": b"umlauts\n",
    "/\u65e5\u672c.txt": b"kanji\n",
    "/style.css": b"body{margin:0}\n",
    "/code.js": b"export const one = 1;\n",
    "/picture.svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>\n',
    "/data.json": b"{}\n",
    "/coded.txt": CODED,
    "/coded.txt.gz": gzip.compress(CODED, mtime=0),
}


def write_behaviour_files(root: str) -> None:
    """Create *root* with what the behaviour list asks for, and a secret beside it."""
    for directory in ("/dir/.hidden", "/pages", "-outside"):
        os.makedirs(root + directory)
    _write(root, "-outside/secret.txt", SECRET)
    for path, content in _BEHAVIOUR_FILES.items():
        _write(root, path, content)
        os.utime(root + path, (MODIFIED, MODIFIED))


def _write(root: str, path: str, content: bytes) -> None:
    with open(root + path, "wb") as file:
        file.write(content)
