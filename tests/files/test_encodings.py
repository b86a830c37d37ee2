"""Accept-Encoding as on the wire, and the codings worth trying for it (RFC 9110 section 12.5.3)."""

import pytest

from app.files.encodings import acceptable_codings

TABLE: list[tuple[str, list[str]]] = [
    ("gzip", ["gzip"]),
    ("x-gzip", ["gzip"]),
    ("GZip", ["gzip"]),
    ("gzip, deflate, br, zstd", ["zstd", "br", "gzip"]),
    ("br;q=0.5, gzip;q=0.8", ["gzip", "br"]),
    ("br ; q=0.5 , gzip\t;\tQ=0.501", ["gzip", "br"]),
    ("gzip;q=0", []),
    ("gzip;q=0.0", []),
    ("gzip;q=0.000, br;q=0.001", ["br"]),
    ("*", ["zstd", "br", "gzip"]),
    ("*;q=0", []),
    ("*, br;q=0", ["zstd", "gzip"]),
    ("gzip, *;q=0", ["gzip"]),
    ("identity", []),
    ("identity, gzip;q=0.5", []),
    ("identity;q=0.5, gzip;q=0.5", ["gzip"]),
    ("identity;q=0, gzip;q=0.1", ["gzip"]),
    ("", []),
    (",, gzip ,", ["gzip"]),
    ("deflate", []),
    # A member that is not valid names no coding
    ("gzip;q=2", []),
    ("gzip;q=0.1234", []),
    ("gzip;q=-1", []),
    ("gzip;q=", []),
    ("gzip;level=9", []),
    ("gzip br", []),
    ("br, gzip;q=high", ["br"]),
    ("gzip, " + "deflate, " * 100 + "br", ["br", "gzip"]),
]


@pytest.mark.parametrize(("field", "expected"), TABLE)
def test_acceptable_codings(field: str, expected: list[str]) -> None:
    assert list(acceptable_codings(field)) == expected
