"""What a connection asks of whoever runs it: a poller, or a thread of the connection's own."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from .access_log import AccessLog
from .gateway import Call, Gateway
from .options import ServerOptions

if TYPE_CHECKING:
    from .connection import Connection


class Host(Protocol):
    """Owns readiness, threads and time; connections hold the rest."""

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

    def run_call(self, connection: "Connection") -> bool:
        """Have `connection.perform` run. False: another thread has it, or will; it is not the
        caller's any more.
        """

    def aside(self, call: Call | None) -> AbstractContextManager[None]:
        """Enclose a wait of the application's own for its client: it does not count as a running
        call.
        """

    def may_upload(self) -> bool:
        """Tell whether one more call may begin whose body has not arrived in full."""

    def uploading(self, change: int) -> None:
        """Note that a call with such a body begins (1) or has ended (-1)."""

    def again(self, connection: "Connection") -> None:
        """Have `advance` called once the others had their turn, unless the connection is busy then.
        From any thread.

        `connection.due` is True until then.
        """

    def forget(self, connection: "Connection") -> None:
        """Drop a connection that is about to be closed."""
