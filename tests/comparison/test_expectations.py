"""The tables themselves: enough rows, each with its section, no two alike."""

import re

from app.comparison.expectations import TOPICS

ROWS = [(topic, probe) for topic, probes in TOPICS.items() for probe in probes]


def test_there_are_at_least_150_rows() -> None:
    assert len(ROWS) >= 150


def test_names_are_distinct_within_a_topic() -> None:
    names = [(topic, probe.name) for topic, probe in ROWS]
    assert len(names) == len(set(names))


def test_no_request_is_asked_twice_for_the_same_reason() -> None:
    asked = [(probe.parts, probe.requires) for _topic, probe in ROWS]
    assert len(asked) == len(set(asked))


def test_every_row_names_its_section_and_a_requirement() -> None:
    for _topic, probe in ROWS:
        assert re.fullmatch(r"RFC (9110|9112|9113|3986) \d+(\.\d+)*", probe.section), probe
        assert probe.requires
        assert probe.level in ("MUST", "SHOULD")
        assert all(probe.parts)


def test_a_row_expects_an_answer_for_each_request_in_it() -> None:
    for _topic, probe in ROWS:
        assert len(probe.methods) >= 1
        if "HEAD" in probe.methods:
            assert probe.parts[0].startswith(b"HEAD ")
