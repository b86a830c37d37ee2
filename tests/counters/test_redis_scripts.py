"""What the scripts and the program must have in common."""

import re
from pkgutil import get_data

import pytest

from app.counters.client_rows import DOUBLE_CLICK_SECONDS, MOST_CLIENTS
from app.counters.periods import HOURS_KEPT_DAYS
from app.counters.redis import scripts as script
from app.counters.tally import LIMIT, NAMES

TEXT = script.APPLY.text.decode()


def number(name: str) -> int:
    found = re.search(rf"^local {name} = ([0-9 ^*]+)$", TEXT, re.MULTILINE)
    assert found
    return int(eval(found[1].replace("^", "**")))


def test_the_numbers_of_a_tally() -> None:
    table = re.search(r"local PLACE = \{(.*?)\}", TEXT, re.DOTALL)
    assert table
    places = re.findall(r"(\w+) = (\d+)", table[1])
    assert [(name, int(place)) for name, place in places] == [
        (name, place) for place, name in enumerate(NAMES, 1)
    ]
    assert number("NUMBERS") == len(NAMES)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MOST_CLIENTS", MOST_CLIENTS),
        ("DOUBLE_CLICK", DOUBLE_CLICK_SECONDS),
        ("HOURS_KEPT_DAYS", HOURS_KEPT_DAYS),
        ("LIMIT", LIMIT),
    ],
)
def test_limits(name: str, value: int) -> None:
    assert number(name) == value


def test_keys() -> None:
    names = re.search(r"^local (.*?) = unpack\(KEYS\)", TEXT, re.DOTALL | re.MULTILINE)
    assert names
    assert len(names[1].split(",")) == len(script.KEYS)
    assert f"local MONTH, CLIENTS = '{script.MONTH}', '{script.CLIENTS}'" in TEXT
    salt = get_data("app.counters.redis", "salt.lua")
    assert salt is not None
    assert f"'{script.SALT}'".encode() in salt
    assert all(key.startswith(script.PREFIX) for key in (*script.KEYS, script.COLUMNS))
    columns = re.search(r"'(\S+)' \.\. month \.\. ':' \.\. kept", script.RESET.text.decode())
    assert columns
    assert columns[1] == script.COLUMNS
    assert f"local LISTS_FORMAT = {script.LISTS_FORMAT} " in script.RESET.text.decode()
