"""One serving process: builds the application, runs the server, and does what signals say.

It is the whole server when there is one process, and each of the workers when there are several.

    SIGTERM, first SIGINT    stop accepting, finish what is in flight, status 0
    SIGQUIT                  the same, as containers are stopped whose image was nginx's
    SIGINT after that        close everything at once
    SIGHUP                   reload: reopen logs, read certificates anew
    SIGUSR1                  reopen logs, as the recipes of logrotate send it
"""

import atexit
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from time import sleep
from types import FrameType
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from .. import host_figures
from ..host_figures import Known
from . import systemd
from .access_log import AccessLog
from .listeners import Listener
from .options import ServerOptions
from .server import Server

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

    from _typeshed.wsgi import WSGIApplication

#: What our server tells of itself in the host's figures.
KNOWN = Known.REQUESTS | Known.CONNECTIONS | Known.RESTARTS

#: Seconds between two questions whether the server should end.
WATCH_INTERVAL = 0.25

#: The supervisor's commands to a worker, over a socket pair whose end means that it is gone.
STOP, RETIRE, STOP_NOW, REOPEN = b"s", b"r", b"n", b"l"
#: A worker's report there, once; or else it says why it cannot start (`parse_report`).
READY = b"+"

#: The exit status when the application's own code fails while it is loaded.
LOAD_FAILED = 3


class StartError(Exception):
    """The application cannot be served as it was asked for; the text is one line."""


class Service(NamedTuple):
    """What every serving process of one run has in common."""

    listeners: Sequence[Listener]
    #: Called once in each serving process. Raises StartError, or what the application's own code
    #: raises.
    load_application: "Callable[[], WSGIApplication]"
    options: ServerOptions
    access_log: AccessLog | None = None
    #: Called on SIGHUP, in a signal handler; tells its own failures.
    reload: Callable[[], object] = lambda: None
    #: Called on SIGUSR1, in a signal handler.
    reopen_logs: Callable[[], object] = lambda: None
    #: Asked every quarter of a second for the exit status to end with; None: go on.
    end_status: Callable[[], int | None] | None = None


class Terminal:
    """Tells a SIGHUP from a closed terminal, which ends the program, from one that was sent."""

    def __init__(self) -> None:
        self._ends_with_it = signal.getsignal(signal.SIGHUP) == signal.SIG_DFL and _has_terminal()

    def is_gone(self) -> bool:
        return self._ends_with_it and not _has_terminal()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


#: Signals that mean something to a server.
HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1)


class ServingProcess:
    """Serves in this process, from the main thread."""

    def __init__(self, service: Service, terminal: Terminal | None = None) -> None:
        self._service = service
        self._terminal = terminal or Terminal()
        self._server: Server | None = None
        self._stopping = False

    def handle_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGQUIT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGINT, self._interrupt)
        signal.signal(signal.SIGHUP, self._reload)
        signal.signal(signal.SIGUSR1, lambda *_: self._service.reopen_logs())

    def run(self, ready: Callable[[], object]) -> int:
        """Serve until stopped; return the exit status.

        *ready* is called when the application has been loaded. Raises what loading it raises, and
        SystemExit when a signal says to stop before that is done.
        """
        service = self._service
        try:
            for listener in service.listeners:
                listener.keep_from_children()
            application = self._load()
            self._server = Server(
                service.listeners, application, service.options, service.access_log
            )
            ready()
            return wait_for_signals_and(self._server.run)
        finally:
            # Also when loading failed: what is still done until the process has ended, such as the
            # application's exit functions, would meet the SystemExit of a signal.
            ignore_signals()
            if service.access_log:
                service.access_log.close()

    def _load(self) -> "WSGIApplication":
        # The interpreter drops, with a traceback, what is raised while it runs a finalizer or the
        # callback of a weak reference, as imports have. SystemExit is then raised here once more.
        former = sys.unraisablehook

        def tell_unless_stopped(dropped: "UnraisableHookArgs") -> None:
            if not (self._stopping and isinstance(dropped.exc_value, SystemExit)):
                former(dropped)

        sys.unraisablehook = tell_unless_stopped
        try:
            application = self._service.load_application()
        finally:
            sys.unraisablehook = former
        if self._stopping:
            raise SystemExit(0)
        return application

    @property
    def has_started(self) -> bool:
        return self._server is not None

    def watch(self) -> None:
        """Ask the service's `end_status` until it returns a status, then stop with it.

        Blocks: run it in a thread of its own.
        """
        end_status = self._service.end_status
        while end_status is not None:
            sleep(WATCH_INTERVAL)
            status = end_status()
            if status is not None and self._server is not None:
                host_figures.stop_is_told_by(_yes)
                self._server.stop(status)
                return

    def obey(self, read_command: Callable[[], bytes]) -> None:
        """Obey the supervisor's commands until there are no more.

        Blocks: run it in a thread of its own.
        """
        while True:
            command = read_command()
            if command == REOPEN:
                self._service.reopen_logs()
                continue
            if command != RETIRE:
                host_figures.stop_is_told_by(_yes)
                # Every worker accepts what waits, and the first that has done so ends the socket
                # for all of them.
                for listener in self._service.listeners:
                    listener.is_last = True
            if self._server is None:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
            elif command == STOP_NOW:
                self._server.stop_now()
            elif command == RETIRE:
                # Clients that hold an idle connection may be about to use it: each gets one more
                # answer, which says Connection: close, so that no request meets a closed
                # connection. The other half of the time is for requests that come at the last
                # moment.
                self._server.stop(linger=self._service.options.graceful_timeout / 2)
            else:
                self._server.stop()
            if not command:
                return

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True
        if self._server is None:
            ignore_signals()
            raise SystemExit(0)
        systemd.notify("STOPPING=1")
        host_figures.stop_is_told_by(_yes)
        self._server.stop()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._stopping and self._server is not None:
            self._server.stop_now()
        else:
            self._stop(number, frame)

    def _reload(self, number: int, frame: FrameType | None) -> None:
        if self._terminal.is_gone():
            self._stop(number, frame)
            return
        systemd.notify_reloading()
        self._service.reload()
        systemd.notify("READY=1")


