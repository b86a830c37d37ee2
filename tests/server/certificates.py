"""Certificates for tests, made by the openssl program."""

import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.programs import program


@dataclass(frozen=True, slots=True)
class Certificate:
    certfile: Path
    keyfile: Path
    both: Path  # key and certificate in one file


def make_certificate(
    directory: Path, name: str = "localhost", *, password: str = "", number: int = 0
) -> Certificate:
    """Write a self-signed certificate for *name*, localhost and 127.0.0.1; one with another
    *number* is another one.
    """
    directory.mkdir(exist_ok=True)
    made = Certificate(directory / "cert.pem", directory / "key.pem", directory / "both.pem")
    key, certificate = _made(name, password, number)
    made.keyfile.write_bytes(key)
    made.certfile.write_bytes(certificate)
    made.both.write_bytes(key + certificate)
    return made


@cache
def _made(name: str, password: str, number: int) -> tuple[bytes, bytes]:
    """Return a key and its certificate; the program is started once for all tests that ask."""
    secret = ["-passout", f"pass:{password}"] if password else ["-nodes"]
    with tempfile.TemporaryDirectory() as directory:
        key, certificate = Path(directory, "key.pem"), Path(directory, "cert.pem")
        subprocess.run(
            [
                program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", *secret,
                "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                "-keyout", key, "-out", certificate,
            ],
            check=True, capture_output=True, timeout=20,
        )  # fmt: skip
        return key.read_bytes(), certificate.read_bytes()
