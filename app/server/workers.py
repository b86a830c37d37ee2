"""Several processes on the same sockets: a supervisor forks workers, and replaces those that die.

The supervisor opens the listening sockets and never accepts; each worker inherits them, loads the
application and serves. Connections that wait belong to the sockets, so a worker that dies takes
only those it had accepted.

The supervisor is one loop over a selector: signals arrive through a wake-up descriptor, and each
worker is at the other end of a socket pair. There the worker reports once that it is ready, or why
it never will be, and the supervisor commands it to stop. When the supervisor dies, the pair ends,
and the worker stops by itself.

A reload (SIGHUP) starts a new generation: a new worker is started, and only when it is ready an old
one is told to retire; then the next. When the new one cannot start, the old ones stay.

Not known here: what a request is.
"""

import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import NoReturn

from ..host_figures import Board, serve_on
from ..line_log import tell
from . import systemd
from .serving import (
    HANDLED,
    KNOWN,
    LOAD_FAILED,
    READY,
    REOPEN,
    RETIRE,
    STOP,
    STOP_NOW,
    WATCH_INTERVAL,
    Service,
    Terminal,
    ignore_signals,
    parse_report,
    work,
)
from .worker import Worker, described

_SIGNALS = (*HANDLED, signal.SIGCHLD)

#: A worker that lives for fewer seconds died "at once"; the second such death in a row makes the
#: supervisor wait.
_SHORT_LIFE = 1.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
#: How often workers may die without a word before any has been ready.
_SILENT_DEATHS = 3
#: Seconds beyond the graceful timeout, which workers keep by themselves, until they are killed.
_KILL_MARGIN = 2.0


