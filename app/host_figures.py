"""What this host's server does: requests, their durations, connections, bytes, what went uncounted.

The processes of one server share a small anonymous map, made before they are forked:

    header                the layout, the first process, restarts
    a slot a process      its id, and lanes
    a lane a thread       plain numbers, written by that thread alone

So requests take no lock, and a process that is killed leaves what it wrote. The process that is
asked for the figures adds up all lanes. A slot whose process has gone is given to the next one as
it is: the numbers go on from there, and no sum ever falls. A thread writes what its requests add
within half a second, not at each, so that this costs a request a tenth of a microsecond.

`present()` is the place of this process, on a map of its own where no server shares one.
"""

import os
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from enum import IntFlag
from mmap import mmap
from operator import add
from typing import Literal, NamedTuple, TypeAlias, get_args

from . import after_fork

#: GET and HEAD are what files are asked for with.
Method: TypeAlias = Literal["GET", "HEAD", "other"]
METHODS: tuple[Method, ...] = get_args(Method)

#: The upper ends of the durations' buckets in seconds: those of OpenTelemetry's
#: `http.server.request.duration`, and two for downloads.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 60, 600)

#: Of a map of other numbers than these: another release made it.
_LAYOUT = 1
_CELLS = 64
_LANE_BYTES = _CELLS * 8
#: Lanes beside those of the threads that run calls: of threads that wait for their clients, too.
_MORE_LANES = 100
# The header's cells, and those of a slot, which are in the place of its first lane.
_LAYOUT_CELL, _KNOWN_CELL, _FIRST_PROCESS, _RESTARTS, _SLOT_BYTES = range(5)
_TAKEN, _PROCESS, _USED = range(3)
# A lane's cells. From _DURATIONS on each method has a cell for each bucket, for longer durations,
# and for the sum of the seconds.
_BEGUN, _UNMEASURED, _SENT, _OPENED, _CLOSED, _UNCOUNTED, _DROPPED, _DURATIONS = range(8)
_BUCKET_CELLS = len(BUCKETS) + 1
_METHOD_CELLS = _BUCKET_CELLS + 1
_GET, _HEAD, _OTHER = (_DURATIONS + number * _METHOD_CELLS for number in range(3))
_SHORTEST = BUCKETS[0]


class Known(IntFlag):
    """What a server tells of itself, beside what its application counts."""

    NOTHING = 0
    REQUESTS = 1
    CONNECTIONS = 2
    RESTARTS = 4


class Durations(NamedTuple):
    """How long the requests with one method took: how many for each of BUCKETS and beyond."""

    numbers: tuple[int, ...]
    seconds: float


class HostFigures(NamedTuple):
    """The sums over all processes of a server since it was started, and what is at the moment."""

    known: Known
    durations: dict[Method, Durations]
    in_progress: int
    connections: int
    sent_bytes: int
    uncounted: int
    lines_dropped: int
    restarts: int
    #: Those that serve.
    processes: tuple[int, ...]
    #: The one that started the others, or the only one; 0 where nobody knows.
    first_process: int


