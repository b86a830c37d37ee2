import os
import signal
import subprocess
import sys
import textwrap

from app.comparison.processes import Guard, ProcessTree, tree_members
from tests.comparison.contestants import FAULTY_SERVER
from tests.waiting import wait_until

BURN = "import time\nend = time.process_time() + {seconds}\nwhile time.process_time() < end: pass\n"


def python(code: str, guard: Guard, scratch: str) -> ProcessTree:
    return ProcessTree(
        [sys.executable, "-S", "-c", textwrap.dedent(code)], guard, os.path.join(scratch, "output")
    )


def printed(tree: ProcessTree, line: str) -> bool:
    return line in tree.output().splitlines()


def test_cpu_time_includes_children_threads_and_those_that_ended(
    guard: Guard, scratch: str
) -> None:
    burn = BURN.format(seconds=0.1)
    code = f"""
import os, sys, threading, time
burn = {burn!r}
if os.fork() == 0:  # ends, and is reaped
    exec(burn)
    os._exit(0)
os.wait()
threads = [threading.Thread(target=exec, args=(burn,))]
for thread in threads: thread.start(); thread.join()
if os.fork() == 0:  # lives on
    end = time.process_time() + .1
    while time.process_time() < end: pass
    print("ready", flush=True)
time.sleep(60)
"""
    tree = python(code, guard, scratch)
    try:
        wait_until(lambda: printed(tree, "ready"))
        usage = tree.usage()
        assert len(usage.living) == 2
        assert 0.29 <= usage.seconds <= 0.6
        assert usage.pss > 2**20
    finally:
        tree.stop()


def test_cpu_time_is_finer_than_a_clock_tick(guard: Guard, scratch: str) -> None:
    tree = python("print('ready', flush=True); import time; time.sleep(60)", guard, scratch)
    try:
        wait_until(lambda: printed(tree, "ready"))
        assert (tree.usage().seconds * 1000) % 10 > 0
    finally:
        tree.stop()


def test_stop_ends_grandchildren_and_those_that_ignore_sigterm(guard: Guard, scratch: str) -> None:
    code = """
    import os, signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0 and os.fork() == 0:
        os.setpgid(0, 0)
        print("ready", flush=True)
    time.sleep(60)
    """
    tree = python(code, guard, scratch)
    wait_until(lambda: printed(tree, "ready"))
    members = tree.usage().living
    assert len(members) == 3
    tree.stop(patience=0.05)
    assert tree.wait() == -signal.SIGKILL
    assert not any(map(_runs, members))
    tree.stop()


def test_output_is_kept_for_the_last_lines(guard: Guard, scratch: str) -> None:
    tree = python("for i in range(30): print('line', i)\nraise SystemExit(4)", guard, scratch)
    assert tree.wait(10) == 4
    assert tree.last_lines(2) == ["line 28", "line 29"]
    tree.stop()


def test_the_guard_ends_everything_when_its_parent_is_killed(scratch: str) -> None:
    code = f"""
    import sys, os
    from app.comparison.processes import Guard, ProcessTree
    guard = Guard()
    with guard.temporary_directory() as directory:
        os.mkdir(directory + "/root")
        command = [sys.executable, "-S", {FAULTY_SERVER!r}, "0", directory, "stubborn"]
        tree = ProcessTree(command, guard, directory + "/out")
        print(tree.pid, directory, flush=True)
        tree.wait(60)
    """
    environment = {**os.environ, "TMPDIR": scratch, "PYTHONPATH": os.getcwd()}
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    ) as parent:
        assert parent.stdout
        pid, directory = parent.stdout.readline().rstrip("\n").split(" ", maxsplit=1)
        assert tree_members(int(pid))
        parent.kill()
        parent.wait(10)
        wait_until(lambda: not _runs(int(pid)))
        wait_until(lambda: not os.path.exists(directory))


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
