"""What a connection asks of its runner: the loop, with its crew of threads."""

from typing import Protocol, TypeVar

from ..host_figures import Lane, Place
from .access_log import AccessLog
from .channel import CallRunner
from .gateway import Gateway

Run = TypeVar("Run", contravariant=True)


class Runner(CallRunner, Protocol[Run]):
    """Owns readiness, threads and time of connections of type *Run*; they hold the rest."""

    gateway: Gateway
    access_log: AccessLog | None
    place: Place
    #: Of the thread that calls `Connection.advance`.
    lane: Lane
    #: Whether answers to calls that begin now may wait for each other (before_answer.py).
    gathers: bool

    def run_call(self, connection: Run) -> bool:
        """Run `connection.perform`, or have the answer wait for those of others.

        Returns False if the connection goes on later, perhaps in another thread.
        """

    def uploading(self, change: int) -> None:
        """Note that a call with such a body begins (1) or has ended (-1)."""

    def again(self, connection: Run) -> None:
        """Have `advance` called once the others had their turn. From any thread.

        It is not called while the connection is busy. `connection.due` is True until then.
        """

    def forget(self, connection: Run) -> None:
        """Drop a connection that is about to be closed."""
