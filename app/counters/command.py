"""`python -m app.counters`: read and move counts while servers go on counting.

totals   the site
top      the most accessed files
show     every file, or some files and directories
series   a curve of the site or of a file
export   everything, as a document that import reads
import   such a document, or another store, into this one
reset    forget files, or everything
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from time import time
from typing import IO

from . import documents, tables, transfer
from .contract import CLASSES, Class, CounterError
from .periods import SECONDS_PER_DAY, UNITS, Period
from .reading import (
    MOST_ROWS,
    ORDERS,
    DirectoryAnswer,
    FileAnswer,
    FileNumbers,
    FileRecord,
    RankedFile,
    Ranking,
    SiteRecord,
    Store,
)

#: Opens the store that a URL names; without the second argument only when there is one. Raises
#: CounterError.
OpenStore = Callable[[str, bool], Store]

_STORES = ("lmdb:", "redis:", "rediss:", "unix:")


def main(arguments: Sequence[str] | None, open_store: OpenStore, program: str) -> int:
    """Return the exit status: 0, or 1 when the store or a file cannot be used.

    Wrong usage exits with 2.
    """
    parser = _parser(program)
    options = parser.parse_args(arguments)
    try:
        if not options.counts:
            raise CounterError("counts: which ones? give --counts URL, or set TALLY_COUNTS")
        store = open_store(options.counts, options.command == "import")
        try:
            options.run(store, options, open_store)
        finally:
            store.close()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough (`top | head`). What is still buffered must not fail again at
        # the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (CounterError, OSError) as error:
        text = (
            str(error)
            if isinstance(error, CounterError)
            else f"{error.filename or 'output'}: {error.strerror}"
        )
        name = program.removeprefix("python -m ")
        print(f"{name}: {text.removeprefix('counts: ')}", file=sys.stderr)
        return 1
    except ValueError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        return 130
    return 0


# Reading


def _totals(store: Store, options: argparse.Namespace, _: OpenStore) -> None:
    totals = store.totals()
    if options.json:
        _print_json(documents.totals_document(totals))
    else:
        print(tables.totals_text(totals) + tables.standing_text(totals), end="")


def _top(store: Store, options: argparse.Namespace, _: OpenStore) -> None:
    ranking = store.ranked(
        options.order, options.period, options.match, options.after, options.number, options.classes
    )
    if options.json:
        _print_json(documents.ranking_document(ranking))
    elif options.csv:
        rows = [tables.file_row(row) for row in ranking.rows]
        print(tables.csv_lines([tables.FILE_HEADINGS, *rows]), end="")
    else:
        print(tables.files_table(ranking.rows, [row.rank for row in ranking.rows]), end="")
        print(f"{len(ranking.rows)} of {ranking.matched} files{_of_period(ranking.period)}")
        print(tables.standing_text(ranking), end="")
        if ranking.next:
            print(f"more: --after {ranking.next}")


def _show(store: Store, options: argparse.Namespace, _: OpenStore) -> None:
    if options.path:
        _show_some(store, options)
        return
    pages = _pages(store, options)
    first = next(pages)
    rows = chain.from_iterable(page.rows for page in chain([first], pages))
    if options.json:
        _print_json_rows(documents.ranking_document(first), rows)
    elif options.csv:
        print(tables.csv_lines([tables.FILE_HEADINGS]), end="")
        for row in rows:
            print(tables.csv_lines([tables.file_row(row)]), end="")
    else:
        # Of one page, so that the columns fit; each further page has its own.
        for page in chain([first], pages):
            print(tables.files_table(page.rows), end="")
        print(f"{first.matched} files{_of_period(options.period)}")
        print(tables.standing_text(first), end="")


def _show_some(store: Store, options: argparse.Namespace) -> None:
    answers = [_answer(store, path, options.period) for path in options.path]
    if options.json:
        found = [
            documents.directory_document(answer)
            if isinstance(answer, DirectoryAnswer)
            else documents.file_document(answer, options.period)
            for answer in answers
        ]
        _print_json(found[0] if len(found) == 1 else found)
        return
    files = [_file_numbers(answer) for answer in answers]
    if options.csv:
        print(tables.csv_lines([tables.FILE_HEADINGS, *map(tables.file_row, files)]), end="")
    else:
        print(tables.files_table(files) + tables.standing_text(answers[0]), end="")


def _answer(store: Store, path: str, period: Period | None) -> FileAnswer | DirectoryAnswer:
    if path.endswith("/"):
        if period is not None:
            raise ValueError(
                f"{path}: directories are added up over all time only; leave out --period"
            )
        return store.directory(path)
    answer = store.file(path, period)
    if answer is None:
        raise CounterError(f"counts: {path}: no such file was counted")
    return answer


def _file_numbers(answer: FileAnswer | DirectoryAnswer) -> FileNumbers:
    if isinstance(answer, FileAnswer):
        return answer.file
    return FileNumbers(path=answer.path, tally=answer.tally, first=answer.first, last=answer.last)


def _pages(store: Store, options: argparse.Namespace) -> Iterator[Ranking]:
    after = ""
    while True:
        page = store.ranked(
            "path", options.period, options.match, after, MOST_ROWS, options.classes
        )
        yield page
        after = page.next
        if not after:
            return


def _series(store: Store, options: argparse.Namespace, _: OpenStore) -> None:
    period = options.period
    if period is None:
        raise ValueError("--period: a curve needs days, as in 30d; all has no beginning")
    series = store.series(options.unit, period, options.path)
    if series is None:
        raise CounterError(f"counts: {options.path}: no such file was counted")
    if options.json:
        _print_json(documents.series_document(series))
    elif options.csv:
        print(tables.csv_lines([tables.SERIES_HEADINGS, *tables.series_rows(series)]), end="")
    else:
        print(tables.series_table(series) + tables.standing_text(series), end="")


# Moving


def _export(store: Store, _options: argparse.Namespace, _: OpenStore) -> None:
    sys.stdout.writelines(transfer.written(*store.contents()))


def _import(store: Store, options: argparse.Namespace, open_store: OpenStore) -> None:
    totals = store.totals()
    if not options.add and (totals.files or totals.statuses):
        raise CounterError(
            "counts: this store has counts already; --add adds to them, reset forgets them"
        )
    source = options.source
    if source.startswith(_STORES) or "://" in source:
        other = open_store(source, False)
        try:
            _add(store, *other.contents())
        finally:
            other.close()
    elif source == "-":
        _add_document(store, sys.stdin.buffer)
    else:
        with open(source, "rb") as file:
            _add_document(store, file)


def _add_document(store: Store, file: IO[bytes]) -> None:
    _add(store, *transfer.read(file, int(time()) // SECONDS_PER_DAY))


def _add(store: Store, site: SiteRecord, records: Iterator[tuple[str, FileRecord]]) -> None:
    files = accesses = 0

    def counted() -> Iterator[tuple[str, FileRecord]]:
        nonlocal files, accesses
        for path, record in records:
            files += 1
            accesses += record.total.accesses
            yield path, record

    store.add(counted(), site)
    print(f"{accesses} accesses to {files} files imported")


def _reset(store: Store, options: argparse.Namespace, _: OpenStore) -> None:
    if bool(options.path) == options.all:
        raise CounterError("counts: reset what? name paths, or give --all")
    for path in options.path:
        if store.file(path) is None:
            raise CounterError(f"counts: {path}: no such file was counted")
    store.reset(options.path or None)


# Output


def _print_json(document: object) -> None:
    print(json.dumps(document, indent=1))


def _print_json_rows(document: documents.Document, rows: Iterator[RankedFile]) -> None:
    """Print a ranking's document with all *rows*, without having them in memory together."""
    head = json.dumps({**document, "files": [], "next": ""}, indent=1)
    before, after = head.split('"files": []')
    print(before + '"files": [', end="")
    for place, row in enumerate(rows):
        print(",\n" if place else "\n", json.dumps(documents.ranked_document(row)), sep="", end="")
    print("\n ]" + after)


