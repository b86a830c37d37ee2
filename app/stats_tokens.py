"""The tokens that open the statistics: made at a start, or given by whoever runs the server.

It is apart from the room `stats`, which is loaded with the first request for it.
"""

import os
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import NamedTuple, Self

#: 16 bytes are 128 bits, which nobody guesses; in base64 they are 22 characters.
_BYTES = 16
#: A token fits into `Authorization: Bearer` (RFC 6750 section 2.1) and into a query as it is.
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{22,256}")
_VARIABLE = "TALLY_STATS_TOKEN"


class TokenError(ValueError):
    """A token that cannot be used. The text is one line, without the token."""


class Tokens(NamedTuple):
    """The tokens by what they open: everything, or the metrics alone."""

    read: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str, source: str) -> Self:
        """Read a token a line; one for the metrics alone has `metrics` and a space before it.

        Empty lines and lines that begin with `#` are left out. *source* is what the error calls the
        text. Raises TokenError.
        """
        found: dict[str, list[str]] = {"read": [], "metrics": []}
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            scope, _, token = line.strip().rpartition(" ")
            if scope not in ("", "metrics") or not _TOKEN.fullmatch(token):
                raise TokenError(
                    f"{source}: line {number} is not a token of 22 to 256 letters, digits and"
                    " . _ ~ -"
                )
            found[scope or "read"].append(token)
        if not (found["read"] or found["metrics"]):
            raise TokenError(f"{source}: there is no token in it")
        return cls(tuple(found["read"]), tuple(found["metrics"]))

    def __bool__(self) -> bool:
        return bool(self.read or self.metrics)


def new_token() -> str:
    # As secrets.token_urlsafe does, whose module takes a thirtieth of a start to import.
    return urlsafe_b64encode(os.urandom(_BYTES)).rstrip(b"=").decode()


def given_tokens(file: str, environ: Mapping[str, str]) -> Tokens | None:
    """Return the tokens in *file* or else in the variable TALLY_STATS_TOKEN; None without both.

    Raises TokenError.
    """
    if file:
        try:
            with open(file, encoding="utf-8") as lines:
                return Tokens.parse(lines.read(1 << 16), file)
        except OSError as error:
            raise TokenError(f"{file}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise TokenError(f"{file}: it is not UTF-8") from None
    if text := environ.get(_VARIABLE):
        return Tokens.parse(text, _VARIABLE)
    return None
