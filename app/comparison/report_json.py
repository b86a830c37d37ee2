"""Everything that was measured, round by round, as JSON: for other programs, and for drawing it
differently.
"""

import json
from dataclasses import asdict
from typing import Any

from .load_order import PERCENTILES
from .report_file import write_report
from .results import Cell, Comparison, Figure


def as_document(comparison: Comparison) -> dict[str, Any]:
    """Return *comparison* with its medians and ratios, as JSON types."""
    document = asdict(comparison)
    document["format"] = 1
    document["percentiles"] = list(PERCENTILES)
    for cell, told in zip(comparison.cells, document["cells"], strict=True):
        told["median"] = _medians(comparison, cell)
    return document


def write_json(comparison: Comparison, path: str) -> None:
    """Write the document over what is at *path*. Raises OSError."""
    write_report(path, json.dumps(as_document(comparison), indent=1) + "\n")


def _medians(comparison: Comparison, cell: Cell) -> dict[str, Any]:
    baseline = comparison.cell(comparison.baseline, cell.workload)
    figures: dict[str, Figure | None] = {
        "requests_per_second": cell.rate,
        "p50_milliseconds": cell.latency(50.0),
        "p99_milliseconds": cell.latency(99.0),
        "cpu_microseconds_per_request": cell.cpu,
        "pss_bytes": cell.pss,
        "cpu_ratio_to_baseline": cell.cpu_ratio(baseline) if baseline else None,
        "rate_ratio_to_baseline": cell.rate_ratio(baseline) if baseline else None,
    }
    return {name: asdict(figure) if figure else None for name, figure in figures.items()}
