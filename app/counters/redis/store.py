"""Counts of every host behind a load balancer, in Redis or Valkey: what is asked of the server, and
nothing else.

Who asks is `journaled.py`, which keeps what the server does not take. Each question raises
`RemoteAwayError` when there is no answer or a refusal, with a text that holds no credentials.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from secrets import token_hex
from time import monotonic
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry

from ... import after_fork
from ..contract import KINDS, SECONDS_PER_DAY, CounterError, Counts, FileRecord
from . import scripts

Entry = tuple[str, str, str, str]

#: An answer that takes longer is not waited for: the file goes out, and the access into the
#: journal.
ANSWER_SECONDS = 0.25
CONNECT_SECONDS = 1.0
PATIENT_SECONDS = 5.0
_CHUNK = 500
#: So many values are read at one moment; some milliseconds of the server's time.
_READ_AT_ONCE = 2000
#: No file is looked for on more days than a century's.
_MOST_DAYS = 36525
#: What a URL may say beside the place. Other options of redis-py would change what is asked, or how
#: long it may take.
_OPTIONS = frozenset(
    {
        "db",
        "username",
        "password",
        "client_name",
        "health_check_interval",
        "socket_keepalive",
        "protocol",
    }
)
#: With these words in its answer the server refuses until somebody changes something.
_REFUSALS = (
    "NOPERM",
    "NOAUTH",
    "WRONGPASS",
    "WRONGTYPE",
    "DB index",
    "invalid DB",
    "no permissions",
    "user executing",
)


class RemoteAwayError(CounterError):
    """The server did not answer, or refused, so what was asked may or may not have been done."""


class RemoteRefusedError(CounterError):
    """The server will not serve us until somebody changes something: credentials, the database, the
    program.
    """


class RedisStore:
    """The counts in the Redis that *url* names (redis-py's forms).

    Connects at the first use. Safe from any thread.
    """

    def __init__(self, url: str, *, timeout: float = ANSWER_SECONDS) -> None:
        options = _options(url)
        self._url = url
        #: An access is not held up for longer.
        self.timeout = timeout
        self._secrets = [
            str(options[name])
            for name in ("password", "username", "ssl_password")
            if options.get(name)
        ]
        place = (
            options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
        )
        #: Names the store without credentials.
        self.name = f"redis {place}/{options.get('db', 0)}"
        #: Names the store itself, under whatever name it is reached; "" until a check has passed.
        self.store_id = ""
        self.begin_in_child()
        after_fork.register(self)
        try:
            # not connected; redis-py looks at the options only here
            self._quick.connection_pool.make_connection()
        except (TypeError, ValueError, redis.exceptions.RedisError):
            raise _unknown_option() from None

    @property
    def identity(self) -> str:
        """The same text for the same store, fit for a file name."""
        return "redis-" + sha256(self.name.encode()).hexdigest()[:16]

    def begin_in_child(self) -> None:
        """Use connections of this process's own."""
        self._quick = self._client(self.timeout)
        self._patient = self._client(PATIENT_SECONDS)

    def _client(self, timeout: float) -> "redis.Redis":
        # No retry of its own: one that was cut off is repeated here, knowingly.
        return redis.Redis.from_url(
            self._url,
            socket_timeout=timeout,
            socket_connect_timeout=max(timeout, CONNECT_SECONDS),
            retry=Retry(NoBackoff(), 0),
        )

    # ------------------------------------------------------------------ counting

    def check(self, *, quick: bool = False) -> float:
        """Do what `apply` does, with nothing to count, to see that the server takes it.

        Return the seconds it took.

        Waits as long as `apply` does: patiently, unless *quick*. Raises RemoteAwayError or
        RemoteRefusedError.
        """
        client = self._quick if quick else self._patient
        if not self._ask(client, "SETNX", scripts.FORMAT_KEY, scripts.FORMAT):
            self._check_format(client)
        self._ask(client, "SETNX", scripts.ID_KEY, token_hex(16))
        self.store_id = bytes(self._ask(client, "GET", scripts.ID_KEY)).decode("ascii", "replace")
        begun = monotonic()
        self._run(client, scripts.APPLY, ["check", "1"])
        return monotonic() - begun

    def check_format(self) -> None:
        """See that what is kept can be read.

        Writes nothing. Raises RemoteAwayError or RemoteRefusedError.
        """
        self._check_format(self._patient)

    def _check_format(self, client: "redis.Redis") -> None:
        kept = self._ask(client, "GET", scripts.FORMAT_KEY)
        if kept is not None and kept != scripts.FORMAT.encode():
            shown = bytes(kept)[:20].decode("ascii", "replace")
            raise RemoteRefusedError(
                f"counts: {self.name}: kept in format {shown}, this program knows format"
                f" {scripts.FORMAT}"
            )

    def apply(
        self, writer: str, first: int, entries: Sequence[Entry], *, patient: bool = False
    ) -> list[int]:
        """Apply *entries*, numbered from *first*, unless they were before.

        Return each one's access number or 0.

        Waits for `ANSWER_SECONDS` or, when *patient*, for `PATIENT_SECONDS`.
        """
        arguments = [writer, str(first)]
        for entry in entries:
            arguments += entry
        client = self._patient if patient else self._quick
        return cast(list[int], self._run(client, scripts.APPLY, arguments))

    def finish(self, writers: Sequence[str]) -> None:
        """Tell that *writers* deliver nothing any more."""
        self._run(self._patient, scripts.FINISH, writers)

    # ------------------------------------------------------------------ reading and moving

    def accesses(self, paths: Sequence[str]) -> dict[str, int]:
        """Return the accesses of *paths*. Waits for `ANSWER_SECONDS`."""
        arguments = [text for path in paths for text in (path, "0")]
        answers = self._run(self._quick, scripts.READ, arguments) if paths else []
        return {
            path: FileRecord.of(map(int, text.split()), {}).accesses if text is not None else 0
            for path, (text, *_) in zip(paths, answers, strict=True)
        }

    def counts(self) -> Counts:
        counts = Counts()
        days: dict[str, set[int]] = {}
        for name, _ in self._scan(scripts.DAYS):
            day, _, path = name.partition(" ")
            days.setdefault(path, set()).add(int(day))
        to_read = {path: days.get(path, set()) for path, _ in self._scan(scripts.FILES)}
        while to_read:
            incomplete = {}
            for path, record in self._read(to_read):
                # A file that was counted on a new day since the days were looked through is read
                # once more.
                if missing := _missing_days(record) - to_read[path]:
                    incomplete[path] = to_read[path] | missing
                else:
                    counts.files[path] = record
            to_read = incomplete
        for status, answers in self._scan(scripts.STATUSES):
            counts.other_statuses[int(status)] = int(answers)
        return counts

    def _read(self, days: Mapping[str, set[int]]) -> Iterator[tuple[str, FileRecord]]:
        """Yield the record of each path as of one moment, with the accesses on its *days*."""
        asked: list[tuple[str, list[int]]] = []
        values = 0
        for number, (path, its_days) in enumerate(days.items(), 1):
            asked.append((path, sorted(its_days)))
            values += 1 + len(its_days)
            if values < _READ_AT_ONCE and number < len(days):
                continue
            arguments = [
                text for path, known in asked for text in (path, str(len(known)), *map(str, known))
            ]
            answers = self._run(self._patient, scripts.READ, arguments)
            for (path, known), (text, *accesses) in zip(asked, answers, strict=True):
                if text is not None:  # else it was reset in between
                    on_day = {
                        day: int(kept)
                        for day, kept in zip(known, accesses, strict=True)
                        if kept is not None
                    }
                    yield (
                        path,
                        FileRecord.of(map(int, text.split()), on_day),
                    )
            asked, values = [], 0

    def add(self, counts: Counts) -> None:
        """Add *counts*, in parts; when that breaks off, repeating it goes on where it stopped and
        doubles nothing.
        """
        self.check()
        batches = list(_batches(counts))
        writer = scripts.IMPORT + sha256(json.dumps(batches).encode()).hexdigest()[:32]
        total, arrived = sum(map(len, batches)), 0
        try:
            if not any(
                self._ask(self._patient, "HLEN", key) for key in (scripts.FILES, scripts.STATUSES)
            ):
                self._run(
                    self._patient, scripts.FORGET, [writer]
                )  # whatever arrived before was reset since
            for batch in batches:
                self.apply(writer, arrived + 1, batch, patient=True)
                arrived += len(batch)
            self._run(self._patient, scripts.FORGET, [writer])
        except RemoteAwayError as error:
            raise CounterError(
                f"{error}; {arrived} of {total} parts arrived; repeat it with --add to finish"
            ) from None

    def reset(self, paths: Iterable[str] | None = None) -> None:
        if paths is None:
            self._run(self._patient, scripts.RESET, [scripts.IMPORT])
        else:
            for path in paths:  # not in one call, which would hold up those who count
                self._run(self._patient, scripts.RESET, [scripts.IMPORT, path])

    def close(self) -> None:
        self._quick.close()
        self._patient.close()

    # ------------------------------------------------------------------ asking

    def _scan(self, key: str) -> Iterable[tuple[str, str]]:
        cursor = b"0"
        while True:
            cursor, flat = self._ask(self._patient, "HSCAN", key, cursor, "COUNT", _CHUNK)
            parts = (
                flat if isinstance(flat, list) else [part for pair in flat.items() for part in pair]
            )
            texts = [part.decode("utf-8", "surrogatepass") for part in parts]
            yield from zip(texts[::2], texts[1::2], strict=True)
            if int(cursor) == 0:
                return

    def _run(self, client: "redis.Redis", script: scripts.Script, arguments: Sequence[str]) -> Any:
        keys = scripts.KEYS
        encoded = [argument.encode("utf-8", "surrogatepass") for argument in arguments]
        try:
            return self._ask(client, "EVALSHA", script.digest, len(keys), *keys, *encoded)
        except redis.exceptions.NoScriptError:
            return self._ask(client, "EVAL", script.text, len(keys), *keys, *encoded)

    def _ask(self, client: "redis.Redis", *command: Any) -> Any:
        try:
            try:
                return client.execute_command(*command)  # type: ignore[no-untyped-call]
            except redis.exceptions.ConnectionError as error:
                if isinstance(
                    error, (redis.exceptions.AuthenticationError, redis.exceptions.BusyLoadingError)
                ):
                    raise
                # A connection that idled through a restart of the server fails once. What is asked
                # may be asked twice.
                return client.execute_command(*command)  # type: ignore[no-untyped-call]
        except redis.exceptions.NoScriptError:
            raise
        except (redis.exceptions.RedisError, OSError) as error:
            # Another server may have the name by now, and this one no right to count (a failover, a
            # cluster's move).
            client.connection_pool.disconnect(inuse_connections=False)
            answer = _answer(error)
            refused = isinstance(error, redis.exceptions.AuthorizationError) or any(
                word in answer for word in _REFUSALS
            )
            raise (RemoteRefusedError if refused else RemoteAwayError)(self._text(answer)) from None

    def _text(self, answer: str) -> str:
        for secret in self._secrets:
            answer = answer.replace(secret, "***")
        return f"counts: {self.name}: {answer.rstrip('.')}"


def _answer(error: Exception) -> str:
    """Return the server's own words, of which redis-py takes the first, the kind of error, away."""
    text = " ".join(str(error).split()) or type(error).__name__
    kind = getattr(error, "status_code", None)
    return f"{kind} {text}" if kind and not text.startswith(str(kind)) else text


def _options(url: str) -> dict[str, Any]:
    """Return what *url* says, as redis-py reads it.

    Raises CounterError, with nothing of the URL in it.
    """
    try:
        options = cast(dict[str, Any], parse_url(url))  # type: ignore[no-untyped-call]
        parts = urlsplit(url)
        if parts.scheme != "unix" and not (parts.path.strip("/") or "0").isdigit():
            raise ValueError  # redis-py would take database 0
        given = parse_qs(parts.query)
    except (ValueError, TypeError):
        raise CounterError(
            "counts: not a Redis URL; try redis://HOST:6379/0 or unix:///PATH?db=0"
        ) from None
    if any(name not in _OPTIONS and not name.startswith("ssl_") for name in given):
        raise _unknown_option()
    return options


def _unknown_option() -> CounterError:
    names = ", ".join(sorted(_OPTIONS))
    return CounterError(
        f"counts: the Redis URL has an option that is none of {names} and, with rediss://, ssl_..."
    )


def _missing_days(record: FileRecord) -> set[int]:
    """Return the days on which *record* may have accesses that its days do not have; none when they
    are complete.
    """
    if sum(record.days.values()) == record.accesses:
        return set()
    span = range(record.first // SECONDS_PER_DAY, record.last // SECONDS_PER_DAY + 1)
    return set(span) if len(span) <= _MOST_DAYS else set()


def _batches(counts: Counts) -> Iterator[list[Entry]]:
    """Yield what adds *counts*, in the same order each time; no file is divided, so that none is
    seen half added.
    """
    batch: list[Entry] = []
    for path, record in sorted(counts.files.items()):
        batch += _entries(path, record)
        if len(batch) >= _CHUNK:
            yield batch
            batch = []
    batch += [
        ("status", str(status), str(answers), "0")
        for status, answers in sorted(counts.other_statuses.items())
    ]
    if batch:
        yield batch


def _entries(path: str, record: FileRecord) -> Iterator[Entry]:
    first, last = record.first, record.last
    if record.days:
        # A clock that was set back can have left a day outside these times; a reset looks for days
        # between them alone.
        earliest, latest = min(record.days), max(record.days)
        if not first or earliest < first // SECONDS_PER_DAY:
            first = earliest * SECONDS_PER_DAY
        if latest > last // SECONDS_PER_DAY:
            last = latest * SECONDS_PER_DAY
    kinds = " ".join(str(getattr(record, kind)) for kind in KINDS)
    yield "record", path, f"{kinds} {first} {last}", "0"
    for day, accesses in sorted(record.days.items()):
        yield "day", f"{day} {path}", str(accesses), "0"