def _of_period(period: Period | None) -> str:
    return "" if period is None else f" in {period}"


# Options


def _period(text: str) -> Period | None:
    try:
        return Period.parse(text, int(time()) // SECONDS_PER_DAY)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _classes(text: str) -> frozenset[Class]:
    chosen = frozenset(class_ for class_ in CLASSES if class_ in text.split(","))
    if not chosen or not set(text.split(",")) <= set(CLASSES):
        raise argparse.ArgumentTypeError(f"{text!r} is not one or more of {','.join(CLASSES)}")
    return chosen


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= MOST_ROWS):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MOST_ROWS}")
    return int(text)


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="Read and move counts while servers go on counting.",
        epilog="Exit status: 0, 1 if the counts cannot be used, 2 for wrong usage.",
        allow_abbrev=False,
    )
    commands = _Commands(
        parser.add_subparsers(dest="command", required=True, metavar="COMMAND").add_parser
    )
    _add_reading(commands)
    _add_moving(commands)
    return parser


class _Commands:
    """Adds commands, each with what all of them have. *add_parser* is argparse's."""

    def __init__(self, add_parser: Callable[..., argparse.ArgumentParser]) -> None:
        self._add_parser = add_parser

    def add(
        self, name: str, run: object, description: str, *outputs: str
    ) -> argparse.ArgumentParser:
        """Add a command that may print *outputs* instead of a table."""
        added = self._add_parser(
            name, help=description, description=description, allow_abbrev=False
        )
        added.set_defaults(run=run)
        where = "lmdb:DIR, redis://HOST/DB, rediss://... or unix://PATH (default: $TALLY_COUNTS)"
        added.add_argument(
            "--counts", metavar="URL", default=os.environ.get("TALLY_COUNTS", ""), help=where
        )
        one_of = added.add_mutually_exclusive_group() if outputs else added
        for output in outputs:
            one_of.add_argument(
                f"--{output}", action="store_true", help=f"print {output.upper()}, not a table"
            )
        return added


