"""What a connection asks of whoever runs it: the loop, or a thread of the connection's own."""

from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from .access_log import AccessLog
from .call import Call
from .gateway import Gateway
from .options import ServerOptions

Run = TypeVar("Run", contravariant=True)


class Runner(Protocol[Run]):
    """Owns readiness, threads and time of connections of type *Run*; they hold the rest."""

    gateway: Gateway
    options: ServerOptions
    access_log: AccessLog | None

    @property
    def now(self) -> float:
        """Monotonic seconds, as of the last readiness."""

    @property
    def stopping(self) -> bool: ...

    @property
    def crowded(self) -> bool:
        """Whether clients wait for a connection to end: none is kept for another request then."""

    def run_call(self, connection: Run) -> bool:
        """Run `connection.perform`.

        Returns False if another thread has taken over the connection, or will.
        """

    def aside(self, call: Call | None) -> AbstractContextManager[None]:
        """Enclose a wait of *call* for its client: meanwhile it does not count as running."""

    def may_upload(self) -> bool:
        """Return whether one more call may begin whose body has not arrived in full."""

    def uploading(self, change: int) -> None:
        """Note that a call with such a body begins (1) or has ended (-1)."""

    def again(self, connection: Run) -> None:
        """Have `advance` called once the others had their turn. From any thread.

        It is not called while the connection is busy. `connection.due` is True until then.
        """

    def forget(self, connection: Run) -> None:
        """Drop a connection that is about to be closed."""
