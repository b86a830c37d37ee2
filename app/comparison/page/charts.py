"""The charts: bars with their spread, and latency by percentile.

Each returns markup; texts are escaped here.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from ..results import Figure

_WIDTH, _HEIGHT = 560, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 10, 34


@dataclass(frozen=True)
class Bar:
    """*tone* is a CSS colour; *note* stands behind the value, and in its place where there is no
    *figure*.
    """

    label: str
    tone: str
    figure: Figure | None
    note: str = ""
    prefix: str = ""


def bars(rows: Sequence[Bar], write: Callable[[float], str]) -> str:
    """Horizontal bars from zero, each with a line from its least to its greatest round."""
    most = max((row.figure.high for row in rows if row.figure), default=0.0) or 1.0
    return f'<div class="bars">{"".join(_bar(row, most, write) for row in rows)}</div>'


def _bar(row: Bar, most: float, write: Callable[[float], str]) -> str:
    label = f'<div class="row"><div>{escape(row.label)}</div>'
    if row.figure is None:
        return (
            f'{label}<div class="bar"></div><div class="value wrong">{escape(row.note)}</div></div>'
        )
    to, low, high = (
        f"{value / most * 100:.2f}%"
        for value in (row.figure.median, row.figure.low, row.figure.high)
    )
    title = f"{row.label}: {write(row.figure.median)} ({write(row.figure.low)} to {write(row.figure.high)})"
    return (
        f'{label}<div class="bar" title="{escape(title)}" '
        f'style="--to:{to};--low:{low};--high:{high};--tone:{row.tone}">'
        f'<i></i><b></b></div><div class="value">{escape(row.prefix + write(row.figure.median))}'
        f"<small>{escape(row.note)}</small></div></div>"
    )


@dataclass(frozen=True)
class Curve:
    """*points* are (percentile, milliseconds)."""

    label: str
    tone: str
    dotted: bool
    points: Sequence[tuple[float, float]]


def latency_curves(curves: Sequence[Curve]) -> str:
    """Percentiles to the right, stretched towards 100; milliseconds upwards, by decades."""
    values = [value for curve in curves for _percent, value in curve.points if value > 0]
    if not values:
        return ""
    lowest, highest = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    highest = max(highest, lowest + 1)

    def across(percent: float) -> float:
        return _LEFT + _stretched(percent) / _stretched(99.9) * (_WIDTH - _LEFT - _RIGHT)

    def up(value: float) -> float:
        share = (math.log10(max(value, 10.0**lowest)) - lowest) / (highest - lowest)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    drawn = [_decade(exponent, up(10.0**exponent)) for exponent in range(lowest, highest + 1)]
    drawn += [_percent_mark(percent, across(percent)) for percent in (10, 50, 90, 99, 99.9)]
    for curve in curves:
        path = "M" + "L".join(
            f"{across(percent):.1f} {up(value):.1f}"
            for percent, value in curve.points
            if 0 < percent <= 99.9
        )
        dotted = ' stroke-dasharray="2 4"' if curve.dotted else ""
        drawn.append(
            f'<g class="curve" style="--tone:{curve.tone}"><title>{escape(curve.label)}</title>'
            f'<path d="{path}"{dotted}/><path d="{path}"'
            ' style="stroke:transparent;stroke-width:14"/></g>'
        )
    legend = "".join(
        f'<span><span class="dash{" other" * curve.dotted}" style="--tone:{curve.tone}"></span>'
        f"{escape(curve.label)}</span>"
        for curve in curves
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Latency in milliseconds by'
        ' percentile">'
        f'{"".join(drawn)}</svg><div class="legend">{legend}</div>'
    )


def _stretched(percent: float) -> float:
    """Nines of availability: 90, 99 and 99.9 are equally far apart."""
    return -math.log10(1 - min(percent, 99.9) / 100)


def _decade(exponent: int, y: float) -> str:
    value = f"{10.0**exponent:g}"
    return (
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value}</text>'
    )


def _percent_mark(percent: float, x: float) -> str:
    return (
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>'
        f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">p{percent:g}</text>'
    )