def _add_reading(commands: _Commands) -> None:
    commands.add("totals", _totals, "the site: everything added up", "json")
    top = commands.add("top", _top, "list the most accessed files", "json", "csv")
    _list_options(top, is_top=True)
    show = commands.add("show", _show, "list every file by its path", "json", "csv")
    _list_options(show, is_top=False)
    curve = commands.add("series", _series, "a curve of the site or of a file", "json", "csv")
    curve.add_argument(
        "path",
        nargs="?",
        metavar="PATH",
        help="of this file, as in /index.html (default: the site)",
    )
    curve.add_argument(
        "--unit", choices=UNITS, default="day", help="hours are kept of the site for 90 days"
    )
    _add_period(curve, "30d")


def _add_moving(commands: _Commands) -> None:
    commands.add(
        "export", _export, "write everything to standard output, one line of JSON for each file"
    )
    importing = commands.add("import", _import, "continue counts that were kept elsewhere")
    importing.add_argument(
        "source", metavar="FILE|-|URL", help="an exported document, or the store to copy from"
    )
    importing.add_argument(
        "--add", action="store_true", help="add to the counts that are there already"
    )
    reset = commands.add("reset", _reset, "forget files; their next access is number 1 again")
    reset.add_argument("path", nargs="*", metavar="PATH", help="as in /index.html")
    reset.add_argument("--all", action="store_true", help="forget everything")


def _list_options(parser: argparse.ArgumentParser, *, is_top: bool) -> None:
    _add_period(parser, "all")
    parser.add_argument("--class", dest="classes", type=_classes, metavar="CLASS,...",
                        help="files with accesses of these classes, ranked by them: "
                        f"{', '.join(CLASSES)}")  # fmt: skip
    parser.add_argument(
        "--match",
        default="",
        metavar="TEXT",
        help="paths with this in them, or a pattern as in *.iso",
    )
    if not is_top:
        parser.add_argument(
            "path",
            nargs="*",
            metavar="PATH",
            help="these files only; one that ends with / is the sum",
        )
        return
    parser.add_argument(
        "-n", "--number", type=_number, default=10, help="how many files (default: 10)"
    )
    parser.add_argument(
        "--order", choices=ORDERS, default="accesses", help="what to rank by (default: accesses)"
    )
    parser.add_argument("--after", default="", metavar="PLACE", help="go on where a list ended")


def _add_period(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument("--period", type=_period, default=default, metavar="PERIOD",
                        help="UTC days: today, 7d, year, all, 2026-11-25 or 2026-11-01..2026-11-25 "
                             f"(default: {default})")  # fmt: skip
