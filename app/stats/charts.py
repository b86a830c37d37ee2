"""Bars as geometry: stacked by class, in a box that the page stretches to its own width.

What is put into text here is numbers, and names of ours: there is nothing to escape.
"""

from collections.abc import Sequence
from itertools import groupby
from math import ceil
from typing import NamedTuple

from ..counters.contract import CLASSES, Class
from ..counters.periods import Unit, unit_of, unit_text
from ..counters.reading import Series
from ..counters.tally import Tally
from . import wording

WIDTH, HEIGHT = 1000, 200
_GAP = 0.18  # of a bar's place
#: A part that is there can be seen, however small.
_LEAST_HEIGHT = 1.5
#: In steps of one; what is there has one at least.
_SPARK_HEIGHT = 40


class Part(NamedTuple):
    """A rectangle of one class."""

    class_: str
    y: float
    height: float


class Bar(NamedTuple):
    """One hour, day or month."""

    x: float
    width: float
    parts: list[Part]
    label: str
    at: str
    accesses: int
    classes: dict[str, int]
    completed: int
    sent_bytes: int
    #: It is not over.
    is_open: bool


class Chart(NamedTuple):
    """A curve to be drawn: its bars, the line of what was completed, and the scale."""

    unit: str
    bars: list[Bar]
    line: str
    top: int
    accesses: int
    completed: int
    sent_bytes: int
    classes: list[str]

    @property
    def highest(self) -> Bar | None:
        return max(self.bars, key=lambda bar: bar.accesses, default=None)

    @property
    def drawn(self) -> str:
        """The bars as SVG. A template would take three times as long."""
        return "".join(map(_drawn, self.bars))

    @property
    def rows(self) -> str:
        """The rows of the curve as a table in HTML, the last ones first."""
        return "".join(_row(bar, self.classes) for bar in reversed(self.bars))


def chart(series: Series, shown: frozenset[Class] | None) -> Chart:
    """Return the curve of the classes *shown* (None: all)."""
    classes = [one for one in CLASSES if shown is None or one in shown]
    tallies = [tally for _, tally in series.points]
    counts = [_of_classes(tally, classes) for tally in tallies]
    top = ceiling(max((sum(one.values()) for one in counts), default=0))
    place = WIDTH / max(1, len(tallies))
    current = unit_of(series.unit, series.as_of)
    bars = []
    for index, ((at, tally), by_class) in enumerate(zip(series.points, counts, strict=True)):
        text = unit_text(series.unit, at)
        bars.append(
            Bar(
                round(index * place + place * _GAP / 2, 2),
                round(place * (1 - _GAP), 2),
                _stacked(by_class, top),
                wording.unit_label(text),
                text,
                sum(by_class.values()),
                {str(one): count for one, count in by_class.items()},
                tally.completed,
                tally.sent_bytes,
                at == current,
            )
        )
    return Chart(
        unit=series.unit,
        bars=bars,
        line=_line(bars, top) if shown is None else "",
        top=top,
        accesses=sum(bar.accesses for bar in bars),
        completed=sum(bar.completed for bar in bars),
        sent_bytes=sum(bar.sent_bytes for bar in bars),
        classes=[one for one in classes if any(by_class[one] for by_class in counts)],
    )


def _of_classes(tally: Tally, classes: Sequence[Class]) -> dict[Class, int]:
    if not tally:
        return dict.fromkeys(classes, 0)
    found = tally.classes
    return {one: found[one] for one in classes}


def _drawn(bar: Bar) -> str:
    """Return a bar, and over its whole height a place that tells its numbers."""
    x = f'x="{bar.x:g}"'
    width = f'width="{bar.width:g}"'
    parts = [
        f'<rect class="{part.class_}" {x} y="{part.y:g}" {width} height="{part.height:g}"/>'
        for part in bar.parts
    ]
    if bar.is_open and bar.parts:
        y = bar.parts[-1].y
        parts.append(f'<rect class="open" {x} y="{y:g}" {width} height="{HEIGHT - y:g}"/>')
    place = f'<rect class="place" {x} y="0" {width} height="{HEIGHT}"/>'
    return f"<g><title>{_told(bar)}</title>{place}{''.join(parts)}</g>\n"


def _told(bar: Bar) -> str:
    classes = ", ".join(f"{name} {count:,}" for name, count in bar.classes.items() if count)
    text = f"{bar.label}{', until now' if bar.is_open else ''}: "
    text += wording.plural(bar.accesses, "access", "accesses")
    return f"{text}: {classes}" if classes else text


def _row(bar: Bar, classes: Sequence[str]) -> str:
    numbers = [bar.accesses, *(bar.classes[name] for name in classes), bar.completed]
    cells = "".join(f'<td class="n">{number:,}</td>' for number in numbers)
    sent = f'<td class="n" title="{bar.sent_bytes:,} bytes">{wording.size(bar.sent_bytes)}</td>'
    return f'<tr><th scope="row">{bar.at}</th>{cells}{sent}</tr>\n'


def _stacked(by_class: dict[Class, int], top: int) -> list[Part]:
    parts: list[Part] = []
    y = float(HEIGHT)
    for class_, count in by_class.items():
        if count:
            height = max(_LEAST_HEIGHT, count / top * HEIGHT)
            y -= height
            parts.append(Part(class_, round(max(0.0, y), 2), round(height, 2)))
    return parts


def _line(bars: Sequence[Bar], top: int) -> str:
    return " ".join(
        f"{bar.x + bar.width / 2:.1f},{HEIGHT - min(1, bar.completed / top) * HEIGHT:.1f}"
        for bar in bars
    )


def ceiling(value: int) -> int:
    """Return a round number at the top of a scale that has room for *value*."""
    power = 1
    while True:
        for step in (10, 12, 16, 20, 24, 30, 40, 50, 60, 80):
            top = step * power // 10
            if top >= max(1, value) and (power > 1 or step % 10 == 0):
                return top
        power *= 10


class Spark(NamedTuple):
    """A row's little curve: the outline of its steps in a box 40 high, and its last numbers."""

    width: int
    outline: str
    text: str


def spark(series: Sequence[int], unit: Unit) -> Spark:
    """Return the little curve of accesses by day or month."""
    top = max(series, default=0) or 1
    steps = [_SPARK_HEIGHT - ceil(count / top * _SPARK_HEIGHT) for count in series]
    # The page has a hundred of these, so they are short: equal steps are one.
    outline = "".join(f"V{y}h{len([*same])}" for y, same in groupby(steps))
    last = ", ".join(wording.number(count) for count in series[-7:])
    text = f"accesses by {unit}, the last ones: {last}"
    return Spark(len(series), f"M0 {_SPARK_HEIGHT}{outline}V{_SPARK_HEIGHT}z", text)