class Lane:
    """What one thread writes: for that thread alone.

    A request adds to plain attributes, which `publish` brings into the map. What changes seldom is
    there at once.
    """

    __slots__ = (
        "_cells",
        "_give_back",
        "_quick",
        "_quick_seconds",
        "_seconds",
        "_sent",
        "begun",
        "closed",
        "opened",
    )

    def __init__(self, memory: memoryview, give_back: Callable[[], object]) -> None:
        self._cells, self._seconds = memory.cast("q"), memory.cast("d")
        self._give_back = give_back
        # Since the last `publish`
        self.begun = 0  # requests that are to be answered
        self.opened = self.closed = 0  # connections
        self._sent = 0
        self._quick, self._quick_seconds = 0, 0.0  # nearly all: GET, and in the first bucket

    def __del__(self) -> None:
        try:
            self.publish()
            self._give_back()
        except TypeError:
            pass  # the interpreter ends, and this module's names are gone already

    def end(self, method: str, seconds: float, sent: int) -> None:
        """Note the end of an answer, of whose body *sent* bytes were handed over."""
        self._sent += sent
        if seconds <= _SHORTEST and method == "GET":
            self._quick += 1
            self._quick_seconds += seconds
            return
        at = _GET if method == "GET" else _HEAD if method == "HEAD" else _OTHER
        self._cells[at + bisect_left(BUCKETS, seconds)] += 1
        self._seconds[at + _BUCKET_CELLS] += seconds

    def publish(self) -> None:
        """Let others see what was noted."""
        cells = self._cells
        if self.begun:
            cells[_BEGUN] += self.begun
            self.begun = 0
        if self._quick:
            cells[_GET] += self._quick
            self._seconds[_GET + _BUCKET_CELLS] += self._quick_seconds
            self._quick, self._quick_seconds = 0, 0.0
        if self._sent:
            cells[_SENT] += self._sent
            self._sent = 0
        if self.opened or self.closed:
            cells[_OPENED] += self.opened
            cells[_CLOSED] += self.closed
            self.opened = self.closed = 0

    def end_unmeasured(self) -> None:
        """Note the end of an answer that is nobody's request, such as a health check's."""
        self._cells[_UNMEASURED] += 1

    def uncounted(self, accesses: int) -> None:
        """Note accesses that were answered and could not be counted."""
        self._cells[_UNCOUNTED] += accesses

    def dropped(self, lines: int) -> None:
        """Note count lines that nobody took."""
        self._cells[_DROPPED] += lines


