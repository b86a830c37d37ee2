"""Who may see what: tokens, the cookie that stands for one, and the slow-down of guesses.

A token comes as `Authorization: Bearer`, or once in the link `enter?token=...`, which sets a
cookie. The cookie's value is a hash whose key is the token: it does not give the token away, and a
new token ends all sessions.

The right token is never slowed down; otherwise anybody behind the same proxy could lock the owner
out with wrong ones. Tokens of 128 bits cannot be guessed at any speed. The slow-down keeps guesses
from filling the log.
"""

import hmac
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from hashlib import sha256
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Literal, TypeAlias
from urllib.parse import quote

from ..client_address import client_address
from ..stats_tokens import Tokens
from .answers import RefusedError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_log = logging.getLogger("tally.stats")

#: What a route asks for: nothing, the metrics' token or the general one, the general one.
Scope: TypeAlias = Literal["everybody", "metrics", "read"]

COOKIE_SECONDS = 30 * 24 * 3600
_CHALLENGE = ("WWW-Authenticate", 'Bearer realm="Tally"')
_MOST_GUESSES = 10
_GUESS_SECONDS = 60
_MOST_GUESSERS = 1024


class Guesses:
    """Counts wrong tokens by client, for a minute. Safe from any thread."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        #: From client to when its minute began, and the wrong tokens since.
        self._clients: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._logged = -float(_GUESS_SECONDS)

    def add(self, address: str) -> int:
        """Record a wrong token; return how many seconds its client has to wait, 0 for not yet."""
        client, now = client_address(address), self._clock()
        with self._lock:
            since, guesses = self._clients.pop(client, (now, 0))
            if now - since >= _GUESS_SECONDS:
                since, guesses = now, 0
            self._clients[client] = since, guesses + 1
            if len(self._clients) > _MOST_GUESSERS:
                self._clients.popitem(last=False)
            if guesses < _MOST_GUESSES:
                return 0
            is_news = now - self._logged >= _GUESS_SECONDS
            if is_news:
                self._logged = now
        if is_news:
            _log.warning("statistics: a client has tried more than %d wrong tokens", _MOST_GUESSES)
        return max(1, round(since + _GUESS_SECONDS - now))


class Access:
    """Lets requests through, or refuses them. Safe from any thread."""

    def __init__(
        self,
        tokens: Tokens,
        *,
        prefix: str,
        is_public: bool = False,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._prefix = prefix
        self._read = [_digest(token) for token in tokens.read]
        self._metrics = [_digest(token) for token in tokens.metrics]
        self._sessions = [_digest(session_of(token)) for token in tokens.read]
        self._is_public = is_public
        self._guesses = Guesses(clock)

    @property
    def has_tokens(self) -> bool:
        return bool(self._read)

    def check(self, environ: "WSGIEnvironment", scope: Scope) -> None:
        """Return when the request may see what *scope* guards. Raises RefusedError."""
        if scope == "everybody" or self._is_public:
            return
        known = self._read if scope == "read" else [*self._read, *self._metrics]
        if not known:
            raise RefusedError(404, "There is nothing here.")
        token = _bearer(environ)
        if token is not None:
            if not _is_among(token, known):
                raise self._wrong(environ)
            return
        if not _is_among(_cookie(environ), self._sessions):
            raise RefusedError(401, "A token is needed.", _CHALLENGE)

    def enter(self, environ: "WSGIEnvironment", token: str) -> tuple[str, str]:
        """Return the field that sets the cookie for *token*. Raises RefusedError."""
        if not self._read:
            raise RefusedError(404, "There is nothing here.")
        if not _is_among(token, self._read):
            raise self._wrong(environ)
        return self._set_cookie(environ, session_of(token), COOKIE_SECONDS)

    def leave(self, environ: "WSGIEnvironment") -> tuple[str, str]:
        """Return the field that removes the cookie."""
        return self._set_cookie(environ, "", 0)

    def _set_cookie(self, environ: "WSGIEnvironment", value: str, seconds: int) -> tuple[str, str]:
        # `__Host-` would want Path=/, and the cookie would go with every file.
        path = quote(environ.get("SCRIPT_NAME", ""), encoding="latin-1") + self._prefix
        secure = "; Secure" if _is_https(environ) else ""
        return (
            "Set-Cookie",
            f"{_cookie_name(environ)}={value}; Path={path}; Max-Age={seconds}; HttpOnly;"
            f" SameSite=Strict{secure}",
        )

    def _wrong(self, environ: "WSGIEnvironment") -> RefusedError:
        if seconds := self._guesses.add(environ.get("REMOTE_ADDR", "")):
            return RefusedError(429, "Too many wrong tokens.", ("Retry-After", str(seconds)))
        return RefusedError(401, "A token is needed.", _CHALLENGE)


def session_of(token: str) -> str:
    """Return the cookie's value for *token*."""
    return hmac.new(token.encode(), b"tally session", sha256).hexdigest()


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogateescape")).digest()


def _is_among(given: str, known: Iterable[bytes]) -> bool:
    """Compare in a time that says neither how much was right nor with which one."""
    digest = _digest(given)
    return sum(hmac.compare_digest(digest, one) for one in known) > 0


def _bearer(environ: "WSGIEnvironment") -> str | None:
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _cookie_name(environ: "WSGIEnvironment") -> str:
    # A cookie is for all ports of a host: with the port in its name, two servers of one host have
    # two.
    port = "".join(filter(str.isdigit, environ.get("SERVER_PORT", "")))
    return f"{'__Secure-' if _is_https(environ) else ''}tally-{port}"


def _is_https(environ: "WSGIEnvironment") -> bool:
    return environ.get("wsgi.url_scheme") == "https"


def _cookie(environ: "WSGIEnvironment") -> str:
    # Not by the library's parser: it gives up at the first odd cookie of any other application.
    wanted = _cookie_name(environ)
    for pair in environ.get("HTTP_COOKIE", "").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == wanted:
            return str(value)
    return ""
