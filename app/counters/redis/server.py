"""Asking a Redis: commands and scripts within a time limit, and what goes wrong with them.

Each question raises `RemoteAwayError` when there is no answer or a refusal, with a text that holds
no credentials.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import redis

from ... import after_fork
from ..contract import CounterError
from . import scripts
from .address import Address

#: An answer that takes longer is not waited for: the file goes out, and the access into the
#: journal.
ANSWER_SECONDS = 0.25
#: For delivering and moving; and for reading, which is nobody's request for a file.
PATIENT_SECONDS = 5.0
READ_SECONDS = 2.0
_CHUNK = 500
#: The part of a time limit in which replicas are to have what was done.
_WAITED = 0.8
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
    """The server will not serve us until somebody changes something.

    That may be the credentials, the database or the program.
    """


class Server:
    """Connections to the server at *address*, one kind for each time limit.

    Connects at the first use. *timeout* is that of requests for files. Safe from any thread.
    """

    def __init__(self, address: Address, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self.begin_in_child()
        after_fork.register(self)

    def begin_in_child(self) -> None:
        """Use connections of this process's own."""
        self.quick = self._address.client(self._timeout)
        self.reading = self._address.client(READ_SECONDS)
        self.patient = self._address.client(PATIENT_SECONDS)

    def close(self) -> None:
        for client in (self.quick, self.reading, self.patient):
            client.close()

    def run(
        self, client: "redis.Redis", script: scripts.Script, arguments: Sequence[str | bytes]
    ) -> Any:
        """Return the answer of *script*."""
        return self._run(arguments, script, lambda *command: self.ask(client, *command))

    def run_on_replicas(
        self, client: "redis.Redis", script: scripts.Script, arguments: Sequence[str | bytes]
    ) -> Any:
        """Return the answer of *script* once as many replicas have what it did as the address asks
        for.
        """
        wanted = self._address.wait_replicas
        if not wanted:
            return self.run(client, script, arguments)

        def ask_and_wait(*command: Any) -> Any:
            return self._asked(client, lambda: self._on_replicas(client, wanted, command))

        return self._run(arguments, script, ask_and_wait)

    def _on_replicas(self, client: "redis.Redis", wanted: int, command: tuple[Any, ...]) -> Any:
        seconds = self._timeout if client is self.quick else PATIENT_SECONDS
        pipe = client.pipeline(transaction=False)
        pipe.execute_command(*command)  # type: ignore[no-untyped-call]
        pipe.execute_command(  # type: ignore[no-untyped-call]
            "WAIT", wanted, int(1000 * _WAITED * seconds)
        )
        answer, reached = pipe.execute(raise_on_error=False)
        for each in (answer, reached):
            if isinstance(each, Exception):
                raise each
        if reached < wanted:
            raise redis.exceptions.ResponseError(
                f"{reached} of {wanted} replicas have it within the time limit"
            )
        return answer

    def _run(
        self, arguments: Sequence[str | bytes], script: scripts.Script, ask: Callable[..., Any]
    ) -> Any:
        keys = scripts.KEYS
        encoded = [
            argument.encode("utf-8", "surrogatepass") if isinstance(argument, str) else argument
            for argument in arguments
        ]
        try:
            return ask("EVALSHA", script.digest, len(keys), *keys, *encoded)
        except redis.exceptions.NoScriptError:
            return ask("EVAL", script.text, len(keys), *keys, *encoded)

    def scan(self, key: str) -> Iterator[list[tuple[bytes, bytes]]]:
        """Yield the fields and values of a hash in parts.

        In a hash that changes meanwhile, a field may come twice.
        """
        cursor = b"0"
        while True:
            cursor, flat = self.ask(self.reading, "HSCAN", key, cursor, "COUNT", _CHUNK)
            if isinstance(flat, dict):
                yield list(flat.items())
            else:
                yield list(zip(flat[::2], flat[1::2], strict=True))
            if int(cursor) == 0:
                return

    def scan_joined(self, key: str) -> Iterator[tuple[list[bytes], list[Any]]]:
        """Yield the paths and the values, read, of a hash in parts; see `scan.lua`.

        In a hash that changes meanwhile, a path may come twice.
        """
        cursor = "0"
        while True:
            following, paths, texts = self.run(
                self.reading, scripts.SCAN, [key, cursor, str(_CHUNK)]
            )
            yield paths.split(b"\n")[:-1], json.loads(texts)
            cursor = following.decode()
            if cursor == "0":
                return

    def read_blocks(self, asked: Sequence[str]) -> Iterator[tuple[int, bytes]]:
        """Yield the numbers and the month blocks that `read_blocks.lua` returns."""
        heads, joined = self.run(self.reading, scripts.READ_BLOCKS, asked)
        at = 0
        for number, length in json.loads(heads):
            yield number, joined[at : at + length]
            at += length

    def ask(self, client: "redis.Redis", *command: Any) -> Any:
        """Return the answer to one command."""
        return self._asked(client, lambda: client.execute_command(*command))  # type: ignore[no-untyped-call]

    def _asked(self, client: "redis.Redis", ask: Callable[[], Any]) -> Any:
        try:
            try:
                return ask()
            except redis.exceptions.ConnectionError as error:
                if isinstance(
                    error, (redis.exceptions.AuthenticationError, redis.exceptions.BusyLoadingError)
                ):
                    raise
                # A connection that idled through a restart of the server fails once. What is asked
                # may be asked twice.
                return ask()
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
        for secret in self._address.secrets:
            answer = answer.replace(secret, "***")
        return f"counts: {self._address.name}: {answer.rstrip('.')}"


def _answer(error: Exception) -> str:
    """Return the server's own words, of which redis-py takes the first, the kind of error, away."""
    text = " ".join(str(error).split()) or type(error).__name__
    kind = getattr(error, "status_code", None)
    return f"{kind} {text}" if kind and not text.startswith(str(kind)) else text