class _Slot:
    """What one process writes: lends a lane to each of its threads."""

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        self._free = deque(range(1, len(memory) // _LANE_BYTES))

    def lend(self) -> Lane:
        try:
            number = self._free.popleft()
        except IndexError:
            # Not even a crowd of slow uploads has that many threads. What further ones do is not
            # seen.
            return Lane(memoryview(bytearray(_LANE_BYTES)), lambda: None)
        lane = self._memory[number * _LANE_BYTES : (number + 1) * _LANE_BYTES]
        # The numbers stay: another thread adds to them.
        return Lane(lane, lambda: self._free.appendleft(number))


class Place(threading.local):
    """Where the threads of this process write: each finds its own `lane` here."""

    def __init__(self, slot: _Slot) -> None:
        self.lane = slot.lend()


class Board:
    """The shared map. `make` it before the fork; who forks gives out the slots."""

    def __init__(self, memory: mmap) -> None:
        """Use *memory*, another board's. Raises ValueError when it is not as we have it."""
        self.memory = memory
        self._view = memoryview(memory)
        self._header = self._view[:_LANE_BYTES].cast("q")
        if self._header[_LAYOUT_CELL] != _LAYOUT:
            raise ValueError("the figures of this host are those of another release")
        size = self._header[_SLOT_BYTES]
        self._slots = [
            self._view[begin : begin + size] for begin in range(_LANE_BYTES, len(self._view), size)
        ]
        self._slot_bytes = size

    @classmethod
    def make(cls, processes: int, known: Known, *, threads: int = 8) -> "Board":
        """Return a new board for *processes* at a time, and as many that end meanwhile.

        Each runs calls in *threads*.
        """
        slot_bytes = (1 + threads + _MORE_LANES) * _LANE_BYTES
        memory = mmap(-1, _LANE_BYTES + (2 * processes + 1) * slot_bytes)
        with memoryview(memory) as view, view[:_LANE_BYTES].cast("q") as header:
            header[_LAYOUT_CELL], header[_KNOWN_CELL] = _LAYOUT, known
            header[_FIRST_PROCESS], header[_SLOT_BYTES] = os.getpid(), slot_bytes
        return cls(memory)

    # For who forks

    def take(self) -> int | None:
        """Return a free slot for the process that is about to be forked, None if there is none."""
        for number, slot in enumerate(self._slots):
            if not (state := slot[:_LANE_BYTES].cast("q"))[_TAKEN]:
                state[_TAKEN] = state[_USED] = 1
                return number
        return None

    def release(self, number: int | None) -> None:
        """Free the slot of a process that has ended: nothing of it is in progress any more."""
        if number is None:
            return
        slot = self._slots[number]
        sums, _ = _sums(slot)
        lane = slot[_LANE_BYTES : 2 * _LANE_BYTES].cast("q")
        lane[_BEGUN] -= _in_progress(sums)
        lane[_CLOSED] += sums[_OPENED] - sums[_CLOSED]
        state = slot[:_LANE_BYTES].cast("q")
        state[_PROCESS] = state[_TAKEN] = 0

    def restarted(self) -> None:
        """Note that a process ended by itself, and another takes its place."""
        self._header[_RESTARTS] += 1

    # For the processes

    def place(self, number: int | None) -> Place:
        """Return where this process writes. Without a slot nobody sees it."""
        if number is None:
            return Place(_Slot(memoryview(bytearray(self._slot_bytes))))
        slot = self._slots[number]
        slot[:_LANE_BYTES].cast("q")[_PROCESS] = os.getpid()
        return Place(_Slot(slot))

    def figures(self) -> HostFigures:
        """Add up all lanes."""
        sums, seconds = [0] * _CELLS, [0.0] * _CELLS
        in_progress = 0
        for slot in self._slots:
            its_sums, its_seconds = _sums(slot)
            sums, seconds = list(map(add, sums, its_sums)), list(map(add, seconds, its_seconds))
            in_progress += max(0, _in_progress(its_sums))
        starts = dict(zip(METHODS, (_GET, _HEAD, _OTHER), strict=True))
        return HostFigures(
            known=Known(self._header[_KNOWN_CELL]),
            durations={
                method: Durations(tuple(sums[at : at + _BUCKET_CELLS]), seconds[at + _BUCKET_CELLS])
                for method, at in starts.items()
            },
            in_progress=in_progress,
            connections=max(0, sums[_OPENED] - sums[_CLOSED]),
            sent_bytes=sums[_SENT],
            uncounted=sums[_UNCOUNTED],
            lines_dropped=sums[_DROPPED],
            restarts=self._header[_RESTARTS],
            processes=tuple(
                process
                for slot in self._slots
                if (process := slot[:_LANE_BYTES].cast("q")[_PROCESS])
            ),
            first_process=self._header[_FIRST_PROCESS],
        )


def _sums(slot: memoryview) -> tuple[list[int], list[float]]:
    """Return the sums of each cell over a slot's lanes: once as if all were whole numbers, and once
    as if all were seconds.
    """
    sums, seconds = [0] * _CELLS, [0.0] * _CELLS
    if not slot[:_LANE_BYTES].cast("q")[_USED]:
        return sums, seconds
    for begin in range(_LANE_BYTES, len(slot), _LANE_BYTES):
        # Read once: a number that changes meanwhile is the same in both.
        lane = bytes(slot[begin : begin + _LANE_BYTES])
        if any(lane):
            with memoryview(lane) as view:
                sums = list(map(add, sums, view.cast("q")))
                seconds = list(map(add, seconds, view.cast("d")))
    return sums, seconds


def _in_progress(sums: list[int]) -> int:
    ended = sum(sum(sums[at : at + _BUCKET_CELLS]) for at in (_GET, _HEAD, _OTHER))
    return sums[_BEGUN] - ended - sums[_UNMEASURED]


class _Process:
    """This process's board and place on it, and whether it is about to end."""

    def __init__(self) -> None:
        self.begin_in_child()
        after_fork.register(self)

    def begin_in_child(self) -> None:
        board = Board.make(1, Known.NOTHING)
        self.serve_on(board, board.take())
        self.is_stopping: Callable[[], bool] = lambda: False

    def serve_on(self, board: Board, slot: int | None) -> None:
        self.board, self.place = board, board.place(slot)


_process = _Process()


def serve_on(board: Board, slot: int | None) -> None:
    """Have this process write to a slot of *board*. To be called before it serves."""
    _process.serve_on(board, slot)


def present() -> Place:
    """Return where this process writes."""
    return _process.place


def figures() -> HostFigures:
    """Return the figures of this host's server, for a request that is not in progress in them."""
    lane = _process.place.lane
    # Its beginning is held back or, where it is in the map already, taken off: others would see it
    # until this process publishes again.
    held = min(1, lane.begun)
    lane.begun -= held
    lane.publish()
    lane.begun += held
    found = _process.board.figures()
    return found if held else found._replace(in_progress=max(0, found.in_progress - 1))


def stop_is_told_by(is_stopping: Callable[[], bool]) -> None:
    """Have *is_stopping* say from now on whether this server is about to end."""
    _process.is_stopping = is_stopping


def is_stopping() -> bool:
    """Return whether this server is about to end, and should get no more clients."""
    return _process.is_stopping()
