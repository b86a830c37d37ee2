"""Everything that was measured, round by round, as JSON: for other programs.

A figure is a list: the median, the least and the greatest of the rounds. What servers did with
the behaviour requests is one letter for each row: (p)ass, (d)eviates, (e)rror, (n)ot offered.
"""

import json
from dataclasses import asdict
from typing import Any

from .behaviour import OUTCOMES, Outcome, Verdict
from .load_order import PERCENTILES
from .report_file import write_report
from .results import Cell, Comparison, Figure, Subject

_LETTERS: dict[str, Outcome] = {outcome[0]: outcome for outcome in OUTCOMES}
_ROW = ("topic", "name", "level", "section", "requires")


def as_document(comparison: Comparison) -> dict[str, Any]:
    """Return *comparison* as JSON types."""
    verdicts = comparison.verdicts
    first: list[Verdict] = next(iter(verdicts.values()), [])
    behaviour = {
        "rows": [[getattr(verdict, name) for name in _ROW] for verdict in first],
        "outcomes": {
            server: "".join(verdict.outcome[0] for verdict in found)
            for server, found in verdicts.items()
        },
        "said": {
            server: {str(row): one.said for row, one in enumerate(found) if one.said}
            for server, found in verdicts.items()
        },
    }
    document = asdict(comparison)
    del document["verdicts"]
    return {"format": 2, "percentiles": PERCENTILES, **document, "behaviour": behaviour}


def write_json(comparison: Comparison, path: str) -> None:
    """Write the document over what is at *path*. Raises OSError."""
    write_report(path, json.dumps(as_document(comparison), indent=1, ensure_ascii=False) + "\n")


def as_comparison(document: dict[str, Any]) -> Comparison:
    """Return what `as_document` was given; a document may lack whatever has a default."""
    fields = {**document}
    behaviour = fields.pop("behaviour")
    for name in ("format", "percentiles"):
        fields.pop(name, None)
    fields["workloads"] = [(name, title) for name, title in document["workloads"]]
    fields["subjects"] = [Subject(**subject) for subject in document["subjects"]]
    fields["cells"] = [_cell(cell) for cell in document["cells"]]
    fields["verdicts"] = {
        server: _verdicts(behaviour["rows"], letters, behaviour["said"].get(server, {}))
        for server, letters in behaviour["outcomes"].items()
    }
    return Comparison(**fields)


def _cell(fields: dict[str, Any]) -> Cell:
    figures = {name: Figure(*figure) for name, figure in fields.get("figures", {}).items()}
    return Cell(**{**fields, "figures": figures, "rounds": []})


def _verdicts(rows: list[list[str]], letters: str, said: dict[str, str]) -> list[Verdict]:
    numbered = enumerate(zip(rows, letters, strict=True))
    return [
        Verdict(topic, name, level, section, requires, _LETTERS[letter], said.get(str(number), ""))
        for number, ((topic, name, level, section, requires), letter) in numbered
    ]


def without_rounds(document: dict[str, Any]) -> dict[str, Any]:
    """Return a small document that has the figures, to four digits, and no single round."""
    cells = []
    for cell in document["cells"]:
        kept = {name: value for name, value in cell.items() if value and name != "rounds"}
        kept["figures"] = {
            name: [float(f"{number:.4g}") for number in figure if number is not None]
            for name, figure in cell["figures"].items()
        }
        cells.append(kept)
    subjects = [
        {name: value for name, value in subject.items() if value or name == "version"}
        for subject in document["subjects"]
    ]
    return {**document, "subjects": subjects, "cells": cells}
