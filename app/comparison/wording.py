"""How figures and faults are written, the same in the terminal and on the page."""

from collections import Counter
from collections.abc import Sequence

from .behaviour import Verdict
from .results import Cell, Figure


def count(number: float) -> str:
    return f"{number:,.0f}"


def duration(milliseconds: float) -> str:
    """In milliseconds, with as many digits as say something."""
    if milliseconds >= 100:
        return count(milliseconds)
    return f"{milliseconds:.2f}" if milliseconds < 10 else f"{milliseconds:.1f}"


def microseconds(number: float) -> str:
    return f"{number:.1f}" if number < 1000 else count(number)


def mebibytes(size: float) -> str:
    return f"{size / 2**20:.1f}"


def ratio(number: float) -> str:
    return f"{number:.2f}\u00d7"


def spread(figure: Figure | None) -> str:
    """Half the distance from the least to the greatest, in percent of the median."""
    if not figure or not figure.median or figure.low is None or figure.high is None:
        return ""
    return f"±{(figure.high - figure.low) / 2 / figure.median:.0%}"


def verdict_of(cell: Cell) -> str:
    """ "right", or what was wrong with the answers and how often."""
    if cell.not_offered:
        return "not offered"
    if cell.faults:
        return ", ".join(f"{kind} ({count(number)})" for kind, number in cell.faults.items())
    return "right" if cell.figures or cell.rounds else "not run"


def tally(verdicts: Sequence[Verdict]) -> str:
    """How many rows passed, of those that apply."""
    outcomes = Counter(verdict.outcome for verdict in verdicts)
    return f"{outcomes['pass']}/{len(verdicts) - outcomes['not offered']}"


GENERATOR_NOTE = {
    "wrk": "Loaded by wrk, whose script checks the status and length of every answer; `large`,"
    " `close` and the crowds by the bundled generator. A sample is compared byte by byte before"
    " and after each load.",
    "bundled": "Loaded by the bundled generator, a Python program that is slower than wrk: figures"
    " marked > are what the generator managed, not the server. It checks the status and length of"
    " every answer. A sample is compared byte by byte before and after each load.",
}
