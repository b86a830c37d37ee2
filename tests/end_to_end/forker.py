"""The process behind `tests.end_to_end.starts`: `python forker.py SOCKET PROGRAM`.

It imports what PROGRAM will, and then forks for each request that comes by the socket: a length of
four bytes with the descriptors of the new process, and JSON.
"""

import array
import atexit
import fcntl
import importlib
import json
import os
import runpy
import socket
import sys
import traceback
from contextlib import suppress
from typing import Any

HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MOST_DESCRIPTORS = 32


def prepare(program: str) -> None:
    """Import what every server of this kind imports; nothing is begun by that."""
    load = runpy.run_path(os.path.join(HOME, "run_builtin.py"), run_name="run_builtin")["load"]
    load("wsgi")
    if os.path.basename(program) == "run_builtin.py":
        load("main")
        # The one module that reads the environment when it is imported.
        del sys.modules["tally_server.wsgi"], sys.modules["tally_server"].wsgi
        return
    for name in ("gunicorn.app.wsgiapp", "gunicorn.arbiter", "gunicorn.workers.gthread"):
        importlib.import_module(name)
    # Each worker imports the application's modules for itself; what they import stays, and so do
    # the patterns that they compile.
    for name in [name for name in sys.modules if name.partition(".")[0] == "tally_server"]:
        del sys.modules[name]


def serve_requests(requests: socket.socket, program: str) -> None:
    while True:
        wait_for_watchers()
        size = socket.CMSG_SPACE(MOST_DESCRIPTORS * array.array("i").itemsize)
        length, ancillary, _, _ = requests.recvmsg(4, size)
        if not length:
            wait_for_watchers()
            return
        descriptors = array.array("i")
        for _, _, data in ancillary:
            descriptors.frombytes(data)
        request = json.loads(requests.recv(int.from_bytes(length, "big"), socket.MSG_WAITALL))
        if os.fork() == 0:
            requests.close()
            watch(request, [*descriptors], program)
        for descriptor in descriptors:
            os.close(descriptor)


def wait_for_watchers() -> None:
    """Wait for those that have ended."""
    with suppress(ChildProcessError):  # there are no others
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def watch(request: dict[str, Any], descriptors: list[int], program: str) -> None:
    """Fork the server, and write its process id and then its exit status."""
    stdout, stderr, watched, *inherited = descriptors
    child = os.fork()
    if child == 0:
        os.setsid()
        os.close(watched)
        places = dict(zip((1, 2, *request["inherited"]), (stdout, stderr, *inherited), strict=True))
        take_descriptors(places)
        os.environ.clear()
        os.environ.update(request["environ"])
        os.chdir(request["directory"])
        run(program, request["arguments"])
    for descriptor in (stdout, stderr, *inherited):
        os.close(descriptor)  # their ends are to be seen when the server has ended
    os.write(watched, b"%d\n" % child)
    _, status = os.waitpid(child, 0)
    os.write(watched, b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def take_descriptors(places: dict[int, int]) -> None:
    """Give each descriptor the number that the server expects, and close all others but 0."""
    # First out of the way: one may have the number that another is to get.
    moved = {to: fcntl.fcntl(now, fcntl.F_DUPFD, 300) for to, now in places.items()}
    for to, now in moved.items():
        os.dup2(now, to)
    for name in os.listdir("/proc/self/fd"):
        if (number := int(name)) > 0 and number not in places:
            with suppress(OSError):  # the listing's own
                os.close(number)


def run(program: str, arguments: list[str]) -> None:
    status = 1
    try:
        sys.argv = [program, *arguments]
        sys.path[0] = os.path.dirname(os.path.abspath(program))  # as Python does for a file
        runpy.run_path(program, run_name="__main__")
        status = 0
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else 1 if end.code else 0
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    prepare(sys.argv[2])
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        serve_requests(requests, sys.argv[2])
