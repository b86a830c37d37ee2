"""The speed part of the page: the overview of ratios, and a section for each workload."""

from html import escape

from ..load_order import PERCENTILES
from ..results import Cell, Comparison, Subject
from ..servers import SERVERS
from ..wording import count, duration, mebibytes, microseconds, ratio, spread, verdict_of
from .charts import Bar, Curve, bars, latency_curves

_TONES = 14
_SHOWN = (50.0, 90.0, 99.0, 99.9)  # percentiles


def tone(subject: Subject) -> str:
    """The colour of a server, the same in every chart; WhiteNoise under it has the same, and dotted
    lines.
    """
    names = list(dict.fromkeys(name.partition("+")[0] for name in SERVERS))
    own = subject.name.partition("+")[0].partition(" ")[0]
    index = names.index(own) if own in names else len(names)
    return f"var(--s{(index + ('(' in subject.name) * 5) % _TONES})"


def overview(comparison: Comparison) -> str:
    """Servers downwards, workloads across: CPU time for a request in terms of the baseline's."""
    loads = [(name, title) for name, title in comparison.workloads if not name.startswith("crowd-")]
    if not loads:
        return ""
    heads = "".join(
        f'<th title="{escape(title)}"><a href="#{escape(name)}">{escape(name)}</a></th>'
        for name, title in loads
    )
    rows = "".join(
        _overview_row(comparison, subject, [name for name, _ in loads])
        for subject in comparison.measured
    )
    baseline = next(
        (one.title for one in comparison.subjects if one.name == comparison.baseline), ""
    )
    return (
        '<h2 id="overview">CPU time for a request</h2>'
        "<p>User and system time of the whole process tree, divided by the requests that were"
        " answered rightly, in "
        f"terms of <b>{escape(baseline)}</b> in the same round. Less is better. It is the"
        " steadiest figure on a shared "
        "machine, and what a busy site pays for.</p>"
        '<div class="card scroll"><table class="heat'
        f' sticky"><thead><tr><th>server</th>{heads}<th>memory, MiB</th>'
        f"<th>first 200, ms</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _overview_row(comparison: Comparison, subject: Subject, names: list[str]) -> str:
    cells = "".join(
        _ratio_cell(comparison.cell(subject.name, name), comparison.cell(comparison.baseline, name))
        for name in names
    )
    memory = max(
        (cell.pss.median for cell in comparison.cells if cell.server == subject.name and cell.pss),
        default=0.0,
    )
    start = subject.start
    base = ' class="base"' if subject.name == comparison.baseline else ""
    return (
        f'<tr{base}><th><span class="swatch"'
        f' style="--tone:{tone(subject)}"></span>{escape(subject.title)}</th>{cells}'
        f"<td>{mebibytes(memory) if memory else ''}</td><td>{count(start.median) if start else ''}</td></tr>"
    )


def _ratio_cell(cell: Cell | None, baseline: Cell | None) -> str:
    if cell is None:
        return '<td class="none">\u2013</td>'
    if cell.not_offered:
        return f'<td class="none" title="{escape(cell.not_offered)}">not offered</td>'
    if cell.faults:
        example = "; ".join(f"{kind}: {text}" for kind, text in cell.examples.items())
        return f'<td class="wrong" title="{escape(example)}">{escape(", ".join(cell.faults))}</td>'
    figure = cell.cpu_ratio(baseline) if baseline else None
    if figure is None:
        return (
            f"<td>{microseconds(cell.cpu.median)} µs</td>"
            if cell.cpu
            else '<td class="none">\u2013</td>'
        )
    # A third of the baseline is as green as three times it is red.
    more = figure.median > 1.05
    factor = figure.median if more else 1 / max(figure.median, 0.01)
    heat = min(42.0, (factor - 1) * 8) if abs(factor - 1) > 0.05 else 0.0
    return f'<td style="--heat:{heat:.0f};--tone:var(--{"bad" if more else "good"})">{ratio(figure)}</td>'


def workload_section(comparison: Comparison, name: str, title: str) -> str:
    entries = [
        (subject, cell)
        for subject in comparison.measured
        if (cell := comparison.cell(subject.name, name))
    ]
    crowd = name.startswith("crowd-")
    charts = _crowd_charts(entries) if crowd else _load_charts(comparison, name, entries)
    return f'<h2 id="{escape(name)}">{escape(name)}</h2><p>{escape(title)}.</p>{charts}{_faults(entries)}'


def _load_charts(comparison: Comparison, name: str, entries: list[tuple[Subject, Cell]]) -> str:
    baseline = comparison.cell(comparison.baseline, name)
    by_cpu = sorted(
        entries, key=lambda entry: entry[1].cpu.median if entry[1].cpu else float("inf")
    )
    cpu = [
        Bar(s.title, tone(s), c.cpu, ratio(c.cpu_ratio(baseline)) if baseline else "")
        if c.cpu
        else _missing(s, c)
        for s, c in by_cpu
    ]
    by_rate = sorted(entries, key=lambda entry: -entry[1].rate.median if entry[1].rate else 0.0)
    rate = [
        Bar(s.title, tone(s), c.rate, spread(c.rate), ">" if c.generator_bound else "")
        if c.rate
        else _missing(s, c)
        for s, c in by_rate
    ]
    return (
        '<div class="pair"><div class="card"><h3>CPU time, µs a'
        f" request</h3>{bars(cpu, microseconds)}</div>"
        '<div class="card"><h3>Requests a'
        f" second</h3>{bars(rate, count)}</div></div>{_latency(entries)}"
    )


def _crowd_charts(entries: list[tuple[Subject, Cell]]) -> str:
    ordered = sorted(entries, key=lambda entry: _p99(entry[1]))
    rows = [
        Bar(s.title, tone(s), c.latency(99.0)) if c.told else _missing(s, c) for s, c in ordered
    ]
    table = "".join(
        f"<tr>{_name(s)}<td>{c.held} of {c.crowd_size}</td>"
        f"<td>{f'{c.connection_bytes / 1024:.1f}' if c.held and c.workload == 'crowd-idle' else ''}</td>"
        f"<td>{duration(p50.median) if (p50 := c.latency(50.0)) else ''}</td>"
        f"<td>{mebibytes(c.pss.median) if c.pss else ''}</td></tr>"
        for s, c in ordered
    )
    return (
        '<div class="pair"><div class="card"><h3>p99 of the small GETs,'
        f" ms</h3>{bars(rows, duration)}</div>"
        '<div class="card scroll"><h3>The crowd</h3><table><thead><tr><th>server</th><th>in'
        " place</th><th>KiB each</th>"
        f"<th>p50, ms</th><th>PSS, MiB</th></tr></thead><tbody>{table}</tbody></table></div></div>"
    )


def _name(subject: Subject) -> str:
    return f'<th><span class="swatch" style="--tone:{tone(subject)}"></span>{escape(subject.title)}</th>'


def _p99(cell: Cell) -> float:
    figure = cell.latency(99.0)
    return figure.median if figure else float("inf")


def _missing(subject: Subject, cell: Cell) -> Bar:
    return Bar(subject.title, "transparent", None, verdict_of(cell))


def _latency(entries: list[tuple[Subject, Cell]]) -> str:
    curves = [
        Curve(
            s.title,
            tone(s),
            "+" in s.name,
            [(p, figure.median) for p in PERCENTILES if (figure := c.latency(p))],
        )
        for s, c in entries
        if c.told
    ]
    rows = "".join(
        f"<tr>{_name(s)}"
        + "".join(
            f"<td>{duration(figure.median) if (figure := c.latency(p)) else ''}</td>"
            for p in _SHOWN
        )
        + f"<td>{mebibytes(c.pss.median) if c.pss else ''}</td></tr>"
        for s, c in entries
        if c.told
    )
    heads = "".join(f"<th>p{percent:g}</th>" for percent in _SHOWN)
    return (
        '<div class="pair second"><div class="card"><h3>Latency, ms by percentile</h3>'
        f"{latency_curves(curves)}</div>"
        '<div class="card scroll"><h3>Latency, ms, and memory</h3>'
        f"<table><thead><tr><th>server</th>{heads}<th>PSS, MiB</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div></div>"
    )


def _faults(entries: list[tuple[Subject, Cell]]) -> str:
    lines = "".join(
        f'<li><b>{escape(s.title)}</b>: <span class="wrong">{escape(kind)}</span> '
        f"({count(c.faults[kind])}): {escape(example)}</li>"
        for s, c in entries
        for kind, example in c.examples.items()
    )
    lines += "".join(
        f"<li><b>{escape(s.title)}</b>: not offered: {escape(c.not_offered)}</li>"
        for s, c in entries
        if c.not_offered
    )
    return f'<ul class="said">{lines}</ul>' if lines else ""
