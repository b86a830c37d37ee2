"""The report as a page, and the shorter page of the guide: templates and what they ask for."""

import inspect
import math
from collections.abc import Sequence

from . import wording
from .behaviour import Verdict
from .load_order import PERCENTILES
from .report_file import write_report
from .results import Cell, Comparison, Figure, Subject
from .servers import SERVERS
from .templating import TEMPLATES

_LETTERS = {"pass": ".", "deviates": "x", "error": "!", "not offered": "-"}
_TONES = 14  # in style.css
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 560, 330, 46, 14, 10, 34

_WORDS = {name: word for name, word in vars(wording).items() if inspect.isfunction(word)}
# Some are handed on to macros, as what is to be written.
TEMPLATES.filters |= _WORDS
TEMPLATES.globals |= _WORDS


def write_html(comparison: Comparison, path: str) -> None:
    """Write the page over what is at *path*. Raises OSError."""
    write_report(path, as_page(comparison))


def as_page(comparison: Comparison, template: str = "report.html") -> str:
    """Return the whole page.

    Nothing in it is fetched from elsewhere, and all that servers said is escaped.
    """
    page = TEMPLATES.get_template(template)
    return page.render(run=comparison, view=View(comparison)).rstrip() + "\n"


class View:
    """What the templates ask for beside the figures themselves."""

    def __init__(self, comparison: Comparison) -> None:
        self._run = comparison
        self.swatches = any(cell.rounds for cell in comparison.cells)
        self.loads = [load for load in comparison.workloads if not load[0].startswith("crowd-")]
        self.observed = [one for one in comparison.subjects if one.name in comparison.verdicts]
        self.rows = comparison.verdicts[self.observed[0].name] if self.observed else []
        self.topics = list(dict.fromkeys(verdict.topic for verdict in self.rows))
        self.generator_note = wording.GENERATOR_NOTE[comparison.generator]

    def tone(self, subject: Subject) -> str:
        """The colour of a server, the same in every chart and with WhiteNoise under it."""
        names = list(dict.fromkeys(name.partition("+")[0] for name in SERVERS))
        own = subject.name.partition("+")[0].partition(" ")[0]
        index = names.index(own) if own in names else len(names)
        return f"var(--s{(index + ('(' in subject.name) * 5) % _TONES})"

    def entries(self, workload: str) -> list[tuple[Subject, Cell]]:
        found = ((one, self._run.cell(one.name, workload)) for one in self._run.measured)
        return [(subject, cell) for subject, cell in found if cell]

    def memory(self, subject: Subject) -> float:
        """The most that any workload left the server with, in bytes."""
        cells = (cell.figures.get("pss") for cell in self._run.cells if cell.server == subject.name)
        return max((figure.median for figure in cells if figure), default=0.0)

    def bars(
        self, workload: str, name: str, descending: bool = False
    ) -> list[tuple[Subject, Cell, Figure | None, str]]:
        """Everybody with the figure *name*, in its order, and where the bar ends and spreads."""
        rows = [(one, cell, cell.figures.get(name)) for one, cell in self.entries(workload)]
        sign = -1 if descending else 1
        rows.sort(key=lambda row: sign * row[2].median if row[2] else math.inf)
        most = max((row[2].high or 0.0 for row in rows if row[2]), default=0.0) or 1.0
        return [(*row, _bar(row[2], most) if row[2] else "") for row in rows]

    def curves(self, workload: str) -> list[tuple[Subject, str]]:
        """Paths of latency by percentile: to the right stretched towards 100, upwards by decades."""
        points = [(one, _latency(cell)) for one, cell in self.entries(workload) if cell.answered]
        scale = _Decades([value for _, curve in points for _, value in curve])
        return [
            (one, "M" + "L".join(f"{_across(p):.1f} {scale.up(value):.1f}" for p, value in curve))
            for one, curve in points
        ]

    def grid(self, workload: str) -> list[tuple[str, float]]:
        """The horizontal lines of the chart: label and height."""
        cells = [cell for _, cell in self.entries(workload) if cell.answered]
        scale = _Decades([value for cell in cells for _, value in _latency(cell)])
        exponents = range(scale.lowest, scale.highest + 1)
        return [(f"{10.0**exponent:g}", scale.up(10.0**exponent)) for exponent in exponents]

    def rows_of(self, topic: str) -> list[tuple[int, Verdict]]:
        return [(index, row) for index, row in enumerate(self.rows) if row.topic == topic]

    marks = property(lambda _: [(f"p{p:g}", _across(p)) for p in (10, 50, 90, 99, 99.9)])

    def groups(self, subject: Subject) -> list[list[Verdict]]:
        """The server's verdicts by level, then by topic."""
        found = self._run.verdicts[subject.name]
        by_level = [[one for one in found if one.level == level] for level in ("MUST", "SHOULD")]
        return by_level + [[one for one in found if one.topic == topic] for topic in self.topics]

    def differing(self, topic: str) -> list[tuple[Verdict, dict[str, list[str]]]]:
        """The rows that somebody answered otherwise: what was said, with the servers that did."""
        found = []
        for index, row in self.rows_of(topic):
            said: dict[str, list[str]] = {}
            for subject in self.observed:
                verdict = self._run.verdicts[subject.name][index]
                if verdict.is_wrong:
                    said.setdefault(verdict.said, []).append(subject.title)
            if said:
                found.append((row, said))
        return found

    def letters_of(self, index: int) -> str:
        """What each server did with a row: `.` for right, x for wrong, ! for nothing, - for none."""
        outcomes = [self._run.verdicts[one.name][index].outcome for one in self.observed]
        return "".join(_LETTERS[outcome] for outcome in outcomes)

    def heat_of_ratio(self, ratio: float) -> str:
        """A third of the baseline is as green as three times it is red."""
        factor = ratio if ratio > 1.05 else 1 / max(ratio, 0.01)
        heat = min(42.0, (factor - 1) * 8) if abs(factor - 1) > 0.05 else 0.0
        return _heat(heat, ratio > 1.05)

    def heat_of_verdicts(self, verdicts: Sequence[Verdict]) -> str:
        applying = [verdict for verdict in verdicts if verdict.outcome != "not offered"]
        failed = sum(verdict.is_wrong for verdict in applying)
        return _heat(min(45.0, 8 + failed / len(applying) * 90) if failed else 14.0, failed > 0)


