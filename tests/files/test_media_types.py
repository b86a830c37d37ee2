"""Content-Type by name (RFC 9110 section 8.3)."""

import pytest

from app.files.policy import Policy

TABLE = [
    ("index.html", "text/html; charset=utf-8"),
    ("OLD.HTM", "text/html; charset=utf-8"),
    ("style.css", "text/css; charset=utf-8"),
    ("app.js", "text/javascript; charset=utf-8"),
    ("app.min.mjs", "text/javascript; charset=utf-8"),
    ("data.json", "application/json"),
    ("app.js.map", "application/json"),
    ("site.webmanifest", "application/manifest+json"),
    ("feed.xml", "application/xml"),
    ("readme.md", "text/markdown; charset=utf-8"),
    ("notes.txt", "text/plain; charset=utf-8"),
    ("table.csv", "text/csv; charset=utf-8"),
    ("logo.svg", "image/svg+xml"),
    ("logo.svgz", "image/svg+xml"),
    ("logo.png", "image/png"),
    ("photo.JPG", "image/jpeg"),
    ("photo.webp", "image/webp"),
    ("photo.avif", "image/avif"),
    ("favicon.ico", "image/vnd.microsoft.icon"),
    ("film.mp4", "video/mp4"),
    ("film.webm", "video/webm"),
    ("sound.mp3", "audio/mpeg"),
    ("subtitles.vtt", "text/vtt; charset=utf-8"),
    ("module.wasm", "application/wasm"),
    ("font.woff", "font/woff"),
    ("font.woff2", "font/woff2"),
    ("paper.pdf", "application/pdf"),
    ("source.tar.gz", "application/gzip"),
    ("source.tgz", "application/gzip"),
    ("style.css.gz", "application/gzip"),
    ("source.tar.bz2", "application/x-bzip2"),
    ("source.tar.xz", "application/x-xz"),
    ("source.tar.zst", "application/zstd"),
    ("style.css.br", "application/octet-stream"),
    ("archive.zip", "application/zip"),
    ("page.shtml", "application/octet-stream"),
    ("book.texi", "application/x-texinfo"),
    # Nothing known
    ("LICENSE", "text/plain; charset=utf-8"),
    ("name.", "application/octet-stream"),
    ("name.unheard-of", "application/octet-stream"),
    ("dir.html/name", "application/octet-stream"),
    ("name.h\u00e4ml", "application/octet-stream"),
    ("", "application/octet-stream"),
]


@pytest.mark.parametrize(("name", "expected"), TABLE)
def test_media_types(name: str, expected: str) -> None:
    assert Policy().content_type(name.encode()) == expected
