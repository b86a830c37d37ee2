"""The day's salt: one for all processes, and gone with the day."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from app.counters.salts import FILE_NAME, SALT_SIZE, FileSalts, MemorySalts, Salts

DAY = 20_000


@pytest.fixture(params=["memory", "file"])
def salts(request: pytest.FixtureRequest, tmp_path: Path) -> Salts:
    return MemorySalts() if request.param == "memory" else FileSalts(str(tmp_path))


def test_a_day_has_one_salt(salts: Salts) -> None:
    salt = salts.of(DAY)
    assert salt is not None
    assert len(salt) == SALT_SIZE
    assert salts.of(DAY) == salt
    following = salts.of(DAY + 1)
    assert following is not None
    assert following != salt
    assert salts.of(DAY) is None


@pytest.mark.parametrize("is_first", [True, False])
def test_processes_agree(tmp_path: Path, is_first: bool) -> None:
    salts = FileSalts(str(tmp_path))
    if not is_first:
        salts.of(DAY)
    code = f"from app.counters.salts import FileSalts; print(FileSalts({str(tmp_path)!r}).of({DAY}).hex())"
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    found = {process.communicate(timeout=30)[0].strip() for process in running}
    salt = salts.of(DAY)
    assert salt is not None
    assert found == {salt.hex()}


def test_a_clock_that_is_behind_keeps_the_old_salt_if_it_had_it(tmp_path: Path) -> None:
    behind, newcomer, ahead = (FileSalts(str(tmp_path)) for _ in range(3))
    salt = behind.of(DAY)
    ahead.of(DAY + 1)
    assert behind.of(DAY) == salt
    assert newcomer.of(DAY) is None


def test_a_salt_of_a_far_day_was_written_by_a_clock_that_was_wrong(tmp_path: Path) -> None:
    FileSalts(str(tmp_path)).of(DAY + 3000)
    assert FileSalts(str(tmp_path)).of(DAY) is not None


def test_the_salt_is_gone_with_its_day(tmp_path: Path) -> None:
    salts, file = FileSalts(str(tmp_path)), tmp_path / FILE_NAME
    salts.forget_old(DAY)
    assert not file.exists()
    salt = salts.of(DAY)
    assert salt is not None
    assert salt in file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    salts.forget_old(DAY)
    assert salt in file.read_bytes()
    salts.forget_old(DAY + 1)
    assert not any(file.read_bytes())
    assert salts.of(DAY) != salt, "nor is it remembered"


@pytest.mark.parametrize("damage", [b"", b"x" * 20, b"x" * 200])
def test_a_salt_that_was_half_written_is_replaced(tmp_path: Path, damage: bytes) -> None:
    first = FileSalts(str(tmp_path)).of(DAY)
    (tmp_path / FILE_NAME).write_bytes(damage)
    second = FileSalts(str(tmp_path)).of(DAY)
    assert second not in (None, first)
    assert FileSalts(str(tmp_path)).of(DAY) == second
