"""`python -m app.comparison.publish [REPORT.json]`: makes the page of a run in the guide.

With the report that `--json` wrote, that run takes the place of the published one first. What is
kept of it is small: figures, faults and verdicts, but no single round.
"""

import json
import os
import sys
from typing import Any

from .report_html import as_page
from .report_json import as_comparison, without_rounds
from .servers import PROJECT

RUN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "runs", "published.json")
PAGE = os.path.join(PROJECT, "www", "comparison.html")


def published_page() -> str:
    with open(RUN, encoding="utf-8") as file:
        document = json.load(file)
    return as_page(as_comparison(document), "guide.html")


def keep(report: dict[str, Any]) -> None:
    """Make *report* the published run."""
    with open(RUN, "w", encoding="utf-8") as file:
        file.write(as_lines(without_rounds(report)))


def as_lines(document: dict[str, Any]) -> str:
    """Return JSON with a line for each member of *document*."""

    def compact(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    members = (f"{compact(name)}:{compact(value)}" for name, value in document.items())
    return "{\n" + ",\n".join(members) + "\n}\n"


def main(arguments: list[str]) -> int:
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print("usage: python -m app.comparison.publish [REPORT.json]", file=sys.stderr)
        return 2
    for path in arguments:
        with open(path, encoding="utf-8") as file:
            keep(json.load(file))
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(published_page())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
