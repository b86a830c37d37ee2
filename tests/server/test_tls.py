"""Certificates that are good, broken and renewed, and connections made with them."""

import signal
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.server.addresses import parse_bind
from app.server.listeners import open_listeners
from app.server.tls import TlsError, load_context, reload
from tests.end_to_end.servers import LiveServer, started, workers_of
from tests.server.certificates import Certificate, make_certificate
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


def test_only_modern_tls_is_spoken_and_only_http_1_1(certificate: Certificate) -> None:
    context = load_context(str(certificate.certfile), str(certificate.keyfile))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_NONE


def test_key_and_certificate_may_be_in_one_file(certificate: Certificate) -> None:
    load_context(str(certificate.both))


def broken(name: str, certificate: Certificate, directory: Path) -> tuple[Path, Path | None]:
    empty = directory / "empty.pem"
    empty.write_text("")
    text = directory / "text.pem"
    text.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    good, key = certificate.certfile, certificate.keyfile
    return {
        "no certificate": (directory / "none.pem", key),
        "no key": (good, directory / "none.pem"),
        "a directory": (directory, key),
        "empty": (empty, key),
        "nonsense": (text, key),
        "key not in the certificate's file": (good, None),
        "certificate as key": (good, good),
        "another's key": (good, make_certificate(directory / "other", number=1).keyfile),
        "password": (good, make_certificate(directory / "secret", password="sesame").keyfile),
    }[name]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no certificate", "none.pem: no such file"),
        ("no key", "none.pem: no such file"),
        ("a directory", "is a directory"),
        ("empty", "not a PEM certificate"),
        ("nonsense", "PEM"),
        ("key not in the certificate's file", "no PEM certificate and private key"),
        ("certificate as key", "PEM"),
        ("another's key", "does not belong to the certificate"),
        ("password", "protected by a password"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    name: str, said: str, certificate: Certificate, tmp_path: Path
) -> None:
    certfile, keyfile = broken(name, certificate, tmp_path)
    with pytest.raises(TlsError) as refused:
        load_context(str(certfile), str(keyfile or ""))
    assert said.lower() in str(refused.value).lower()
    assert "\n" not in str(refused.value)


def test_a_reload_changes_only_listeners_that_speak_tls(
    certificate: Certificate, tmp_path: Path
) -> None:
    context = load_context(str(certificate.both))
    addresses = [parse_bind("127.0.0.1:0"), parse_bind(f"unix:{tmp_path}/socket")]
    secure, unix = listeners = open_listeners(addresses, backlog=1, tls=context)
    try:
        assert secure.tls is context
        assert secure.urls[0].startswith("https://127.0.0.1:")
        assert unix.tls is None
        reload(listeners, str(certificate.both))
        assert secure.tls is not None
        assert secure.tls is not context
        assert unix.tls is None
        kept = secure.tls
        with pytest.raises(TlsError):
            reload(listeners, str(tmp_path / "none.pem"))
        assert secure.tls is kept
    finally:
        for listener in listeners:
            listener.close()


# Served


@contextmanager
def running(certificate: Certificate, *options: str) -> Iterator[LiveServer]:
    command = [
        sys.executable,
        "run_builtin.py",
        "-b",
        "127.0.0.1:0",
        "--app",
        "tests.server.small_apps:client",
    ]
    command += [
        "--certfile",
        str(certificate.certfile),
        "--keyfile",
        str(certificate.keyfile),
        *options,
    ]
    with started(command) as server:
        server.port = wait_until(server.port_named, message="the server's address")
        yield server


def ask(
    port: int, trusted: Path, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> tuple[str | None, bytes]:
    """Return the protocol agreed on by ALPN, and the whole answer."""
    context = ssl.create_default_context(cafile=trusted)
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.maximum_version = version
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return client.selected_alpn_protocol(), b"".join(iter(lambda: client.recv(4096), b""))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_https_is_served(certificate: Certificate, version: ssl.TLSVersion) -> None:
    with running(certificate) as server:
        protocol, answer = ask(server.port, certificate.certfile, version)
        assert protocol == "http/1.1"
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"|https|" in answer
        assert any(f"https://127.0.0.1:{server.port}/" in line for line in server.out)
        assert server.stop() == 0
        assert server.err == []


@pytest.mark.parametrize("workers", ["1", "2"])
def test_renewed_certificates_are_used_after_a_reload_and_broken_ones_are_not(
    workers: str, tmp_path: Path
) -> None:
    certificate = make_certificate(tmp_path / "live")
    with running(certificate, "-w", workers) as server:
        assert ask(server.port, certificate.certfile)[1].startswith(b"HTTP/1.1 200 ")
        renewed = make_certificate(tmp_path / "renewed", number=1)
        for old, new in (
            (certificate.certfile, renewed.certfile),
            (certificate.keyfile, renewed.keyfile),
        ):
            new.rename(old)

        def is_renewed() -> bool:
            try:
                return ask(server.port, certificate.certfile)[1].startswith(b"HTTP/1.1 200 ")
            except ssl.SSLCertVerificationError:
                return False

        assert not is_renewed()
        retired = workers_of(server)
        server.send(signal.SIGHUP)
        # A worker of before may answer until it has ended.
        wait_until(
            lambda: is_renewed() and not retired & workers_of(server),
            message="the renewed certificate alone",
        )
        good = tmp_path / "good.pem"
        good.write_bytes(certificate.certfile.read_bytes())
        certificate.certfile.write_text("broken")
        server.send(signal.SIGHUP)
        wait_until(lambda: server.err, message="the complaint")
        assert ask(server.port, good)[1].startswith(b"HTTP/1.1 200 ")
        assert server.stop() == 0
        [line] = server.err
        assert str(certificate.certfile) in line
        assert "stays" in line


def test_a_broken_certificate_is_one_line_at_the_start(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "run_builtin.py",
        "-b",
        "127.0.0.1:0",
        "--certfile",
        str(tmp_path / "none.pem"),
    ]
    with started(command) as server:
        assert server.wait() == 2
    assert server.out == []
    [line] = server.err
    assert "none.pem" in line
