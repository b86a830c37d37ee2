"""Writes stores of format 2 with the script that their programs have, `format_2_apply.lua`."""

from hashlib import sha1
from pathlib import Path

import redis

from app.counters.redis import scripts as script
from app.counters.redis.entries import Entry
from tests.counters.redis_server import RedisServer

APPLY = (Path(__file__).parent / "format_2_apply.lua").read_bytes()
#: As its programs name them, in their order.
KEYS = (
    script.FORMER_RECORDS,
    script.TOP,
    script.MONTHS,
    script.SITE,
    script.HOURS,
    script.SITE_DAYS,
    script.STATUSES,
    script.WRITERS,
    script.SEEN,
    script.REPLIES,
    script.FILES,
    script.DAYS,
    script.OLD_FILES,
    script.OLD_DAYS,
    script.FORMAT_KEY,
)
MARK = "moved: kept in a newer format"


class Format2Program:
    """A program that knows only format 2, and has looked at the format when it started."""

    def __init__(self, server: RedisServer) -> None:
        self._client = redis.Redis(unix_socket_path=server.path)
        if self._client.setnx(script.FORMAT_KEY, "2"):
            for key in (script.FILES, script.DAYS):
                self._client.set(key, MARK)

    def apply(self, writer: str, first: int, entries: list[Entry]) -> list[int]:
        digest = sha1(APPLY).hexdigest()
        words = [word for entry in entries for word in entry]
        arguments = [*KEYS, writer, str(first), *words]
        try:
            return list(self._client.evalsha(digest, len(KEYS), *arguments))
        except redis.exceptions.NoScriptError:
            return list(self._client.eval(APPLY.decode(), len(KEYS), *arguments))

    def close(self) -> None:
        self._client.close()
