"""Accept-Encoding as on the wire, and the form of a file that is sent for it (RFC 9110 section
12.5.3).
"""

import pytest

from app.files.codings import choose

# Bytes of each form; "plain" has no coded form, "text" has all three, br the shortest.
PLAIN = {"identity": 1000}
TEXT = {"identity": 1000, "zstd": 310, "br": 290, "gzip": 330}
GZIPPED = {"identity": 1000, "gzip": 330}  # a site with .gz siblings alone
ALIKE = {"identity": 1000, "zstd": 300, "br": 300, "gzip": 300}
LONGER = {"identity": 100, "gzip": 120}  # a sibling that did not shrink

# Accept-Encoding -> what is sent of PLAIN, TEXT, GZIPPED; None: the client refuses all of it
TABLE: list[tuple[str | None, str | None, str | None, str | None]] = [
    # browsers and tools
    (None, "identity", "identity", "identity"),
    ("", "identity", "identity", "identity"),
    ("gzip, deflate, br, zstd", "identity", "br", "gzip"),
    ("gzip, deflate, br", "identity", "br", "gzip"),
    ("gzip, deflate", "identity", "gzip", "gzip"),
    ("deflate, gzip, br, zstd", "identity", "br", "gzip"),
    ("identity", "identity", "identity", "identity"),
    ("deflate", "identity", "identity", "identity"),
    ("gzip, identity", "identity", "gzip", "gzip"),
    ("gzip;q=1.0, deflate;q=0.6, identity;q=0.3", "identity", "gzip", "gzip"),
    ("gzip,deflate,sdch", "identity", "gzip", "gzip"),
    ("zstd", "identity", "zstd", "identity"),
    ("br", "identity", "br", "identity"),
    ("gzip", "identity", "gzip", "gzip"),
    ("dcb, dcz, zstd", "identity", "zstd", "identity"),
    ("compress, gzip", "identity", "gzip", "gzip"),
    # weights
    ("br;q=0.5, gzip;q=0.8", "identity", "gzip", "gzip"),
    ("br;q=0.8, gzip;q=0.5", "identity", "br", "gzip"),
    ("gzip;q=0.001", "identity", "gzip", "gzip"),
    ("gzip;q=0.5", "identity", "gzip", "gzip"),
    ("gzip;q=0.500, zstd;q=0.501", "identity", "zstd", "gzip"),
    ("br;q=0.3, zstd;q=0.3, gzip;q=0.2", "identity", "br", "gzip"),
    ("gzip;q=1.000", "identity", "gzip", "gzip"),
    ("gzip;q=1.", "identity", "gzip", "gzip"),
    ("gzip;q=0.", "identity", "identity", "identity"),
    ("gzip;q=0", "identity", "identity", "identity"),
    ("gzip;q=0.0", "identity", "identity", "identity"),
    ("gzip;q=0.000, br;q=0.001", "identity", "br", "identity"),
    ("br;q=0, zstd;q=0, gzip", "identity", "gzip", "gzip"),
    ("br;q=0, gzip;q=0, zstd;q=0", "identity", "identity", "identity"),
    # identity weighs as said, and is the last resort if nothing is said
    ("identity, gzip;q=0.5", "identity", "identity", "identity"),
    ("identity;q=0.5, gzip;q=0.5", "identity", "gzip", "gzip"),
    ("identity;q=0.6, gzip;q=0.5", "identity", "identity", "identity"),
    ("identity;q=0.6, gzip;q=0.5, br;q=0.7", "identity", "br", "identity"),
    ("identity;q=1, *;q=0", "identity", "identity", "identity"),
    ("identity;q=0.001, *;q=0", "identity", "identity", "identity"),
    # the asterisk: what is not named, identity too
    ("*", "identity", "br", "gzip"),
    ("*;q=0.1", "identity", "br", "gzip"),
    ("gzip, *", "identity", "br", "gzip"),
    ("gzip, *;q=0.5", "identity", "gzip", "gzip"),
    ("*, br;q=0", "identity", "zstd", "gzip"),
    ("*, br;q=0.1", "identity", "zstd", "gzip"),
    ("*;q=0.5, identity", "identity", "identity", "identity"),
    ("gzip, *;q=0, identity;q=0.1", "identity", "gzip", "gzip"),
    # refused: 406 where nothing else is there
    ("identity;q=0", None, None, None),
    ("*;q=0", None, None, None),
    ("gzip, *;q=0", None, "gzip", "gzip"),
    ("gzip, identity;q=0", None, "gzip", "gzip"),
    ("br, identity;q=0", None, "br", None),
    ("identity;q=0, *;q=0.5", None, "br", "gzip"),
    ("identity;q=0, *", None, "br", "gzip"),
    ("deflate, identity;q=0", None, None, None),
    ("*;q=0, br;q=0", None, None, None),
    # spelling
    ("GZip", "identity", "gzip", "gzip"),
    ("BR;Q=0.7", "identity", "br", "identity"),
    ("x-gzip", "identity", "gzip", "gzip"),
    ("br ; q=0.5 , gzip\t;\tQ=0.501", "identity", "gzip", "gzip"),
    (",, gzip ,", "identity", "gzip", "gzip"),
    (",", "identity", "identity", "identity"),
    (" \t", "identity", "identity", "identity"),
    # a malformed member names nothing
    ("gzip;q=2", "identity", "identity", "identity"),
    ("gzip;q=-1", "identity", "identity", "identity"),
    ("gzip;q=0.1234", "identity", "identity", "identity"),
    ("gzip;q=1.001", "identity", "identity", "identity"),
    ("gzip;q=.5", "identity", "identity", "identity"),
    ("gzip;q=", "identity", "identity", "identity"),
    ("gzip;q", "identity", "identity", "identity"),
    ("gzip;level=9", "identity", "identity", "identity"),
    ("gzip;q=0.5;x=1", "identity", "identity", "identity"),
    ("gz ip, br", "identity", "br", "identity"),
    ('"gzip"', "identity", "identity", "identity"),
    ("gzip br", "identity", "identity", "identity"),
    ("gzip;q=0,5, br", "identity", "br", "identity"),
    ("gzip;q=nan, br;q=inf", "identity", "identity", "identity"),
    ("\xe9, gzip", "identity", "gzip", "gzip"),
]


def sent_of(lengths: dict[str, int], accept_encoding: str | None) -> str | None:
    preferred = ["zstd", "br", "gzip", "identity"]
    return choose(
        accept_encoding or "",
        tuple(sorted(lengths, key=lambda coding: (lengths[coding], preferred.index(coding)))),
    )


@pytest.mark.parametrize(("accept_encoding", "plain", "text", "gzipped"), TABLE)
def test_what_is_sent(
    accept_encoding: str | None, plain: str | None, text: str | None, gzipped: str | None
) -> None:
    sent = [sent_of(lengths, accept_encoding) for lengths in (PLAIN, TEXT, GZIPPED)]
    assert sent == [plain, text, gzipped]


@pytest.mark.parametrize(
    ("accept_encoding", "lengths", "sent"),
    [
        ("gzip, br, zstd", ALIKE, "zstd"),
        ("gzip, br", ALIKE, "br"),
        ("gzip", LONGER, "gzip"),  # the client prefers it, if only by naming it
        ("gzip, identity", LONGER, "identity"),
        ("*", LONGER, "identity"),
    ],
)
def test_equal_weights(accept_encoding: str, lengths: dict[str, int], sent: str) -> None:
    assert sent_of(lengths, accept_encoding) == sent
