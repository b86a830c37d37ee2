"""One client's connection: from bytes to requests, calls and answers, without ever waiting.

    advance ─► read a request ─► runner.run_call ─► perform: application, send ─► the next request
                    │ nothing to read: return          │ client takes no more: return
                    └── the runner calls again when the socket is ready, or at `deadline`: expire

The connection holds the state that lies between two calls of its runner. `busy` is True while an
application call owns it: then nobody else touches it, apart from noting what epoll says. Times are
the runner's, in monotonic seconds.
"""

import logging
from contextlib import suppress
from socket import MSG_MORE

from ..before_answer import BEFORE_ANSWER
from ..host_figures import Lane
from ..http11 import EndOfMessage, ProtocolError, Request
from ..http11.response import Framing
from . import error_page
from .access_line import refused
from .call import Call, CutShortError
from .channel import (
    COLLECTED,
    DRAINED,
    LINGER_PAUSE,
    LINGER_TIME,
    LOOKS,
    CallChannel,
    Upload,
)
from .gateway import Environ, client_environ
from .phase import RESTING, Phase
from .runner import Runner
from .sendfile import FileSpan
from .stream import GONE, PlainTextError, Stream, StreamChangedError

log = logging.getLogger("tally.server")

#: How long a body is collected before the application is called all the same.
_PATIENCE = 1.0
#: How long an unread body is read and thrown away.
_DRAIN_TIME = 5.0
#: What one connection may have in a row before others get their turn: answers to pipelined
#: requests, pieces of a body.
_CALLS_IN_A_TURN = range(16)
_EVENTS_IN_A_TURN = range(256)
_LINGER_READS = 16  # before others get their turn


# Looked up for every request; a member of an enumeration is ten times as far away.
_HANDSHAKE, _IDLE, _HEAD, _BODY = Phase.HANDSHAKE, Phase.IDLE, Phase.HEAD, Phase.BODY
_DRAIN, _ANSWER, _LINGER, _CLOSED = Phase.DRAIN, Phase.ANSWER, Phase.LINGER, Phase.CLOSED


