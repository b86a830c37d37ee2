"""The metrics of a host: what its processes did, summed, and what the kernel says of them.

Numbers of a server begin at 0 with it. What a server does not tell is left out.
"""

import platform
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from .. import __version__
from ..host_figures import BUCKETS, HostFigures, Known
from .processes import of_processes

_ENDS = [*(repr(float(bucket)) for bucket in BUCKETS), "+Inf"]


def of_build(store: str) -> Iterator[Metric]:
    """Yield what serves, with the kind of *store*."""
    build = GaugeMetricFamily(
        "tally_build_info", "What serves", labels=["version", "python", "store"]
    )
    build.add_metric([__version__, platform.python_version(), store], 1)
    yield build


def of_host(figures: HostFigures, pending: int, *, is_up: bool) -> Iterator[Metric]:
    """Yield what a host knows of itself; *is_up*: the store of the counts can be read."""
    if Known.REQUESTS in figures.known:
        yield from _requests(figures)
    if Known.CONNECTIONS in figures.known:
        connections = GaugeMetricFamily(
            "tally_connections",
            "Open connections; active are those of the requests in progress",
            labels=["state"],
        )
        connections.add_metric(["active"], figures.in_progress)
        connections.add_metric(["idle"], max(0, figures.connections - figures.in_progress))
        yield connections
    yield CounterMetricFamily(
        "tally_counts_uncounted",
        "Accesses that this host answered and could not count",
        figures.uncounted,
    )
    yield GaugeMetricFamily(
        "tally_counts_pending", "Accesses that wait on this host and will be counted", pending
    )
    yield GaugeMetricFamily(
        "tally_counts_store_up", "Whether the store of the counts can be read", is_up
    )
    yield CounterMetricFamily(
        "tally_count_lines_dropped", "Count lines that nobody took", figures.lines_dropped
    )
    if figures.known:
        yield GaugeMetricFamily("tally_workers", "Processes that serve", len(figures.processes))
        yield from of_processes(figures.first_process, figures.processes)
    if Known.RESTARTS in figures.known:
        yield CounterMetricFamily(
            "tally_worker_restarts",
            "Workers that ended by themselves and were replaced",
            figures.restarts,
        )


def _requests(figures: HostFigures) -> Iterator[Metric]:
    durations = HistogramMetricFamily(
        "tally_http_request_duration_seconds",
        "From the request to the end of its answer, health checks left out",
        labels=["method"],
    )
    for method, found in figures.durations.items():
        numbers = accumulate(found.numbers)
        durations.add_metric([method], list(zip(_ENDS, numbers, strict=True)), found.seconds)
    yield durations
    yield GaugeMetricFamily(
        "tally_http_requests_in_progress",
        "Requests being answered beside this one",
        figures.in_progress,
    )
    yield CounterMetricFamily(
        "tally_http_sent_bytes",
        "Bytes of answers that were handed over, without their heads",
        figures.sent_bytes,
    )
