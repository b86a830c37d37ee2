"""Where a Redis is: its URL, and how to connect to it within a time limit."""

import re
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry

from ..contract import CounterError
from .cluster import LOOK_UP_SECONDS, SlotConnection
from .sentinels import MostSentinels

CONNECT_SECONDS = 1.0
SENTINEL_SCHEME, CLUSTER_SCHEME = "redis+sentinel", "redis+cluster"
_SENTINEL_PORT, _CLUSTER_PORT = 26379, 6379
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
#: So many replicas are to have an access before it is answered: our own, where another server may
#: become the master.
_WAIT = "wait_replicas"
_CLUSTER_OPTIONS = (_OPTIONS | {_WAIT}) - {"db"}
_SENTINEL_OPTIONS = _CLUSTER_OPTIONS | {"sentinel_username", "sentinel_password"}
_SECRET = ("password", "username", "ssl_password", "sentinel_username", "sentinel_password")


@dataclass(frozen=True)
class Address:
    """A server's place and the options of its connections."""

    url: str
    #: Names the store without credentials.
    name: str
    options: dict[str, Any]
    #: With sentinels: where they are, and what the master is called.
    sentinels: tuple[tuple[str, int], ...] = ()
    service: str = ""
    #: Of a cluster, some of its nodes.
    nodes: tuple[tuple[str, int], ...] = ()
    #: What is counted is to be on so many replicas.
    wait_replicas: int = 0

    @property
    def secrets(self) -> list[str]:
        """What must not be shown."""
        return [str(self.options[name]) for name in _SECRET if self.options.get(name)]

    def client(self, timeout: float) -> "redis.Redis":
        """Return a client that is not connected yet. Raises CounterError for an unknown option."""
        # No retry of its own: one that was cut off is repeated by us, knowingly.
        limits: dict[str, Any] = {
            "socket_timeout": timeout,
            "socket_connect_timeout": max(timeout, CONNECT_SECONDS),
            "retry": Retry(NoBackoff(), 0),
        }
        try:
            if self.sentinels:
                return self._master(limits)
            if self.nodes:
                return self._in_cluster(limits)
            client = redis.Redis.from_url(self.url, **limits)
            # redis-py looks at the options only here
            client.connection_pool.make_connection()
            return client
        except (TypeError, ValueError, redis.exceptions.RedisError):
            raise _unknown_option(_SENTINEL_OPTIONS if self.sentinels else _OPTIONS) from None

    def _in_cluster(self, limits: dict[str, Any]) -> "redis.Redis":
        pool = redis.ConnectionPool(
            connection_class=SlotConnection, nodes=self.nodes, **self.options, **limits
        )
        return redis.Redis(connection_pool=pool)

    def _master(self, limits: dict[str, Any]) -> "redis.Redis":
        """Each new connection asks the sentinels who is master."""
        of_sentinels = {
            name.removeprefix("sentinel_"): value
            for name, value in self.options.items()
            if name.startswith("sentinel_")
        }
        own = {
            name: value for name, value in self.options.items() if not name.startswith("sentinel_")
        }
        seconds = min(float(limits["socket_timeout"]), LOOK_UP_SECONDS)
        of_sentinels.update(
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            retry=Retry(NoBackoff(), 0),
        )
        places = list(self.sentinels)
        sentinel = MostSentinels(places, sentinel_kwargs=of_sentinels)  # type: ignore[no-untyped-call]
        master = sentinel.master_for(self.service, **own, **limits)  # type: ignore[no-untyped-call]
        return cast("redis.Redis", master)


