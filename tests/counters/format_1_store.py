"""Writes stores of format 1 with the script that their programs have, `format_1_apply.lua`."""

from hashlib import sha1
from pathlib import Path

import redis

from app.counters.redis import scripts as script
from app.counters.redis.entries import Entry
from tests.counters.redis_server import RedisServer

APPLY = (Path(__file__).parent / "format_1_apply.lua").read_bytes()
#: As its programs name them, in their order.
KEYS = (script.FILES, script.DAYS, script.STATUSES, script.WRITERS, script.SEEN, script.REPLIES)


class Format1Program:
    """A program that knows only format 1, and has looked at the format when it started."""

    def __init__(self, server: RedisServer) -> None:
        self._client = redis.Redis(unix_socket_path=server.path)
        self._client.setnx(script.FORMAT_KEY, "1")

    def apply(self, writer: str, first: int, entries: list[Entry]) -> list[int]:
        digest = sha1(APPLY).hexdigest()
        words = [word for entry in entries for word in entry]
        try:
            return list(self._client.evalsha(digest, 6, *KEYS, writer, str(first), *words))
        except redis.exceptions.NoScriptError:
            return list(self._client.eval(APPLY.decode(), 6, *KEYS, writer, str(first), *words))

    def close(self) -> None:
        self._client.close()
