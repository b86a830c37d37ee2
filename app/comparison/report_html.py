"""Writes the report as one page that can be sent, kept and quoted: charts, tables, command lines,
machine and date.
"""

import os
from html import escape

from .page.behaviour import behaviour_section
from .page.speed import overview, tone, workload_section
from .report_file import write_report
from .results import Comparison, Subject
from .wording import GENERATOR_NOTE, tally


def write_html(comparison: Comparison, path: str) -> None:
    """Write the page over what is at *path*. Raises OSError."""
    write_report(path, as_page(comparison))


def as_page(comparison: Comparison) -> str:
    """Return the whole page.

    Nothing in it is fetched from elsewhere, and all that servers said is escaped.
    """
    sections = "".join(
        workload_section(comparison, name, title) for name, title in comparison.workloads
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # Without it browsers ask the host for /favicon.ico.
        '<link rel="icon" href="data:,">'
        f"<title>Web servers side by side</title><style>{_style()}</style></head><body><main>"
        f"{_head(comparison)}{overview(comparison)}{behaviour_section(comparison)}{sections}{_servers(comparison)}"
        f"{_method(comparison)}</main></body></html>\n"
    )


def _style() -> str:
    with open(
        os.path.join(os.path.dirname(os.path.abspath(__file__)), "page", "style.css"),
        encoding="utf-8",
    ) as file:
        return file.read()


def _head(comparison: Comparison) -> str:
    links = [("overview", "CPU time")] * bool(comparison.workloads) + [
        ("behaviour", "behaviour")
    ] * bool(comparison.verdicts)
    links += [(name, name) for name, _title in comparison.workloads] + [
        ("servers", "servers"),
        ("method", "method"),
    ]
    nav = "".join(f'<a href="#{escape(anchor)}">{escape(text)}</a>' for anchor, text in links)
    facts = {"date": comparison.date, **comparison.machine}
    listed = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in facts.items()
    )
    count = len(comparison.measured)
    return (
        f'<h1>Web servers side by side</h1><p class="lead soft">{count}'
        f" server{'s' * (count != 1)}, the same files, "
        "the same requests, one machine: what each costs, and what each answers.</p>"
        f'<dl class="facts">{listed}</dl><nav>{nav}</nav>'
    )


def _servers(comparison: Comparison) -> str:
    return f'<h2 id="servers">Servers</h2>{"".join(_server(comparison, subject) for subject in comparison.subjects)}'


def _server(comparison: Comparison, subject: Subject) -> str:
    verdicts = comparison.verdicts.get(subject.name)
    notes = [subject.version, f"behaviour {tally(verdicts)}" if verdicts else ""]
    state = subject.state + (f": {subject.reason}" if subject.reason else "")
    trouble = (
        f'<p class="wrong">{escape(state)}</p>'
        if subject.state != "measured" or subject.reason
        else ""
    )
    if subject.state == "not installed":
        trouble = f'<p class="soft">{escape(state)}</p>'
    lines = f"<pre>{escape(chr(10).join(subject.last_lines))}</pre>" if subject.last_lines else ""
    command = f"<pre>{escape(subject.command)}</pre>" if subject.command else ""
    shown = " open" if trouble and lines else ""
    return (
        f'<details{shown}><summary><span class="swatch" style="--tone:{tone(subject)}"></span>'
        f"{escape(subject.title)}"
        f'<span class="soft">{escape(", ".join(filter(None, notes)))}'
        f"{' not installed' if subject.state == 'not installed' else ''}</span></summary>"
        f"{trouble}{command}{lines}</details>"
    )


_METHOD = """
<p>All servers run at once and one is loaded at a time, in another order each round. Figures are medians, the thin
lines reach from the least to the greatest round, ratios are taken within a round. One process that serves, eight
threads where their number is the user's to choose, no access log (http.server has no such switch), limits that
allow the connections asked for, all else as the authors chose. CPU time is read from each process's CPU clock;
memory is the proportional set size of the tree (PSS).</p>
<p>Beside a crowd, 400 small GETs a second are sent, a new connection for every tenth; the latency includes
connecting. A figure with &gt; is what the generator managed, not the server.</p>
"""


def _method(comparison: Comparison) -> str:
    return (
        '<h2 id="method">Method</h2>'
        f"<p>{comparison.rounds} rounds of {comparison.seconds:g} s for each server and workload,"
        " with "
        f"{comparison.connections} connections (4 for <code>large</code>). "
        f"{escape(GENERATOR_NOTE[comparison.generator])}</p>{_METHOD}"
        f"<p>The run took {comparison.took / 60:.1f} minutes. Repeat it with:</p>"
        f"<pre>{escape(comparison.command)}</pre>"
    )
