"""`python -m app.counters`: read and move counts while servers go on counting.

show     every file                      export   everything, as a document that import reads
top      the most accessed files         import   such a document, or another store, into this one
reset    forget files, or everything
"""

import argparse
import os
import sys
from collections.abc import Sequence

from .contract import CounterError, Counts, Store, day_number, day_text
from .open_counter import open_store
from .report import as_csv, as_day_json, as_json, as_table, from_json

_STORES = ("lmdb:", "redis:", "rediss:", "unix:")


def main(arguments: Sequence[str] | None = None, *, program: str = "python -m app.counters") -> int:
    """Return the exit status: 0, or 1 when the store or a file cannot be used.

    Wrong usage exits with 2.
    """
    options = _parser(program).parse_args(arguments)
    try:
        if not options.counts:
            raise CounterError("counts: which ones? give --counts URL, or set TALLY_COUNTS")
        store = open_store(options.counts, create=options.command == "import")
        try:
            status: int = options.run(store, options)
        finally:
            store.close()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough (`top | head`). What is still buffered must not fail again at
        # the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (CounterError, OSError) as error:
        text = (
            str(error)
            if isinstance(error, CounterError)
            else f"{error.filename or 'output'}: {error.strerror}"
        )
        print(
            f"{program.removeprefix('python -m ')}: {text.removeprefix('counts: ')}",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _show(store: Store, options: argparse.Namespace) -> int:
    counts = _chosen(store.counts(), options)
    _write(counts, sorted(counts.files), options)
    return 0


def _top(store: Store, options: argparse.Namespace) -> int:
    counts = _chosen(store.counts(), options)
    ranked = sorted(counts.files, key=lambda path: (-_weight(counts, path, options), path))
    _write(counts, ranked[: options.number], options)
    return 0


def _export(store: Store, options: argparse.Namespace) -> int:
    counts = store.counts()
    if options.format == "csv":
        sys.stdout.write(as_csv(counts, sorted(counts.files), by_day=options.by_day))
    else:
        sys.stdout.write(as_json(counts, sorted(counts.files)))
    return 0


def _import(store: Store, options: argparse.Namespace) -> int:
    added = _read_source(options.source)
    if not options.add and store.counts() != Counts():
        raise CounterError(
            "counts: this store has counts already; --add adds to them, reset forgets them"
        )
    store.add(added)
    accesses = sum(record.accesses for record in added.files.values())
    print(f"{accesses} accesses to {len(added.files)} files imported")
    return 0


def _reset(store: Store, options: argparse.Namespace) -> int:
    if bool(options.path) == options.all:
        raise CounterError("counts: reset what? name paths, or give --all")
    if options.path and (
        unknown := [path for path in options.path if path not in store.counts().files]
    ):
        raise CounterError(f"counts: {unknown[0]}: no counts of such a file")
    store.reset(options.path or None)
    return 0


def _read_source(source: str) -> Counts:
    if source.startswith(_STORES) or "://" in source:
        other = open_store(source, create=False)
        try:
            return other.counts()
        finally:
            other.close()
    if source == "-":
        return from_json(sys.stdin.buffer.read())
    with open(source, "rb") as file:
        return from_json(file.read())


def _chosen(counts: Counts, options: argparse.Namespace) -> Counts:
    """Return the part of *counts* that the paths and the day given leave."""
    chosen = counts.only(options.path) if options.path else counts
    if missing := [path for path in options.path if path not in counts.files]:
        raise CounterError(f"counts: {missing[0]}: no counts of such a file")
    if options.day is None:
        return chosen
    on_day = Counts(
        {path: record for path, record in chosen.files.items() if record.days.get(options.day)}
    )
    for record in on_day.files.values():
        record.days = {options.day: record.days[options.day]}
    return on_day


def _weight(counts: Counts, path: str, options: argparse.Namespace) -> int:
    record = counts.files[path]
    return record.accesses if options.day is None else record.days[options.day]


def _write(counts: Counts, paths: list[str], options: argparse.Namespace) -> None:
    by_day = options.by_day or options.day is not None
    if options.format == "csv":
        sys.stdout.write(as_csv(counts, paths, by_day=by_day))
    elif options.format == "table":
        # Statuses are not kept by day, nor by file.
        statuses = options.run is _show and not options.path and options.day is None
        sys.stdout.write(as_table(counts, paths, by_day=by_day, statuses=statuses))
    elif options.day is not None:
        sys.stdout.write(as_day_json(counts, paths, options.day))
    else:
        sys.stdout.write(as_json(counts, paths))


def _day(text: str) -> int:
    try:
        number = day_number(text)
    except ValueError:
        number = -1
    if number < 0 or day_text(number) != text:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day such as 2026-11-22")
    return number


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program, description="Read and move counts while servers go on counting.",
        epilog="Exit status: 0, 1 if the counts cannot be used, 2 for wrong"
               " usage.", allow_abbrev=False,
    )  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: object, description: str) -> argparse.ArgumentParser:
        added = commands.add_parser(
            name, help=description, description=description, allow_abbrev=False
        )
        added.set_defaults(run=run)
        where = "lmdb:DIR, redis://HOST/DB, rediss://... or unix://PATH (default: $TALLY_COUNTS)"
        added.add_argument(
            "--counts", metavar="URL", default=os.environ.get("TALLY_COUNTS", ""), help=where
        )
        return added

    for name, run, description in (
        ("show", _show, "list every file"),
        ("top", _top, "list the most accessed files"),
    ):
        listing = command(name, run, description)
        listing.add_argument(
            "path", nargs="*", metavar="PATH", help="these files only, as in /index.html"
        )
        listing.add_argument("--format", choices=("table", "csv", "json"), default="table")
        listing.add_argument(
            "--by-day", action="store_true", help="accesses of each day (UTC) rather than in all"
        )
        listing.add_argument(
            "--day", type=_day, metavar="YYYY-MM-DD", help="accesses of this day (UTC) only"
        )
    listing.add_argument(
        "-n", "--number", type=_number, default=10, help="how many files (default: 10)"
    )

    export = command("export", _export, "write everything to standard output")
    export.add_argument(
        "--format", choices=("json", "csv"), default="json", help="json is what import reads"
    )
    export.add_argument("--by-day", action="store_true", help="in CSV: accesses of each day (UTC)")

    importing = command("import", _import, "continue counts that were kept elsewhere")
    importing.add_argument(
        "source", metavar="FILE|-|URL", help="an exported document, or the store to copy from"
    )
    importing.add_argument(
        "--add", action="store_true", help="add to the counts that are there already"
    )

    reset = command("reset", _reset, "forget files; their next access is number 1 again")
    reset.add_argument("path", nargs="*", metavar="PATH", help="as in /index.html")
    reset.add_argument("--all", action="store_true", help="forget everything")
    return parser


if __name__ == "__main__":
    sys.exit(main())
