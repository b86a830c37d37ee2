"""Metrics for Prometheus, in its text format or as OpenMetrics.

`files` has the counts. They are the same from every worker and host, so scrape it once. `host` has
the figures of this host, added up over its workers, so scrape it from each host.

The files that were accessed first have metrics of their own. The rest is added up as `(others)`,
which is no path. So a file that has a metric keeps it; with the most accessed files, series would
come and go.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from ..counters.contract import ACCESSES, KINDS, CounterError
from ..counters.reading import MOST_ROWS, CountReader, Totals
from ..counters.tally import Tally
from .answers import Answer, Environ, answer
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

    At most *most_files* files have metrics of their own. *store* is the kind of store.
    """

    def __init__(
        self,
        reader: Callable[[], CountReader],
        host: "Host",
        *,
        most_files: int,
        store: str,
        kept_seconds: float = _KEPT_SECONDS,
    ) -> None:
        self._reader = reader
        self._host = host
        self._most_files = most_files
        self._store = store
        self._kept_seconds = kept_seconds
        self._lock = Lock()
        self._read_at = -kept_seconds
        self._read: tuple[Totals, list[tuple[str, Tally]]] | None = None
        #: By media type: how files' lines are made, and the text of what was read last.
        self._lines: dict[str, FileLines] = {}
        self._texts: dict[str, bytes] = {}

    def files(self, _parameters: Parameters, environ: Environ) -> Answer:
        """Raises CounterError while the store cannot be read."""
        with self._lock:
            if self._read is None or monotonic() - self._read_at >= self._kept_seconds:
                reader = self._reader()
                # Files first: what is counted in between is one of `(others)`, not less than none.
                files = first_files(reader, self._most_files)
                self._read, self._read_at = (reader.totals(), files), monotonic()
                self._texts.clear()
            encode, media_type = choose_encoder(environ.get("HTTP_ACCEPT", ""))
            text = self._texts.get(media_type)
            if text is None:
                totals, files = self._read
                if media_type not in self._lines and len(self._lines) >= _FORMATS:
                    self._lines.clear()
                    self._texts.clear()
                lines = self._lines.setdefault(media_type, FileLines(_of_files))
                text = lines.text(_with_others(totals, files), encode)
                text += encode(collected(_of_store(totals, len(files))))
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


def first_files(reader: CountReader, most: int) -> list[tuple[str, Tally]]:
    """Return the files that were accessed first, in the order of their first accesses."""
    found: list[tuple[str, Tally]] = []
    after = ""
    while len(found) < most:
        limit = min(MOST_ROWS, most - len(found))
        part = reader.ranked("first", after=after, limit=limit)
        found += [(row.path, row.tally) for row in part.rows]
        after = part.next
        if not after:
            break
    return found


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


def _of_files(rows: Sequence[tuple[str, Tally]]) -> Iterator[Metric]:
    yield _by_kind(
        "tally_file_accesses",
        "Accesses to a file: it was sent from its first byte on, or the client's copy confirmed",
        rows,
        [kind for kind in KINDS if kind in ACCESSES],
    )
    yield _by_kind(
        "tally_file_other_requests",
        "Answers about a file that are no accesses",
        rows,
        [kind for kind in KINDS if kind not in ACCESSES],
    )
    for name, documentation, number in (
        ("tally_file_completed", "Accesses whose whole file was handed over", "completed"),
        ("tally_file_sent_bytes", "Bytes of a file that were handed over", "sent_bytes"),
    ):
        family = CounterMetricFamily(name, documentation, labels=["path"])
        for path, tally in rows:
            family.add_metric([path], tally[number])
        yield family


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


def _by_kind(
    name: str, documentation: str, rows: Sequence[tuple[str, Tally]], kinds: Sequence[str]
) -> Metric:
    family = CounterMetricFamily(name, documentation, labels=["path", "kind"])
    for path, tally in rows:
        numbers = tally.kinds
        for kind in kinds:
            family.add_metric([path, kind], numbers[kind])
    return family


def _exposed(metrics: list[Metric], environ: Environ) -> Answer:
    encode, media_type = choose_encoder(environ.get("HTTP_ACCEPT", ""))
    return answer(media_type, encode(collected(metrics)))
