"""What the built-in server says at its start: to who watches, and into a log."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.servers import BUILTIN, HOME, command_of, running

# options, variables, what the first line says of the counts
PLACES = [
    ([], {}, "the counts end with the server (--counts lmdb:DIR keeps them)"),
    (["-w", "2"], {}, "the counts end with the server (--counts lmdb:DIR keeps them)"),
    (["--counts", "lmdb:{}/counts"], {}, "counts are kept in {}/counts"),
    (
        ["--counts", "redis://user:secret@127.0.0.1:1/3?password=secret"],
        {"TALLY_COUNTS_JOURNAL": "{}/journal"},
        "counts are kept in redis://127.0.0.1:1/3",
    ),
]


@pytest.mark.parametrize(("options", "environ", "place"), PLACES)
def test_where_nobody_watches_the_start_is_one_line(
    tmp_path: Path, options: list[str], environ: dict[str, str], place: str
) -> None:
    given = [option.replace("{}", str(tmp_path)) for option in options]
    variables = {name: value.replace("{}", str(tmp_path)) for name, value in environ.items()}
    root = tmp_path / "root"
    root.mkdir()
    with running(BUILTIN, *given, root=root, **variables) as server:
        [line] = server.out
        address = f"http://127.0.0.1:{server.port}/"
        expected = f"Serving {root} at {address}; {place.replace('{}', str(tmp_path))}"
        assert line.startswith(f"{expected}; statistics: {address}-/tally/enter?token=")
        assert "secret" not in server.printed()


def test_a_terminal_shows_more(tmp_path: Path) -> None:
    terminal, other = os.openpty()
    try:
        process = subprocess.Popen(
            command_of(BUILTIN, "--bind", "127.0.0.1:0", str(tmp_path)),
            cwd=HOME,
            stdout=other,
            stderr=other,
        )
        os.close(other)
        shown = b""
        while b"Ctrl-C ends it." not in shown:
            shown += os.read(terminal, 4096)
        lines = shown.decode().splitlines()
        assert lines[0] == f"Serving {tmp_path} at"
        assert lines[2] == "The counts end with the server (--counts lmdb:DIR keeps them)."
        assert lines[3] == "Its statistics:"
        assert lines[-1] == "Ctrl-C ends it."
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        os.close(terminal)
