"""Metrics for Prometheus, in its text format or as OpenMetrics.

`files` has the counts. They are the same from every worker and host, so scrape it once. `host` has
the figures of this host, added up over its workers, so scrape it from each host.

The files that were accessed first have metrics of their own. The rest is added up as `(others)`,
which is no path. So a file that has a metric keeps it; with the most accessed files, series would
come and go.
"""

from collections.abc import Callable, Iterable, Iterator
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from ..counters.contract import KINDS, CounterError
from ..counters.reading import CountReader, Totals
from ..counters.tally import Tally
from .answers import Answer, Environ, answer
from .first_files import FirstFiles
from .host_metrics import of_build, of_host
from .metric_lines import FileLines, collected
from .parameters import Parameters

if TYPE_CHECKING:
    from .application import Host

#: Several scrapers at once share one reading. Not for long: the next scrape may meet another
#: worker, and a counter that falls is taken for one that began anew.
_KEPT_SECONDS = 1.0
_OTHERS = "(others)"
#: For how many formats the text is remembered. A scraper asks for one.
_FORMATS = 2


class Metrics:
    """Answers scrapes of the counts that *reader* gives, and of *host*. Safe from any thread.

    At most *most_files* files, of those that match *match*, have metrics of their own. *store* is
    the kind of store.
    """

    def __init__(
        self,
        reader: Callable[[], CountReader],
        host: "Host",
        *,
        most_files: int,
        match: str = "",
        store: str,
        kept_seconds: float = _KEPT_SECONDS,
    ) -> None:
        self._reader = reader
        self._host = host
        self._store = store
        self._kept_seconds = kept_seconds
        self._lock = Lock()
        self._read_at = -kept_seconds
        self._first_files = FirstFiles(most_files, match)
        self._lines = FileLines()
        #: The metrics of what was read last that are not about single files.
        self._others: list[Metric] = []
        #: By media type: the text of what was read last.
        self._texts: dict[str, bytes] = {}

    def files(self, _parameters: Parameters, environ: Environ) -> Answer:
        """Raises CounterError while the store cannot be read."""
        with self._lock:
            if monotonic() - self._read_at >= self._kept_seconds:
                totals, files = self._first_files.read(self._reader())
                self._lines.learn(_with_others(totals, files))
                self._others = list(_of_store(totals, len(files)))
                self._read_at = monotonic()
                self._texts.clear()
            encode, media_type = choose_encoder(environ.get("HTTP_ACCEPT", ""))
            text = self._texts.get(media_type)
            if text is None:
                if len(self._texts) >= _FORMATS:
                    self._texts.clear()
                text = self._lines.text(encode) + encode(collected(self._others))
                self._texts[media_type] = text
        return answer(media_type, text)

    def host(self, _parameters: Parameters, environ: Environ) -> Answer:
        try:
            self._reader().totals()
        except CounterError:
            is_up = False
        else:
            is_up = True
        metrics = of_host(self._host.figures(), self._host.pending(), is_up=is_up)
        return _exposed([*of_build(self._store), *metrics], environ)


def _with_others(totals: Totals, files: list[tuple[str, Tally]]) -> list[tuple[str, Tally]]:
    """Return *files*, and the sum of the others as one more."""
    own = Tally(sum(tally.lanes for _, tally in files))
    # A reset between the two readings must not make it negative.
    others = Tally.of(
        **{
            name: max(0, totals.tally[name] - own[name])
            for name in ("accesses", "completed", "sent_bytes", *_kept_kinds())
        }
    )
    return [*files, (_OTHERS, others)]


def _of_store(totals: Totals, own_metrics: int) -> Iterator[Metric]:
    """Yield what is not about single files, of which *own_metrics* have metrics of their own."""
    classes = CounterMetricFamily(
        "tally_accesses", "Accesses by what clients say of themselves", labels=["class"]
    )
    for class_, accesses in totals.tally.classes.items():
        classes.add_metric([class_], accesses)
    yield classes
    responses = CounterMetricFamily("tally_http_responses", "Answers by status", labels=["code"])
    for status, answers in totals.statuses.items():
        responses.add_metric([str(status)], answers)
    yield responses
    yield GaugeMetricFamily("tally_files", "Files that were counted", totals.files)
    yield GaugeMetricFamily(
        "tally_metrics_files_omitted",
        "Files without metrics of their own",
        max(0, totals.files - own_metrics),
    )


def _kept_kinds() -> Iterable[str]:
    return (kind for kind in KINDS if kind != "full")


def _exposed(metrics: list[Metric], environ: Environ) -> Answer:
    encode, media_type = choose_encoder(environ.get("HTTP_ACCEPT", ""))
    return answer(media_type, encode(collected(metrics)))
