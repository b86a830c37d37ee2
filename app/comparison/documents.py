"""The files that every server serves, generated anew for each comparison, and the same each time."""

import gzip
import os
import random
from dataclasses import dataclass

PAGES = 1000
SMALL_BYTES = 1024
LARGE_BYTES = 100_000_000
#: The lengths of the pages are all different, so that an answer's length tells which page it is.
PAGE_BYTES = range(1024, 16 * 1024 + 1)

TEXT = b"".join(b"%03d: a line of text for ranges.\n" % number for number in range(32))[:1000]
CODED = b"The plain form of a text that also lies beside itself as gzip.\n" * 20


@dataclass(frozen=True)
class Documents:
    """A directory filled for a comparison.

    *pages* are URL paths with lengths; all content is on disk.
    """

    root: str
    pages: tuple[tuple[str, int], ...]
    small: str = "/small.html"
    large: str = "/large.bin"

    def content(self, path: str) -> bytes:
        """Return the bytes of the file at URL *path* (one of ours, not encoded)."""
        with open(self.root + path, "rb") as file:
            return file.read()


def write_documents(root: str) -> Documents:
    """Create the document root at *root*, which must not exist, and return what is in it."""
    source = random.Random(1)  # noqa: S311 - the same files each time are wanted
    os.makedirs(os.path.join(root, "pages"))
    pages = []
    for number, length in enumerate(source.sample(PAGE_BYTES, PAGES)):
        path = f"/pages/{number:04d}.html"
        _write(root, path, _page(number, length, source))
        pages.append((path, length))
    _write(root, "/small.html", _page(-1, SMALL_BYTES, source))
    _write(root, "/index.html", _page(-2, 2048, source))
    _write_large(root + "/large.bin", source)
    _write_behaviour(root)
    return Documents(root, tuple(pages))


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


def _write_behaviour(root: str) -> None:
    """Write what the behaviour list asks for."""
    os.makedirs(root + "/dir/.hidden")
    os.makedirs(root + "/bare")
    _write(root, "/text.txt", TEXT)
    _write(root, "/other.txt", b"Another file.\n")
    _write(root, "/empty.txt", b"")
    _write(root, "/one.txt", b"1")
    _write(root, "/dir/index.html", b"<!doctype html><title>A directory</title>\n")
    _write(root, "/bare/leaf.txt", b"leaf\n")
    _write(root, "/a b.txt", b"a space\n")
    _write(root, "/plus+.txt", b"a plus\n")
    _write(root, "/100%.txt", b"a percent sign\n")
    _write(root, "/semi;colon.txt", b"a semicolon\n")
    _write(root, "/gr\u00fc\u00df.txt", b"umlauts\n")
    _write(root, "/\u65e5\u672c.txt", b"kanji\n")
    _write(root, "/style.css", b"body{margin:0}\n")
    _write(root, "/code.js", b"export const one = 1;\n")
    _write(root, "/picture.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>\n')
    _write(root, "/data.json", b"{}\n")
    _write(root, "/coded.txt", CODED)
    _write(root, "/coded.txt.gz", gzip.compress(CODED, mtime=0))
    moment = 1_700_000_000
    for name in os.listdir(root):
        path = os.path.join(root, name)
        if os.path.isfile(path):
            os.utime(path, (moment, moment))
    secret = root + "-outside"
    os.makedirs(secret)
    _write(secret, "/secret.txt", b"outside the root\n")


def _write(root: str, path: str, content: bytes) -> None:
    with open(root + path, "wb") as file:
        file.write(content)
