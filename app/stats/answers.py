"""What handlers return, and what goes around it: fields of security, and refusals."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

#: WSGI's.
Environ: TypeAlias = Mapping[str, Any]
Fields = list[tuple[str, str]]

REASONS = {
    200: "OK",
    301: "Moved Permanently",
    303: "See Other",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    429: "Too Many Requests",
    503: "Service Unavailable",
}

#: Nothing from elsewhere, no script in the page itself, in no frame.
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_NOTHING_POLICY = "default-src 'none'; frame-ancestors 'none'"

PRIVATE: Fields = [
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("X-Robots-Tag", "noindex, nofollow"),
]


class Answer(NamedTuple):
    """An answer but for Content-Length."""

    status: int
    fields: Fields
    body: bytes = b""


class RefusedError(Exception):
    """A request that is refused: the status, and a line for the client."""

    def __init__(self, status: int, detail: str, *fields: tuple[str, str]) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.fields = list(fields)


def answer(media_type: str, body: bytes, *more: tuple[str, str], status: int = 200) -> Answer:
    """Return an answer for one reader, that no page of another site can use."""
    policy = PAGE_POLICY if media_type.startswith("text/html") else _NOTHING_POLICY
    fields = [("Content-Type", media_type), *PRIVATE, ("Content-Security-Policy", policy), *more]
    return Answer(status, fields, body)


def json_answer(document: dict[str, Any], *more: tuple[str, str]) -> Answer:
    return answer("application/json", _encoded(document), *more)


def redirect(status: int, location: str, *more: tuple[str, str]) -> Answer:
    text = b"The answer is at another address.\n"
    return answer("text/plain", text, ("Location", location), *more, status=status)


def not_modified() -> Answer:
    return Answer(304, [*PRIVATE])


def problem(refusal: RefusedError) -> Answer:
    """Return a refusal for programs (RFC 9457)."""
    document = {
        "type": "about:blank",
        "title": REASONS[refusal.status],
        "status": refusal.status,
        "detail": refusal.detail,
    }
    return answer(
        "application/problem+json", _encoded(document), *refusal.fields, status=refusal.status
    )


def plain(refusal: RefusedError) -> Answer:
    """Return a refusal as a line of text."""
    text = f"{refusal.detail}\n".encode()
    return answer("text/plain; charset=utf-8", text, *refusal.fields, status=refusal.status)


def _encoded(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=1).encode() + b"\n"