class Connection:
    """For the runner's thread, or while `busy` for the thread that runs its call."""

    __slots__ = (
        "_linger_until",
        "_request",
        "_started",
        "_taken",
        "address",
        "busy",
        "channel",
        "deadline",
        "due",
        "phase",
        "receiver",
        "runner",
        "stream",
    )

    def __init__(
        self,
        runner: "Runner[Connection]",
        stream: Stream,
        address: str,
        port: str,
        base: Environ,
    ) -> None:
        """*base* is the listener's part of each environ."""
        self.runner = runner
        self.stream = stream
        self.channel = CallChannel(runner, stream, client_environ(base, address, port))
        self.receiver = self.channel.receiver
        self.address = address
        self.phase = Phase.FIRST if stream.established else Phase.HANDSHAKE
        self.deadline = runner.now + runner.options.header_timeout
        self.busy = False
        self.due = False  # the runner has been asked for `again`; the runner's
        self._linger_until = 0.0
        self._taken = 0.0  # when the client took some of its answer last, as far as was seen
        # For the request
        self._request: Request | None = None  # while its body comes, and before its call
        self._started = 0.0

    @property
    def idle_since(self) -> float:
        """When the connection came to rest. For one of RESTING."""
        options = self.runner.options
        return self.deadline - (
            options.keep_alive if self.phase is _IDLE else options.header_timeout
        )

    # What the runner calls

    def ready(self, events: int) -> None:
        """Note what epoll says, and go on."""
        self.stream.note(events)
        if not self.busy:
            self.advance()

    def advance(self) -> None:
        """Go as far as it goes without waiting. Only for the thread that owns the connection."""
        try:
            if self.phase is _HANDSHAKE and not self._shake_hands():
                return
            for _ in _CALLS_IN_A_TURN:
                phase = self.phase
                if phase is _ANSWER:
                    if not self._resume_answer():
                        return
                elif phase is _LINGER:
                    self._linger()
                    return
                elif (
                    phase is _CLOSED
                    or (request := self._read_request()) is None
                    or not self._begin_call(request)
                ):
                    return
                if self.receiver.idle and not self.stream.readable:
                    return  # as after nearly every answer
            self.runner.again(self)
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this connection and no other
            self._fail(error)

    def expire(self) -> None:
        """Do what is due at `deadline`."""
        try:
            self._do_what_is_due()
        except Exception as error:  # noqa: BLE001 - as in advance
            self._fail(error)

    def perform(self, lane: Lane, output: bytes | FileSpan | None = None) -> None:
        """Run the call and send, until the answer is complete or the client takes no more.

        *lane* is that of the thread; *output* what the call has given out already.
        """
        call, stream = self.channel.call, self.stream
        assert call is not None
        try:
            while output is not None or (
                not call.complete and (output := call.next_output()) is not None
            ):
                if call.work:
                    call.do_work()
                call.wire += stream.begin(output, MSG_MORE if call.span is not None else 0)
                output = None
                if stream.pending is not None and not self._flush(call):
                    break
            if stream.pending is not None:
                self.phase = _ANSWER
                self.channel.take_unread()
                self._await_reader()
                return
            self._answered(call, lane)
        except (CutShortError, StreamChangedError):
            self._abort()
        except Exception as error:  # noqa: BLE001 - as in advance
            self._fail(error)

    def prepare(self, lane: Lane) -> bytes | None:
        """Run the call, and return its answer if it is whole: it may wait for others, and what it
        has left to be done is to be done before the answer is given to `perform`.

        Returns None for any other answer, after what `perform` does.
        """
        call = self.channel.call
        assert call is not None
        try:
            output = call.next_output()
        except CutShortError:
            self._abort()
            return None
        except Exception as error:  # noqa: BLE001 - as in advance
            self._fail(error)
            return None
        if call.complete and isinstance(output, bytes):
            return output
        self.perform(lane, output)
        return None

    def go_on(self) -> None:
        """Give the connection up after an answer that waited, in the runner's thread."""
        self.busy = False
        if self.phase is not _ANSWER and not (self.receiver.idle and not self.stream.readable):
            self.runner.again(self)

    def settle(self) -> bool:
        """Give the connection up after `perform` in a thread that is not the runner's.

        Returns False when it needs the runner now.
        """
        self.runner.place.lane.publish()
        if self.phase is not _IDLE or self.receiver.buffered or self.runner.stopping:
            return False
        self.busy = False
        # From here on the runner may go on with it. It notes what epoll says before it looks at
        # `busy`, so what arrives now is seen by one side or by both; `again` is for both.
        if self.stream.readable:
            self.runner.again(self)
        return True

    def cut(self) -> None:
        """End the connection under a call that outlives the server: the call closes it later.

        From any thread.
        """
        call = self.channel.call
        is_whole = call is None or (call.complete and self.stream.pending is None)
        self.stream.cut(
            reset=not is_whole and call is not None and call.framing is Framing.UNTIL_CLOSE
        )

    def close(self) -> None:
        """Close at once, without a word; an answer under way is cut short."""
        if self.channel.call is not None:
            self._abort()
        else:
            self._close()

    # Reading

    def _shake_hands(self) -> bool:
        """Return True when requests may follow."""
        try:
            if not self.stream.handshake():
                return False
        except PlainTextError as error:
            self.stream = self.channel.stream = error.stream
            self._refuse(error_page.without_tls(self.address))
            return False
        except OSError:
            # A scanner, a client that trusts nobody: nothing that the operator could mend.
            self._close()
            return False
        self.phase = Phase.FIRST
        return True

    def _read_request(self) -> Request | None:
        """Return the request that is ready to be called for; None while there is none."""
        receiver, stream = self.receiver, self.stream
        try:
            for _ in _EVENTS_IN_A_TURN:
                event = None if receiver.idle else receiver.next_event()
                if event is None:
                    if self.channel.upload is not None and self._is_held():
                        return None
                    data = stream.receive() if stream.readable else None
                    if not data:
                        self._note_silence(data)
                        return None
                    event = receiver.receive(data)
                if type(event) is Request:
                    if event.body is None:
                        return event
                    self._expect_body(event)
                    if event.body.expects_continue and self.runner.may_upload():
                        return event
                elif event is None:
                    continue
                elif self._take_body(event):
                    return self._request
                elif self.phase is _LINGER or self.phase is _CLOSED:
                    return None
        except ProtocolError as error:
            if self.phase is _DRAIN:
                self._end()  # its request has its answer
            else:
                self._refuse(error)
            return None
        self.runner.again(self)
        return None

    def _waits_for_100(self) -> bool:
        """Return whether the client sends its body when it is asked for it."""
        request = self._request
        return request is not None and request.body is not None and request.body.expects_continue

    def _is_held(self) -> bool:
        """Return whether enough of a body is here, while no call may begin that takes more."""
        upload = self.channel.upload
        return upload is not None and upload.size >= COLLECTED and self.phase is _BODY

    def _note_silence(self, data: bytes | None) -> None:
        """Note that nothing has arrived: None, or b"" when nothing more will."""
        if data is not None:
            self._close()
        elif self.phase in RESTING and self.receiver.buffered:
            # From the first byte on, the whole head has to come in time, however often a byte
            # arrives.
            self.phase = _HEAD
            self.deadline = self.runner.now + self.runner.options.header_timeout

    def _expect_body(self, request: Request) -> None:
        self._request = request
        self.phase = _BODY
        self.channel.upload = Upload(self.runner.now)
        self.deadline = self.runner.now + min(_PATIENCE, self.runner.options.body_timeout)

    def _take_body(self, event: bytes | EndOfMessage) -> bool:
        """Collect or drain a piece of the body; True when the application may be called."""
        upload = self.channel.upload
        assert upload is not None
        upload.take(event, self.runner.now)
        if self.phase is _BODY:
            return upload.ended or (upload.size >= COLLECTED and self.runner.may_upload())
        upload.pieces.clear()
        if upload.ended:
            self._rest()
        elif upload.size > DRAINED:
            self._end()
        return False

    def _rest(self) -> None:
        if self.channel.upload is not None:
            self.channel.upload = None
        self.phase = _IDLE
        self.deadline = self.runner.now + self.runner.options.keep_alive

    # Answering

    def _begin_call(self, request: Request) -> bool:
        runner, channel = self.runner, self.channel
        self.phase = _ANSWER
        if channel.upload is not None:
            self._hand_over(request, channel.upload)
        channel.call = call = Call(runner.gateway.application, request, channel)
        if runner.gathers:
            request.variables[BEFORE_ANSWER] = call.work = []
        self._started = runner.now
        runner.lane.begun += 1
        return runner.run_call(self) and self.phase is not _ANSWER

    def _hand_over(self, request: Request, upload: Upload) -> None:
        """Note that a call begins with what has come of its body."""
        self._request = None
        if not upload.ended:
            upload.counted = True
            self.runner.uploading(1)
        elif request.body is not None and request.body.is_chunked:
            request.variables["CONTENT_LENGTH"] = str(upload.size)

    def _resume_answer(self) -> bool:
        """Return True when the answer is complete and the connection can go on."""
        call = self.channel.call
        assert call is not None
        before = call.wire
        try:
            flushed = self._flush(call)
        except StreamChangedError:
            self._abort()
            return False
        if call.wire != before or (not flushed and self.channel.take_unread()):
            self._await_reader()
            if not flushed and self.stream.readable and self.channel.takes_unread:
                self.runner.again(self)
        # Also when it is complete: the application's close() may take as long as any call.
        return flushed and self.runner.run_call(self) and self.phase is not _ANSWER

    def _flush(self, call: Call) -> bool:
        """Send what is pending.

        Returns False when the client takes no more for now, or others should have their turn.
        """
        stream = self.stream
        if stream.pending is None:
            return True
        try:
            call.wire += stream.flush(MSG_MORE if call.span is not None else 0)
        except BlockingIOError:
            return False
        if stream.pending is not None:
            self.runner.again(self)
        return stream.pending is None

    def _await_reader(self) -> None:
        self._taken = self.runner.now
        self.stream.taken_since()
        self._look_again()

    def _look_again(self) -> None:
        # Often enough for a client that took something just after a look to be cut at its time, not
        # at twice of it.
        self.deadline = self.runner.now + self.runner.options.write_timeout / LOOKS

    def _answered(self, call: Call, lane: Lane) -> None:
        """Go on to the next request, or close, after a complete answer."""
        if not call.close():
            # It may be the last word on what was sent, such as a file that has changed.
            self._abort()
            return
        channel = self.channel
        upload = channel.upload
        ended = upload is None or upload.ended
        if upload is not None:
            self._count_out(upload)
        call.record(lane, self.runner.access_log, self._started, aborted=False)
        channel.call = None
        # Also while the server stops: a client that was promised another answer may be asking for
        # it already.
        if call.keep_alive and ended:
            self._rest()
        elif call.keep_alive and upload is not None:
            upload.size = 0
            upload.pieces.clear()
            self.phase = _DRAIN
            self.deadline = self.runner.now + min(_DRAIN_TIME, self.runner.options.body_timeout)
        elif (
            ended
            and not call.request.keep_alive
            and not self.receiver.buffered
            and not self.stream.readable
        ):
            self._close()  # the client has said that nothing more comes
        else:
            self._end()

    def _count_out(self, upload: Upload) -> None:
        if upload.counted:
            upload.counted = False
            self.runner.uploading(-1)

    # Ending

    def _do_what_is_due(self) -> None:
        runner, phase, upload = self.runner, self.phase, self.channel.upload
        if phase is _HEAD:
            self._refuse(ProtocolError(408, "The request's head took too long."))
        elif phase is _BODY and upload is not None:
            # A client that waits for this server is not too slow.
            held = self._is_held() or (not upload.size and self._waits_for_100())
            if not held and runner.now - upload.progress >= runner.options.body_timeout:
                self._refuse(ProtocolError(408, "The request's body took too long."))
            elif not runner.may_upload():
                self.deadline = runner.now + _PATIENCE
            elif self._request is not None and self._begin_call(self._request):
                self.advance()
        elif phase is _ANSWER:
            if self.stream.taken_since():
                self._taken = runner.now
            if runner.now - self._taken < runner.options.write_timeout:
                self._look_again()
            else:
                self._abort()
        elif phase is _DRAIN:
            self._end()
        else:
            self._close()

    def _refuse(self, error: ProtocolError) -> None:
        """Answer what is not a request, and close."""
        head, page = error_page.refusal(error, to_head=self.receiver.refused_head)
        with suppress(OSError):
            self.stream.send(head + page)  # into an empty send buffer: it fits
        if self.runner.access_log is not None:
            self.runner.access_log.write(refused(self.address, error.status, len(page)))
        self._end(LINGER_PAUSE)

    def _end(self, patience: float = LINGER_TIME) -> None:
        """Close after the last answer, so that it arrives even while the client still sends."""
        try:
            if not self.stream.hung_up:
                self.stream.end_output()
        except OSError:
            self.stream.hung_up = True
        if self.stream.hung_up:
            self._close()
            return
        self.phase = _LINGER
        self._linger_until = self.runner.now + patience
        self._linger()

    def _linger(self) -> None:
        self.deadline = min(self.runner.now + LINGER_PAUSE, self._linger_until)
        for _ in range(_LINGER_READS):
            try:
                data = self.stream.receive()
            except OSError:
                data = b""
            if data is None:
                return
            if not data:
                self._close()
                return
        self.runner.again(self)

    def _fail(self, error: Exception) -> None:
        if not (isinstance(error, OSError) and error.errno in GONE):
            log.error("a connection of %s failed", self.address, exc_info=error)
        self._abort()

    def _abort(self) -> None:
        """Cut the connection in the middle of an answer."""
        call, self.channel.call = self.channel.call, None
        if self.channel.upload is not None:
            self._count_out(self.channel.upload)
        if call is not None:
            call.close()
            runner = self.runner
            call.record(runner.place.lane, runner.access_log, self._started, aborted=True)
        # A clean close would be read as the end of a body that has no other.
        self._close(reset=call is not None and call.framing is Framing.UNTIL_CLOSE)

    def _close(self, *, reset: bool = False) -> None:
        if self.phase is not _CLOSED:
            self.phase = _CLOSED
            self.runner.forget(self)
            self.runner.place.lane.closed += 1
            self.stream.shut(reset=reset)
