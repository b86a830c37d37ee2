"""Both servers have the allocator give back what is freed (`app/allocator.py`)."""

from pathlib import Path

from tests.end_to_end.codings_cost import family
from tests.end_to_end.servers import running
from tests.waiting import wait_until


def test_the_allocator_is_set(kind: str, tmp_path: Path) -> None:
    with running(kind, root=tmp_path) as server:

        def is_set() -> bool:
            # What is set cannot be asked for; what sets it is loaded for nothing else.
            maps = (Path(f"/proc/{pid}/maps").read_text() for pid in family(server.process.pid))
            return any("_ctypes" in text for text in maps)

        wait_until(is_set, message="_ctypes in a process that serves")
