"""The behaviour matrix: how many rows each server passed by topic, every row, and every difference
in a line.
"""

from collections.abc import Sequence
from html import escape

from ..behaviour import Verdict
from ..results import Comparison
from ..wording import tally

_MARKS = {
    "pass": ("pass", "✓"),
    "deviates": ("deviates", "✗"),
    "error": ("error", "!"),
    "not offered": ("not", "\u2013"),
}
_KEY = {
    "pass": "as the RFC requires",
    "deviates": "answered otherwise",
    "error": "no answer that can be read",
    "not offered": "left to the server by the RFC, and not offered",
}


def behaviour_section(comparison: Comparison) -> str:
    subjects = [subject for subject in comparison.subjects if subject.name in comparison.verdicts]
    if not subjects:
        return ""
    columns = [(subject.title, comparison.verdicts[subject.name]) for subject in subjects]
    rows = columns[0][1]
    topics = list(dict.fromkeys(verdict.topic for verdict in rows))
    details = "".join(_topic(topic, columns) for topic in topics)
    key = "".join(f"<span>{_mark(outcome)}{text}</span>" for outcome, text in _KEY.items())
    return (
        f'<h2 id="behaviour">Behaviour</h2><p>{len(rows)} requests, each sent to every server on a'
        " raw "
        "socket and judged by what RFC 9110, 9112 and 3986 require of the answer. "
        "The numbers are rows passed of those that apply.</p>"
        f'<div class="card scroll">{_summary(topics, columns)}</div><p'
        f' class="key">{key}</p>{details}'
    )


def _summary(topics: Sequence[str], columns: Sequence[tuple[str, list[Verdict]]]) -> str:
    """Servers downwards, so that many of them fit on a narrow page."""
    heads = "".join(f"<th>{escape(topic)}</th>" for topic in ("MUST", "SHOULD", *topics))
    body = ""
    for title, verdicts in columns:
        groups = [[v for v in verdicts if v.level == level] for level in ("MUST", "SHOULD")]
        groups += [[v for v in verdicts if v.topic == topic] for topic in topics]
        body += f"<tr><th>{escape(title)}</th>{''.join(map(_tally_cell, groups))}</tr>"
    return f'<table class="heat sticky"><thead><tr><th>server</th>{heads}</tr></thead><tbody>{body}</tbody></table>'


def _tally_cell(verdicts: Sequence[Verdict]) -> str:
    applying = [verdict for verdict in verdicts if verdict.outcome != "not offered"]
    failed = sum(verdict.outcome != "pass" for verdict in applying)
    share = failed / len(applying) if applying else 0.0
    heat = min(45.0, 8 + share * 90) if failed else 14.0
    tone = "var(--bad)" if failed else "var(--good)"
    return f'<td style="--heat:{heat:.0f};--tone:{tone}">{escape(tally(verdicts).replace(" of ", "/"))}</td>'


def _topic(topic: str, columns: Sequence[tuple[str, list[Verdict]]]) -> str:
    chosen = [
        (title, [verdict for verdict in verdicts if verdict.topic == topic])
        for title, verdicts in columns
    ]
    rows = chosen[0][1]
    heads = "".join(f"<th>{escape(title)}</th>" for title, _verdicts in chosen)
    body = "".join(
        f"<tr><td>{escape(row.name)}<small>{row.level}, {escape(row.section)}:"
        f" {escape(row.requires)}</small></td>"
        + "".join(
            f"<td>{_mark(verdicts[i].outcome, f'{title}: {verdicts[i].said}' if verdicts[i].said else '')}</td>"
            for title, verdicts in chosen
        )
        + "</tr>"
        for i, row in enumerate(rows)
    )
    differing = sum(
        any(_wrong(verdicts[i]) for _title, verdicts in chosen) for i in range(len(rows))
    )
    return (
        f"<details><summary>{escape(topic.capitalize())}<span class=soft>{len(rows)} requests, "
        f"{differing or 'none'} answered otherwise by somebody</span></summary>"
        f'<div class="scroll"><table class="matrix sticky"><thead><tr><th></th>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
        f"{_differences(chosen)}</details>"
    )


def _differences(chosen: Sequence[tuple[str, list[Verdict]]]) -> str:
    """One line for each row and each way to differ, with the servers that do."""
    lines = ""
    for i, row in enumerate(chosen[0][1]):
        servers_by_answer: dict[str, list[str]] = {}
        for title, verdicts in chosen:
            if _wrong(verdicts[i]):
                servers_by_answer.setdefault(verdicts[i].said, []).append(title)
        for said, titles in servers_by_answer.items():
            lines += (
                f'<li><span class="level">{row.level}</span> <b>{escape(row.name)}</b>:'
                f" {escape(said)} "
                f'<span class="soft">({escape(", ".join(titles))}; {escape(row.section)} requires: '
                f"{escape(row.requires)})</span></li>"
            )
    return f'<ul class="said">{lines}</ul>' if lines else ""


def _wrong(verdict: Verdict) -> bool:
    return verdict.outcome in ("deviates", "error")


def _mark(outcome: str, tooltip: str = "") -> str:
    """Short markup: there are thousands on a page. Only what differs has something to say."""
    kind, sign = _MARKS[outcome]
    title = f' title="{escape(tooltip)}"' if tooltip else ""
    return f"<b class=mark-{kind}{title}>{sign}</b>"