def _yes() -> bool:
    return True


def ignore_signals() -> None:
    """Ignore signals from here on: the exit status is decided, and many programs signal twice.

    The handlers do nothing, in place of SIG_IGN: for a signal that arrives just before SIG_IGN is
    set, Python prints a traceback. The interpreter's own exit would restore the defaults, which
    kill, so the process has to end by `end_process`.
    """
    for number in HANDLED:
        signal.signal(number, lambda *_: None)


def wait_for_signals_and(run: Callable[[], int]) -> int:
    """Return *run*'s result, called in another thread while the main one handles signals.

    Python runs handlers in the main thread, between two steps of it. A signal just before a wait
    for a lock would be handled after that wait, perhaps never; a read of the wake-up descriptor
    ends at once.
    """
    wake_up, woken = socket.socketpair()
    wake_up.setblocking(False)
    results: list[int | BaseException] = []

    def call() -> None:
        try:
            results.append(run())
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            results.append(error)
        finally:
            wake_up.send(b"\0")

    former = signal.set_wakeup_fd(wake_up.fileno(), warn_on_full_buffer=False)
    try:
        threading.Thread(target=call, name="server", daemon=True).start()
        while b"\0" not in woken.recv(64):  # other bytes are signals
            pass
    finally:
        signal.set_wakeup_fd(former)
        wake_up.close()
        woken.close()
    if isinstance(results[0], BaseException):
        raise results[0]
    return results[0]


def serve(service: Service, ready: Callable[[], object] = lambda: None) -> int:
    """Serve in this process alone, until stopped; return the exit status. For the main thread."""
    process = ServingProcess(service)
    process.handle_signals()
    board = host_figures.Board.make(1, KNOWN, threads=service.options.threads)
    host_figures.serve_on(board, board.take())
    for listener in service.listeners:
        listener.is_last = True

    def announce() -> None:
        ready()
        systemd.notify("READY=1")

    if service.end_status is not None:
        threading.Thread(target=process.watch, name="watch", daemon=True).start()
    try:
        return process.run(announce)
    except StartError:
        raise
    except Exception:
        if process.has_started:
            raise
        traceback.print_exc()
        return LOAD_FAILED


def work(
    service: Service, terminal: Terminal, channel: socket.socket, blocked: Iterable[signal.Signals]
) -> NoReturn:
    """Be a worker, whose supervisor is at the other end of *channel*.

    The signals *blocked* are let through once they have handlers. Ends the process: nothing of the
    supervisor's may be run or cleaned up a second time.
    """
    status = LOAD_FAILED
    process = ServingProcess(service, terminal)
    try:
        process.handle_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
        threading.Thread(
            target=process.obey, args=(lambda: _receive(channel),), name="commands", daemon=True
        ).start()
        status = process.run(lambda: channel.send(READY))
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        if isinstance(end.code, str):
            _report(channel, status, end.code)
    except StartError as error:
        status = 2
        _report(channel, status, str(error))
    except Exception:  # noqa: BLE001 - the application's own code may raise anything
        if process.has_started:
            traceback.print_exc()
        else:
            _report(channel, status, traceback.format_exc().rstrip())
    finally:
        end_process(status)


def parse_report(report: bytes) -> tuple[int, str]:
    """Return exit status and text of a worker that could not start, 0 and "" if it said nothing."""
    return (
        (report[0], report[1:].decode("utf-8", "replace"))
        if report and report != READY
        else (0, "")
    )


def _report(channel: socket.socket, status: int, text: str) -> None:
    with suppress(OSError):
        channel.sendall(bytes([status & 255]) + text[-30000:].encode("utf-8", "backslashreplace"))


def _receive(channel: socket.socket) -> bytes:
    try:
        return channel.recv(1)
    except OSError:
        return b""


def end_process(status: int) -> NoReturn:
    """End like a program, but wait for no thread: an application's call may never return."""
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        pass  # nobody reads it any more
    finally:
        os._exit(status)