def parse(url: str) -> Address:
    """Return what *url* says. Raises CounterError, with nothing of the URL in it."""
    if url.startswith(f"{SENTINEL_SCHEME}:"):
        return _with_sentinels(url)
    if url.startswith(f"{CLUSTER_SCHEME}:"):
        return _of_cluster(url)
    try:
        options = cast(dict[str, Any], parse_url(url))  # type: ignore[no-untyped-call]
        parts = urlsplit(url)
        if parts.scheme != "unix" and not (parts.path.strip("/") or "0").isdigit():
            raise ValueError  # redis-py would take database 0
        given = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    except (ValueError, TypeError):
        raise CounterError(
            "counts: not a Redis URL; try redis://HOST:6379/0 or unix:///PATH?db=0"
        ) from None
    if any(name not in _OPTIONS and not name.startswith("ssl_") for name in given):
        raise _unknown_option(_OPTIONS)
    place = options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
    return Address(url, f"redis {place}/{options.get('db', 0)}", options)


def _with_sentinels(url: str) -> Address:
    try:
        sentinels, path, options = _places(url, _SENTINEL_PORT, _SENTINEL_OPTIONS)
        service, _, database = path.partition("/")
        if not service or not (database or "0").isdecimal():
            raise ValueError
    except ValueError:
        raise CounterError(
            f"counts: not a Redis URL; try {SENTINEL_SCHEME}://HOST:26379,HOST:26379/SERVICE/0"
        ) from None
    service, options["db"] = unquote(service), int(database or "0")
    name = f"redis {service}/{options['db']} of {_text(sentinels)}"
    wait = options.pop(_WAIT, 0)
    return Address(url, name, options, sentinels, service, wait_replicas=wait)


def _of_cluster(url: str) -> Address:
    try:
        nodes, path, options = _places(url, _CLUSTER_PORT, _CLUSTER_OPTIONS)
        if path not in ("", "0"):
            raise ValueError  # a cluster has one database
    except ValueError:
        raise CounterError(
            f"counts: not a Redis URL; try {CLUSTER_SCHEME}://HOST:6379,HOST:6379"
        ) from None
    name, wait = f"redis cluster of {_text(nodes)}", options.pop(_WAIT, 0)
    return Address(url, name, options, nodes=nodes, wait_replicas=wait)


def _places(
    url: str, port: int, known: frozenset[str]
) -> tuple[tuple[tuple[str, int], ...], str, dict[str, Any]]:
    """Return the places that *url* lists, its path, and its options as redis-py wants them.

    Raises ValueError, and CounterError for options that are not *known*.
    """
    rest = url.partition("://")[2]
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    # A list with an IPv6 address in it is no authority to some versions of urlsplit.
    parts = urlsplit("redis://a" + rest.removeprefix(authority))
    credentials, _, hosts = authority.rpartition("@")
    places = tuple(_host_and_port(text, port) for text in hosts.split(","))
    given = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    if not set(given) <= known:
        raise _unknown_option(known)
    options = _typed(given, known)
    username, colon, password = credentials.partition(":")
    if username:
        options["username"] = unquote(username)
    if colon:
        options["password"] = unquote(password)
    return places, parts.path.removeprefix("/"), options


def _text(places: tuple[tuple[str, int], ...]) -> str:
    return ",".join(f"{host}:{port}" for host, port in places)


def _typed(given: dict[str, str], known: frozenset[str]) -> dict[str, Any]:
    options: dict[str, Any] = dict(given)
    if (
        not given.get("health_check_interval", "0").isdecimal()
        or not given.get(_WAIT, "0").isdecimal()
        or given.get("protocol", "2") not in ("2", "3")
    ):
        raise _unknown_option(known)
    for name in ("health_check_interval", "protocol", _WAIT):
        if name in given:
            options[name] = int(given[name])
    if "socket_keepalive" in given:
        options["socket_keepalive"] = given["socket_keepalive"].lower() in ("1", "true", "yes")
    return options


def _host_and_port(text: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.username is not None:
        raise ValueError
    return parts.hostname, parts.port or port


def _unknown_option(known: frozenset[str]) -> CounterError:
    names = ", ".join(sorted(known))
    beside = " and, with rediss://, ssl_..." if known is _OPTIONS else ""
    return CounterError(
        f"counts: the Redis URL has an option that is none of {names}{beside}, or a value that"
        " cannot be"
    )
