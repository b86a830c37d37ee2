"""Generated document trees: sizes from nothing to large, names from plain to odd."""

import os
import random
from pathlib import Path
from urllib.parse import quote

ODD_NAMES = [
    "plain.txt",
    "with space.txt",
    "  two spaces at both ends  ",
    "50%, 100%.txt",  # no hexadecimal digits behind "%": wget would decode them once more
    "plus+and;semi.txt",
    "a&b=c.txt",
    "what?.txt",
    "ha#sh.txt",
    "quo'te\".txt",
    "<angle>.txt",
    "back\\slash.txt",
    "pi|pe.txt",
    "tilde~.txt",
    "-dash.txt",
    "trailing.dot.",
    "co:lon.txt",
    "[brackets]{braces}.txt",
    "@at!$,().txt",
    "grüße.txt",
    "e\u0301 decomposed.txt",
    "日本語.txt",
    "العربية.txt",
    "🎉🎊.bin",
    "l" * 200 + ".bin",
    "double..dots.txt",
    "archive.tar.gz",
    "UPPER.TXT",
    "no extension",
]
BLOCK = 1 << 20


def generate(root: Path, *, files: int, largest: int, seed: int = 1) -> dict[str, Path]:
    """Write *files* files of 0 to *largest* bytes below *root*; return them by their URL path.

    The bytes differ from file to file and from block to block, so that a misplaced piece shows.
    """
    source = random.Random(seed)
    tree: dict[str, Path] = {}
    for number in range(files):
        name = ODD_NAMES[number % len(ODD_NAMES)]
        folder = "/".join(source.choice(["docs", "a b", "ünï", "100%"]) for _ in range(number % 4))
        relative = f"{folder}/{number}/{name}".lstrip("/")
        path = root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, size_of(number, files, largest, source), source)
        tree["/" + quote(relative)] = path
    return tree


def size_of(number: int, files: int, largest: int, source: random.Random) -> int:
    """Return the first sizes around the edges, then mostly small ones, and *largest* at the end."""
    edges = [
        0,
        1,
        2,
        255,
        256,
        4095,
        4096,
        4097,
        16383,
        16384,
        16385,
        65535,
        65536,
        65537,
        BLOCK - 1,
        BLOCK,
        BLOCK + 1,
    ]
    if number == files - 1:
        return largest
    if number < len(edges):
        return min(edges[number], largest)
    return min(int(2 ** source.uniform(0, 18)), largest)


def write(path: Path, size: int, source: random.Random) -> None:
    with path.open("wb") as file:
        while size:
            block = source.randbytes(min(size, BLOCK))
            file.write(block)
            size -= len(block)


def write_links(root: Path, tree: dict[str, Path]) -> None:
    """Write an index that links to every file of *tree*, for clients that follow links."""
    links = "".join(f'<a href="{path}">{os.path.basename(path)}</a>\n' for path in tree)
    (root / "index.html").write_text(f"<!doctype html><title>The tree</title>\n{links}", "utf-8")