def _heat(percent: float, bad: bool) -> str:
    """A class of the style sheets: g0 to g9 for good, b0 to b9 for bad."""
    return f"{'b' if bad else 'g'}{percent / 5:.0f}"


def _bar(figure: Figure, most: float) -> str:
    ends = {"to": figure.median, "low": figure.low, "high": figure.high}
    return "".join(f"--{name}:{(value or 0) / most * 100:.2f}%;" for name, value in ends.items())


def _latency(cell: Cell) -> list[tuple[float, float]]:
    shown = [percent for percent in PERCENTILES if 0 < percent <= 99.9]
    figures = [Figure.of([one.latency_at(percent) for one in cell.answered]) for percent in shown]
    return [(p, figure.median) for p, figure in zip(shown, figures, strict=True) if figure]


def _across(percent: float) -> float:
    """Nines of availability: 90, 99 and 99.9 are equally far apart."""
    nines = -math.log10(1 - percent / 100)
    return _LEFT + nines / 3 * (_WIDTH - _LEFT - _RIGHT)


class _Decades:
    """Where a number of milliseconds stands on the chart's logarithmic scale."""

    def __init__(self, values: Sequence[float]) -> None:
        positive = [value for value in values if value > 0] or [1.0]
        self.lowest = math.floor(math.log10(min(positive)))
        self.highest = max(math.ceil(math.log10(max(positive))), self.lowest + 1)

    def up(self, value: float) -> float:
        share = math.log10(max(value, 10.0**self.lowest)) - self.lowest
        return _HEIGHT - _BOTTOM - share / (self.highest - self.lowest) * (_HEIGHT - _TOP - _BOTTOM)
