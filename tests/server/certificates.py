"""Certificates for tests, made by the openssl program."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.programs import program


@dataclass(frozen=True, slots=True)
class Certificate:
    certfile: Path
    keyfile: Path
    both: Path  # key and certificate in one file


def make_certificate(
    directory: Path, name: str = "localhost", *, password: str = ""
) -> Certificate:
    """Make a self-signed certificate for *name*, localhost and 127.0.0.1."""
    directory.mkdir(exist_ok=True)
    made = Certificate(directory / "cert.pem", directory / "key.pem", directory / "both.pem")
    secret = ["-passout", f"pass:{password}"] if password else ["-nodes"]
    subprocess.run(
        [
            program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", *secret,
            "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout", made.keyfile, "-out", made.certfile,
        ],
        check=True, capture_output=True, timeout=20,
    )  # fmt: skip
    made.both.write_bytes(made.keyfile.read_bytes() + made.certfile.read_bytes())
    return made
