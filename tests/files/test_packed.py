"""`.svgz`: an SVG that lies in gzip."""

import gzip
import os
from random import Random
from typing import Any

import pytest

from app.files.compression import MOST_BYTES, unpack
from app.files.precompress import compress_tree
from tests.files.conftest import Site
from tests.files.test_compression import DECODE
from tests.waiting import wait_until

SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><path d='M1 2 L3 4 L5 6'/></svg>\n" * 100
PACKED = gzip.compress(SVG)
SPAN = Random(1).randbytes(50_000).hex().encode()


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [("gzip, deflate, br, zstd", "gzip"), ("gzip", "gzip"), ("*", "gzip"), ("identity", ""),
     ("", ""), (None, ""), ("deflate", ""), ("gzip;q=0.5, identity", "")],
)  # fmt: skip
def test_who_takes_gzip_gets_the_file_as_it_lies_there(
    site: Site, accepted: str | None, coding: str
) -> None:
    site.put("map.svgz", PACKED)
    fields: dict[str, Any] = {} if accepted is None else {"HTTP_ACCEPT_ENCODING": accepted}
    reply = site.get("/map.svgz", **fields)
    assert (reply.status, reply.fields["Content-Type"]) == (200, "image/svg+xml")
    assert reply.fields["Vary"] == "Accept-Encoding"
    assert reply.fields.get("Content-Encoding", "") == coding
    assert reply.body == (PACKED if coding else SVG)
    assert reply.fields["ETag"].endswith('-gzip"') is bool(coding)
    part = site.get("/map.svgz", HTTP_RANGE="bytes=10-19", **fields)
    assert (part.status, part.body) == (206, reply.body[10:20])
    assert site.get("/map.svgz", HTTP_IF_NONE_MATCH=reply.fields["ETag"], **fields).status == 304
    head = site.get("/map.svgz", "HEAD", **fields)
    assert head.fields["Content-Length"] == str(len(reply.body))
    assert site.counter.numbers == {"/map.svgz": 2}


def test_it_gets_other_forms_of_the_picture_itself(site: Site) -> None:
    site.put("map.svgz", PACKED)
    site.settle()

    def answers(coding: str) -> bool:
        reply = site.get("/map.svgz", HTTP_ACCEPT_ENCODING=coding)
        decoded = DECODE[coding](reply.body) if "Content-Encoding" in reply.fields else reply.body
        assert decoded == SVG
        return reply.fields.get("Content-Encoding") == coding

    for coding in ("zstd", "br", "gzip"):
        wait_until(lambda coding=coding: answers(coding))  # type: ignore[misc]


@pytest.mark.parametrize("content", [SPAN[:100], SPAN, PACKED[:-9], gzip.compress(SPAN)[:-9], b""])
def test_what_is_no_gzip_is_sent_as_it_is(site: Site, content: bytes) -> None:
    site.put("map.svgz", content)
    reply = site.get("/map.svgz", HTTP_ACCEPT_ENCODING="gzip")
    assert (reply.fields.get("Content-Encoding"), reply.body) == (None, content)


@pytest.mark.parametrize("size", [MOST_BYTES + 1, 300 << 20])
def test_what_is_too_large_to_unpack_is_an_archive(site: Site, size: int) -> None:
    content = gzip.compress(bytes(size), 1)
    site.put("map.svgz", content)
    reply = site.get("/map.svgz", HTTP_ACCEPT_ENCODING="gzip")
    assert (reply.fields["Content-Type"], reply.body) == ("application/gzip", content)
    assert "Content-Encoding" not in reply.fields
    assert "Vary" not in reply.fields


def test_a_new_version(site: Site) -> None:
    site.put("map.svgz", PACKED)
    first = site.get("/map.svgz", HTTP_ACCEPT_ENCODING="gzip")
    site.put("map.svgz", gzip.compress(SVG[::-1]))
    second = site.get("/map.svgz")
    assert second.body == SVG[::-1]
    assert site.get("/map.svgz", HTTP_IF_NONE_MATCH=first.fields["ETag"]).status == 200


def test_without_compression_it_is_sent_unpacked(site: Site) -> None:
    site.put("map.svgz", PACKED)
    app = site.application(coded=False)
    reply = site.get("/map.svgz", app=app, HTTP_ACCEPT_ENCODING="gzip")
    assert (reply.body, reply.fields.get("Content-Encoding")) == (SVG, None)


def test_it_is_not_packed_again(site: Site) -> None:
    site.put("map.svgz", gzip.compress(SPAN, 1))
    assert compress_tree(os.fspath(site.root), 1)[0] == 0


def test_unpack_reads_all_members() -> None:
    assert unpack(gzip.compress(b"a") + gzip.compress(b"b")) == b"ab"
    assert unpack(gzip.compress(bytes(MOST_BYTES)) * 2) is None
    assert unpack(b"") == b""