class Supervisor:
    """Runs *count* workers. For the main thread, before any other thread is started."""

    def __init__(
        self, service: Service, count: int, ready: Callable[[], object] = lambda: None
    ) -> None:
        self._service = service
        self._count = count
        self._on_ready = ready
        self._terminal = Terminal()
        self._board = Board.make(count, KNOWN, threads=service.options.threads)
        self._selector = selectors.PollSelector()
        self._wake_up, self._woken = socket.socketpair()
        self._workers: dict[int, Worker] = {}
        # Reload
        self._generation = 0
        self._replacement: Worker | None = None
        self._reloading = False
        self._reload_again = False
        # Starting
        self._has_been_ready = False
        self._early_deaths = 0
        self._start_not_before = 0.0
        # Ending
        self._status: int | None = None  # None: not told to stop
        self._watch_at = monotonic() + WATCH_INTERVAL

    def run(self) -> int:
        """Supervise until told to stop; return the exit status."""
        self._handle_signals()
        try:
            while True:
                self._start_missing()
                if self._status is not None and not self._workers:
                    return self._status
                for key, _ in self._selector.select(self._timeout()):
                    key.data()
                self._watch()
                self._kill_overdue()
        finally:
            ignore_signals()
            signal.set_wakeup_fd(-1)
            for worker in self._workers.values():
                with suppress(OSError):
                    os.kill(worker.pid, signal.SIGKILL)
                    os.waitpid(worker.pid, 0)
            self._selector.close()
            self._wake_up.close()
            self._woken.close()

    # Signals

    def _handle_signals(self) -> None:
        for one in (self._wake_up, self._woken):
            one.setblocking(False)
        signal.set_wakeup_fd(self._wake_up.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            # The handler does nothing: the signal's number comes through the wake-up descriptor.
            signal.signal(number, lambda *_: None)
        self._selector.register(self._woken, selectors.EVENT_READ, self._on_signals)

    def _on_signals(self) -> None:
        try:
            numbers = self._woken.recv(4096)
        except BlockingIOError:
            return
        for number in numbers:
            if number in (signal.SIGTERM, signal.SIGQUIT):
                self._stop(0)
            elif number == signal.SIGINT:
                self._interrupt()
            elif number == signal.SIGHUP:
                self._hang_up()
            elif number == signal.SIGUSR1:
                self._reopen_logs()
        # Afterwards: a worker that ended by the same Ctrl-C is not replaced.
        self._reap()

    def _interrupt(self) -> None:
        if self._status is None:
            self._stop(0)
        else:
            self._stop_all(STOP_NOW, monotonic() + 1)

    def _reopen_logs(self) -> None:
        self._service.reopen_logs()
        for worker in self._workers.values():
            worker.tell(REOPEN)

    def _hang_up(self) -> None:
        if self._terminal.is_gone():
            self._stop(0)
        elif self._status is None:
            self._reload()

    # Starting workers

    def _active(self) -> list[Worker]:
        return [
            one
            for one in self._workers.values()
            if not one.retiring and one is not self._replacement
        ]

    def _start_missing(self) -> None:
        if self._status is not None or monotonic() < self._start_not_before:
            return
        for _ in range(self._count - len(self._active())):
            self._start()

    def _start(self) -> Worker | None:
        ours, theirs = socket.socketpair()
        slot = self._board.take()
        # Nothing buffered may be written twice, and no signal may meet the child while it still has
        # our handlers.
        sys.stdout.flush()
        sys.stderr.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            pid = os.fork()
            if pid == 0:
                try:
                    ours.close()
                    serve_on(self._board, slot)
                    self._work(theirs)
                finally:
                    os._exit(LOAD_FAILED)  # never back into the supervisor's loop
        except OSError as error:
            ours.close()
            self._board.release(slot)
            tell(f"cannot start a worker: {(error.strerror or '').lower()}")
            self._pause()
            return None
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            theirs.close()
        ours.setblocking(False)
        worker = self._workers[pid] = Worker(pid, ours, self._generation, slot)
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._on_report(worker))
        return worker

    def _work(self, channel: socket.socket) -> NoReturn:
        self._forget_supervision()
        work(self._service, self._terminal, channel, _SIGNALS)

    def _forget_supervision(self) -> None:
        # What the service manager hears comes from the supervisor alone.
        os.environ.pop("NOTIFY_SOCKET", None)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        self._wake_up.close()
        self._woken.close()
        # While any process holds the supervisor's end of a pair, that worker would not see the
        # supervisor die.
        for worker in self._workers.values():
            worker.channel.close()

    def _on_report(self, worker: Worker) -> None:
        self._read_report(worker)
        if worker.report == READY and not worker.ready:
            worker.ready = True
            self._on_worker_ready(worker)

    def _read_report(self, worker: Worker) -> None:
        if not worker.channel_is_closed and not worker.receive():
            self._close_channel(worker)

    def _close_channel(self, worker: Worker) -> None:
        self._selector.unregister(worker.channel)
        worker.channel.close()

    def _on_worker_ready(self, worker: Worker) -> None:
        if not self._has_been_ready:
            self._has_been_ready = True
            self._on_ready()
            if self._status is None:
                systemd.notify("READY=1")
        if worker is self._replacement:
            self._replacement = None
            self._retire_surplus()
            self._continue_reload()

    # Ends of workers

    def _reap(self) -> None:
        while True:
            try:
                # Any child: as a container's first process we inherit those of others.
                pid, wait_status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            worker = self._workers.pop(pid, None)
            if worker is not None:
                self._on_end(worker, wait_status)

    def _on_end(self, worker: Worker, wait_status: int) -> None:
        self._board.release(worker.slot)
        # What it has said is there by now. The end need not be: a child of its own may hold the
        # channel, too.
        self._read_report(worker)
        worker.ready = worker.ready or worker.report == READY
        if not worker.channel_is_closed:
            self._close_channel(worker)
        was_replacement = worker is self._replacement
        if was_replacement:
            self._replacement = None
        if self._status is not None or worker.retiring:
            self._continue_reload()
            return
        if not was_replacement:
            self._board.restarted()
        if not worker.ready:
            self._on_failed_start(worker, wait_status, was_replacement)
        elif wait_status != 0:
            tell(f"worker {worker.pid} {described(wait_status)}; another takes its place")
        if monotonic() - worker.started < _SHORT_LIFE:
            self._pause()
        else:
            self._early_deaths = 0
        self._continue_reload()

    def _on_failed_start(self, worker: Worker, wait_status: int, was_replacement: bool) -> None:
        status, text = parse_report(worker.report)
        if was_replacement:
            tell(
                f"{text or f'the new worker {described(wait_status)}'}\nthe reload is off: the"
                " old workers go on"
            )
            self._abandon_reload()
        elif self._has_been_ready:
            tell(text or f"worker {worker.pid} {described(wait_status)} while it started")
        elif text or self._early_deaths + 1 >= _SILENT_DEATHS:
            # It would end the same way again and again.
            tell(text or f"no worker could start: the last one {described(wait_status)}")
            self._stop(status or LOAD_FAILED)
            self._stop_all(STOP_NOW, monotonic() + 1)

    def _pause(self) -> None:
        """Note an early death: the next worker starts at once, but after several in a row later."""
        self._early_deaths += 1
        if self._early_deaths > 1:
            pause = min(_FIRST_PAUSE * 2 ** min(self._early_deaths - 2, 10), _LONGEST_PAUSE)
            self._start_not_before = monotonic() + pause

    # Reload

    def _reload(self) -> None:
        if self._reloading:
            self._reload_again = True
            return
        self._reloading = True
        systemd.notify_reloading()
        self._service.reload()
        self._generation += 1
        self._continue_reload()

    def _continue_reload(self) -> None:
        if not self._reloading or self._replacement is not None or self._status is not None:
            return
        if any(one.generation < self._generation for one in self._active()):
            self._replacement = self._start()
            if self._replacement is not None:
                return
            self._abandon_reload()
        self._reloading = False
        systemd.notify("READY=1")
        if self._reload_again:
            self._reload_again = False
            self._reload()

    def _abandon_reload(self) -> None:
        for worker in self._workers.values():
            worker.generation = self._generation

    def _retire_surplus(self) -> None:
        oldest_first = sorted(self._active(), key=lambda one: (one.generation, one.started))
        for worker in oldest_first[: max(0, len(oldest_first) - self._count)]:
            worker.retiring = True
            worker.kill_at = monotonic() + self._service.options.graceful_timeout + _KILL_MARGIN
            worker.tell(RETIRE)

    # Ending

    def _stop(self, status: int) -> None:
        if self._status is not None:
            return
        self._status = status
        systemd.notify("STOPPING=1")
        for listener in self._service.listeners:
            # What the workers do not accept any more is refused, rather than left waiting.
            listener.close()
        self._stop_all(STOP, monotonic() + self._service.options.graceful_timeout + _KILL_MARGIN)

    def _stop_all(self, command: bytes, kill_at: float) -> None:
        for worker in self._workers.values():
            worker.retiring = True
            worker.kill_at = kill_at
            worker.tell(command)

    def _kill_overdue(self) -> None:
        now = monotonic()
        for worker in self._workers.values():
            if worker.kill_at is not None and worker.kill_at <= now:
                worker.kill_at = None
                os.kill(worker.pid, signal.SIGKILL)

    def _watch(self) -> None:
        end_status = self._service.end_status
        if end_status is None or self._status is not None or monotonic() < self._watch_at:
            return
        self._watch_at = monotonic() + WATCH_INTERVAL
        status = end_status()
        if status is not None:
            self._stop(status)

    def _timeout(self) -> float | None:
        moments = [one.kill_at for one in self._workers.values() if one.kill_at is not None]
        if self._status is None:
            if len(self._active()) < self._count:
                moments.append(self._start_not_before)
            if self._service.end_status is not None:
                moments.append(self._watch_at)
        return max(0.0, min(moments) - monotonic()) if moments else None
