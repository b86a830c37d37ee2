"""From the text of an option to its value. Each raises argparse.ArgumentTypeError."""

import argparse
import os
import re
from collections.abc import Callable
from typing import get_args

from .client_address import Shown
from .clients import Networks, read_patterns
from .files.policy import HeaderRule, parse_header_rule

#: As long as what can be asked of a store.
_LONGEST_PATTERN = 1000
#: What `formatter` in `server/access_line.py` knows; the first is the default.
LOG_FORMATS = ("combined", "combined+", "json")


def whole_number(low: int, high: int = 2**63 - 1) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not (re.fullmatch("[0-9]{1,19}", text) and low <= int(text) <= high):
            least_and_most = f"from {low} to {high}" if high < 2**63 - 1 else f"of {low} or more"
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number {least_and_most}")
        return int(text)

    return number


def seconds_or_zero(text: str) -> float:
    if not (re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?|\.[0-9]{1,9}", text) and float(text) <= 1e8):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return float(text)


def seconds(text: str) -> float:
    seconds = seconds_or_zero(text)
    if seconds == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


def grace(text: str) -> float | None:
    return None if text == "never" else seconds_or_zero(text)


def worker_count(text: str) -> int:
    if text == "auto":
        return (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
    return whole_number(1, 1024)(text)


def file_mode(text: str) -> int:
    if not re.fullmatch("(0o)?0?[0-7]{3}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an octal file mode such as 660")
    return int(text, 8)


def file_name(text: str) -> str:
    if not text or "/" in text or "\0" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a file in a directory")
    if text.startswith("."):
        raise argparse.ArgumentTypeError(
            f"{text!r} begins with a dot, and such files are not served"
        )
    return text


def present(text: str) -> str:
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError("it must not be empty")
    return text


def file_names(text: str) -> tuple[str, ...]:
    return tuple(file_name(part.strip()) for part in text.split(","))


def page_name(text: str) -> str:
    name = text.lstrip("/")
    if not name or any(part in ("", ".", "..") for part in name.split("/")) or "\0" in name:
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a file below the root")
    return name


def patterns(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


def pattern(text: str) -> str:
    if len(text) > _LONGEST_PATTERN:
        raise argparse.ArgumentTypeError(f"longer than {_LONGEST_PATTERN} characters")
    return text


def header_rules(text: str) -> tuple[HeaderRule, ...]:
    try:
        return tuple(parse_header_rule(line) for line in text.splitlines() if line.strip())
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def media_types(text: str) -> tuple[tuple[str, str], ...]:
    found = []
    for part in text.split(","):
        given = re.fullmatch(
            r"(\.[^/=\s]+)=([\w.+-]+/[\w.+-]+(?:; ?[\w-]+=[\w.+-]+)?)", part.strip()
        )
        if given is None:
            raise argparse.ArgumentTypeError(f"{part!r} is not .extension=type/subtype")
        found.append((given[1], given[2]))
    return tuple(found)


def charset(text: str) -> str:
    if text != "none" and not re.fullmatch(r"[\w.:+-]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a charset, or none")
    return "" if text == "none" else text


def origin(text: str) -> str:
    if text != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[\w.-]+(:[0-9]+)?|null", text):
        raise argparse.ArgumentTypeError(f"{text!r} is neither * nor an origin: https://HOST")
    return text


def addresses(text: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in text.split(","))
    if not all(parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of addresses")
    return parts


def networks(text: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in text.split(","))
    try:
        Networks(parts)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return parts


def robots(text: str) -> tuple[re.Pattern[str], ...]:
    try:
        with open(text, encoding="utf-8") as file:
            return tuple(read_patterns(file))
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error.strerror}") from None
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from None


def shown(text: str) -> Shown:
    for known in get_args(Shown):
        if text == known:
            return known  # type: ignore[no-any-return]
    raise argparse.ArgumentTypeError(f"{text!r} is none of full, network and off")


def stats_prefix(text: str) -> str:
    """Return the path with a slash at both ends, "" for `off`."""
    if text == "off":
        return ""
    path = "/" + text.strip("/") + "/"
    segments = path[1:-1].split("/")
    if not all(re.fullmatch(r"[A-Za-z0-9._~-]+", one) for one in segments) or any(
        one in (".", "..") for one in segments
    ):
        raise argparse.ArgumentTypeError(f"{text!r} is neither off nor a path such as /-/tally")
    return path


def log_format(text: str) -> str:
    if text not in LOG_FORMATS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(LOG_FORMATS)}")
    return text


def switch(text: str) -> bool:
    if text not in ("0", "1"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither 1 nor 0")
    return text == "1"
