"""Counts of every host behind a load balancer, in Redis or Valkey: what is asked of the server, and nothing else.

Who asks is `journaled.py`, which keeps what the server does not take. Each question raises `RemoteAwayError` when there
is no answer or a refusal, with a text that holds no credentials.
"""

import json
from collections.abc import Iterable, Sequence
from hashlib import sha1, sha256
from typing import Any, cast
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry

from app.counters import redis_script
from app.counters.record import CounterError, Counts, FileRecord

Entry = tuple[str, str, str, str]

#: An answer that takes longer is not waited for: the file goes out, and the access into the journal.
ANSWER_SECONDS = 0.25
CONNECT_SECONDS = 1.0
PATIENT_SECONDS = 5.0
_CHUNK = 500
_KINDS = ("full", "partial", "not_modified", "resumed", "head")


class RemoteAwayError(CounterError):
    """The server did not answer, or refused, so what was asked may or may not have been done."""


class RemoteRefusedError(CounterError):
    """The server will not serve us until somebody changes something: credentials, the database, the program."""


class RedisStore:
    """The counts in the Redis that *url* names (redis-py's forms). Connects at the first use. Safe from any thread."""

    def __init__(self, url: str, *, timeout: float = ANSWER_SECONDS) -> None:
        try:
            options = cast(dict[str, Any], parse_url(url))  # type: ignore[no-untyped-call]
            parts = urlsplit(url)
            if parts.scheme != "unix" and not (parts.path.strip("/") or "0").isdigit():
                raise ValueError  # redis-py would take database 0
        except (ValueError, TypeError):
            raise CounterError("counts: not a Redis URL; try redis://HOST:6379/0 or unix:///PATH?db=0") from None
        self._url = url
        self._timeout = timeout
        self._secrets = [str(options[name]) for name in ("password", "username") if options.get(name)]
        place = options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
        #: Names the store without credentials.
        self.name = f"redis {place}/{options.get('db', 0)}"
        self.begin_in_child()

    @property
    def identity(self) -> str:
        """The same text for the same store, fit for a file name."""
        return "redis-" + sha256(self.name.encode()).hexdigest()[:16]

    def begin_in_child(self) -> None:
        """Use connections of this process's own."""
        self._quick = self._client(self._timeout)
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

    def check(self, *, quick: bool = False) -> None:
        """See that the server takes writes of ours, soon if *quick*. Raises RemoteAwayError or RemoteRefusedError."""
        client = self._quick if quick else self._patient
        if self._ask(client, "SETNX", redis_script.FORMAT_KEY, redis_script.FORMAT):
            return
        kept = self._ask(client, "GET", redis_script.FORMAT_KEY)
        if kept is not None and kept != redis_script.FORMAT.encode():
            shown = bytes(kept)[:20].decode("ascii", "replace")
            raise RemoteRefusedError(
                f"counts: {self.name}: kept in format {shown}, this program knows format {redis_script.FORMAT}"
            )

    def apply(self, writer: str, first: int, entries: Sequence[Entry], *, patient: bool = False) -> list[int]:
        """Apply *entries*, numbered from *first*, unless they were before. Return each one's access number or 0.

        Waits for `ANSWER_SECONDS` or, when *patient*, for `PATIENT_SECONDS`.
        """
        arguments = [writer, str(first)]
        for entry in entries:
            arguments += entry
        client = self._patient if patient else self._quick
        return cast(list[int], self._run(client, redis_script.APPLY, arguments))

    def finish(self, writers: Sequence[str]) -> None:
        """Tell that *writers* deliver nothing any more."""
        self._run(self._patient, redis_script.FINISH, writers)

    # ------------------------------------------------------------------ reading and moving

    def counts(self) -> Counts:
        counts = Counts()
        for path, text in self._scan(redis_script.FILES):
            full, partial, not_modified, resumed, head, first, last = map(int, text.split())
            counts.files[path] = FileRecord(full, partial, not_modified, resumed, head, first, last)
        for name, accesses in self._scan(redis_script.DAYS):
            day, _, path = name.partition(" ")
            # A file that was counted for the first time since its record was read is left for the next reading.
            if path in counts.files:
                counts.files[path].days[int(day)] = int(accesses)
        for status, answers in self._scan(redis_script.STATUSES):
            counts.other_statuses[int(status)] = int(answers)
        return counts

    def add(self, counts: Counts) -> None:
        """Add *counts*, in parts; when that breaks off, repeating it goes on where it stopped and doubles nothing."""
        entries = sorted(_entries(counts))
        writer = "import-" + sha256(json.dumps(entries).encode()).hexdigest()[:32]
        for start in range(0, len(entries), _CHUNK):
            try:
                self.apply(writer, start + 1, entries[start : start + _CHUNK], patient=True)
            except RemoteAwayError as error:
                raise CounterError(f"{error}; {start} of {len(entries)} parts arrived; repeat it to continue") from None
        self._ask(self._patient, "HDEL", redis_script.WRITERS, writer)

    def reset(self, paths: Iterable[str] | None = None) -> None:
        if paths is None:
            self._run(self._patient, redis_script.RESET, [])
        elif chosen := list(paths):
            self._run(self._patient, redis_script.RESET, chosen)

    def close(self) -> None:
        self._quick.close()
        self._patient.close()

    # ------------------------------------------------------------------ asking

    def _scan(self, key: str) -> Iterable[tuple[str, str]]:
        cursor = b"0"
        while True:
            cursor, flat = self._ask(self._patient, "HSCAN", key, cursor, "COUNT", _CHUNK)
            texts = [item.decode("utf-8", "surrogatepass") for item in flat] if isinstance(flat, list) else [
                part.decode("utf-8", "surrogatepass") for pair in flat.items() for part in pair
            ]  # fmt: skip
            yield from zip(texts[::2], texts[1::2], strict=True)
            if int(cursor) == 0:
                return

    def _run(self, client: "redis.Redis", script: str, arguments: Sequence[str]) -> Any:
        digest = sha1(script.encode(), usedforsecurity=False).hexdigest()
        keys = redis_script.KEYS
        encoded = [argument.encode("utf-8", "surrogatepass") for argument in arguments]
        try:
            return self._ask(client, "EVALSHA", digest, len(keys), *keys, *encoded)
        except redis.exceptions.NoScriptError:
            return self._ask(client, "EVAL", script, len(keys), *keys, *encoded)

    def _ask(self, client: "redis.Redis", *command: Any) -> Any:
        try:
            try:
                return client.execute_command(*command)  # type: ignore[no-untyped-call]
            except redis.exceptions.ConnectionError as error:
                if isinstance(error, (redis.exceptions.AuthenticationError, redis.exceptions.BusyLoadingError)):
                    raise
                # A connection that idled through a restart of the server fails once. What is asked may be asked twice.
                return client.execute_command(*command)  # type: ignore[no-untyped-call]
        except redis.exceptions.NoScriptError:
            raise
        except (redis.exceptions.AuthenticationError, redis.exceptions.AuthorizationError) as error:
            raise RemoteRefusedError(self._text(error)) from None
        except (redis.exceptions.RedisError, OSError) as error:
            text = str(error)
            if text.startswith(("NOPERM", "NOAUTH", "WRONGPASS", "WRONGTYPE", "DB index", "invalid DB")):
                raise RemoteRefusedError(self._text(error)) from None
            raise RemoteAwayError(self._text(error)) from None

    def _text(self, error: Exception) -> str:
        text = " ".join(str(error).split())[:200] or type(error).__name__
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return f"counts: {self.name}: {text.rstrip('.')}"


def _entries(counts: Counts) -> Iterable[Entry]:
    for path, record in counts.files.items():
        kinds = " ".join(str(getattr(record, kind)) for kind in _KINDS)
        yield "record", path, f"{kinds} {record.first} {record.last}", "0"
        for day, accesses in record.days.items():
            yield "day", f"{day} {path}", str(accesses), "0"
    for status, answers in counts.other_statuses.items():
        yield "status", str(status), str(answers), "0"
