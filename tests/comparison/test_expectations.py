"""The tables themselves: enough rows, each with its section, no two alike."""

import re

from app.comparison.expectations import TOPICS

ROWS = [(topic, row) for topic, rows in TOPICS.items() for row in rows]


def test_there_are_at_least_150_rows() -> None:
    assert len(ROWS) >= 150


def test_names_are_distinct_within_a_topic() -> None:
    names = [(topic, row.name) for topic, row in ROWS]
    assert len(names) == len(set(names))


def test_no_request_is_asked_twice_for_the_same_reason() -> None:
    asked = [(row.parts, row.requires) for _topic, row in ROWS]
    assert len(asked) == len(set(asked))


def test_every_row_names_its_section_and_a_requirement() -> None:
    for _topic, row in ROWS:
        assert re.fullmatch(r"RFC (9110|9112|9113|3986) \d+(\.\d+)*", row.section), row
        assert row.requires
        assert row.level in ("MUST", "SHOULD")
        assert all(row.parts)


def test_a_row_expects_an_answer_for_each_request_in_it() -> None:
    for _topic, row in ROWS:
        assert len(row.methods) == row.replies >= 1
        assert (row.methods[0] == "HEAD") == row.parts[0].startswith(b"HEAD ")


def test_a_row_that_repeats_a_validator_needs_the_server_to_send_it() -> None:
    needing = {row.name: row.needs for _topic, row in ROWS}
    assert needing["If-Range with the tag"] == "etag"
    assert needing["If-None-Match: <weak-etag>"] == "etag"
    assert needing["If-Unmodified-Since: <modified>"] == "modified"
    assert needing["GET of a file"] == ""
