"""As a container's first process: a parent that passes on signals and reaps orphans.

The kernel hands each process whose parent has ended to process 1, which has to wait for it, or it
stays as a zombie. The supervisor of several workers waits for any child. A server of one process
must not: it could reap a child that the application itself waits for.
"""

import os
import signal
import sys

_PASSED_ON = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGQUIT,
)


def stand_in_front() -> None:
    """If this is process 1, return in a child, and only wait for it here.

    Call it before any thread is started.
    """
    if os.getpid() != 1:
        return
    waited_for = {*_PASSED_ON, signal.SIGCHLD}
    former = signal.pthread_sigmask(signal.SIG_BLOCK, waited_for)
    # Process 1 gets no signal that it has no handler for.
    signal.signal(signal.SIGCHLD, lambda *_: None)
    server = os.fork()
    if server == 0:
        # A terminal's Ctrl-C is for the first process alone; it would come twice.
        os.setpgid(0, 0)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, former)
        return
    while True:
        number = signal.sigwait(waited_for)
        if number != signal.SIGCHLD:
            os.kill(server, number)
        elif (status := _reap(server)) is not None:
            sys.stdout.flush()
            os._exit(status)


def _reap(server: int) -> int | None:
    """Wait for every child that has ended; return the exit status once the server has."""
    while True:
        try:
            pid, wait_status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        if pid == server:
            code = os.waitstatus_to_exitcode(wait_status)
            return code if code >= 0 else 128 - code
        if pid == 0:
            return None
