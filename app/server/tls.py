"""TLS contexts: made once at the start, and made anew when certificates have been renewed."""

import ssl
from collections.abc import Iterable

from .listeners import Listener


class TlsError(Exception):
    """A certificate or key that cannot be used; the text is one line."""


def load_context(certfile: str, keyfile: str = "") -> ssl.SSLContext:
    """Return a server's context for a certificate chain and its key (PEM). Raises TlsError.

    Without *keyfile* the key is in *certfile*.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A client must not make the server do handshakes over and over on one connection (TLS 1.2).
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    for path in filter(None, (certfile, keyfile)):
        _check_readable(path)
    try:
        context.load_cert_chain(certfile, keyfile or None, password=_no_password)
    except ssl.SSLError as error:
        raise TlsError(f"{_names(certfile, keyfile)}: {_explain(error, keyfile)}") from None
    except OSError as error:
        raise TlsError(f"{_names(certfile, keyfile)}: {error.strerror}") from None
    return context


def reload(listeners: Iterable[Listener], certfile: str, keyfile: str = "") -> None:
    """Put a fresh context into every listener that has one; connections made so far keep theirs.

    Raises TlsError, and then nothing has changed.
    """
    context = load_context(certfile, keyfile)
    for listener in listeners:
        if listener.tls is not None:
            listener.tls = context


def _check_readable(path: str) -> None:
    # load_cert_chain does not say which of its two files is missing.
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise TlsError(f"{path}: {(error.strerror or str(error)).lower()}") from None


def _no_password() -> str:
    # Without a callback OpenSSL would ask on the terminal, and a service would hang there.
    raise TlsError("the private key is protected by a password; store it without one")


def _names(certfile: str, keyfile: str) -> str:
    return f"{certfile} and {keyfile}" if keyfile else certfile


def _explain(error: ssl.SSLError, keyfile: str) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the private key does not belong to the certificate"
    if error.reason in ("NO_START_LINE", "PEM_LIB") or error.reason is None:
        return (
            "not a PEM certificate chain and private key"
            if keyfile
            else "no PEM certificate and private key in it"
        )
    return error.reason.lower().replace("_", " ")
