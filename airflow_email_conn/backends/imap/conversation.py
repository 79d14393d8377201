"""Commands and their answers on one IMAP connection. Blocking, with a deadline on every step."""

from __future__ import annotations

from base64 import b64encode
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from airflow_email_conn.backends.imap.arrivals import Arrivals
from airflow_email_conn.backends.imap.exchange import NOT_ASKED, Exchange, Router
from airflow_email_conn.errors import EmailError, NetworkError, ProtocolError
from airflow_email_conn.wire.imap import commands, servers
from airflow_email_conn.wire.imap.answers import capabilities
from airflow_email_conn.wire.imap.engine import (
    MAX_RESPONSE,
    Continuation,
    Data,
    EndOfStream,
    Event,
    ImapEngine,
    LiteralPiece,
    Status,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_email_conn.backends.imap.exchange import OnData, OnLiteral, OnStatus
    from airflow_email_conn.deadline import Deadline
    from airflow_email_conn.net import Stream
    from airflow_email_conn.wire.imap.commands import Command

__all__ = ["Conversation"]

# Octets that one call of `run` takes besides streamed literals: a chunk of summaries needs about 1 MB, the
# UIDs of a million mails 8 MB. More is a server that never stops.
_MAX_ANSWERS = 64 * 1024 * 1024
# The same before the sign-in, when nobody knows yet who answers: capabilities take 1 kB.
_MAX_OPENING = 64 * 1024
# What an answer takes in memory besides its octets: much, if somebody may keep it.
_KEPT, _PASSED_ON = 256, 32
_LOGOUT_TIMEOUT = 2.0  # seconds; a session that ends need not wait for a server that hangs


class Conversation:
    """A connection on which commands are run.

    After an error of the network or the protocol nobody knows where the stream stands, so it is closed and
    every later call raises NetworkError.

    :ivar farewell: the BYE with which the server ended the connection, if it said one.
    """

    _stream: Stream
    _engine: ImapEngine
    farewell: Status | None

    def __init__(self) -> None:
        self._signed_in = False  # until then answers are short, and come in time
        self._capabilities: frozenset[str] = frozenset()
        self._broken = "it was not opened"  # why no command can be run
        self._introduces = False  # the server is to be told who we are
        self._lasting = ""  # tag of a command that lasts until it is ended, as IDLE does
        #: In the folder that is selected; goes on when the session is opened anew.
        self.arrivals = Arrivals()

    def _begin_anew(self) -> None:
        """Forget what was said, and take little until the sign-in."""
        self._engine = ImapEngine()
        self._engine.max_response = _MAX_OPENING
        self._capabilities = frozenset()
        self.farewell = None

    def _welcome(self) -> None:
        """Signed in: from here on long answers are in order."""
        self._introduces = self.has("ID")
        self._engine.literal_plus = self.has("LITERAL+")
        self._engine.max_response = MAX_RESPONSE
        self._signed_in = True

    def has(self, capability: str) -> bool:
        """Whether the server has a capability, by its name in upper case."""
        return capability in self._capabilities

    # ------------------------------------------------------------ commands

    def run(
        self,
        command: Command,
        on_data: OnData | None = None,
        on_literal: OnLiteral | None = None,
        on_status: OnStatus | None = None,
    ) -> Status:
        """Send one command and take everything up to its end: its tagged status. See `Exchange`."""
        exchange = Exchange(command, on_data, on_literal, on_status)
        self.run_all([exchange])
        assert exchange.status is not None
        return exchange.status

    def run_all(self, exchanges: Sequence[Exchange]) -> None:
        """Send commands in one go and take everything up to the end of the last: each has its status then.

        :param exchanges: few enough for their commands to fit into the socket's buffer (a hundred short
            ones): a server that waits for us to read its answers reads nothing.
        """
        if self._introduces and self._signed_in:  # along with the first command: no round trip of its own
            self._introduces = False
            exchanges = [Exchange(commands.identify()), *exchanges]
        with self._intact():
            self._run_all(exchanges)

    @contextmanager
    def _intact(self) -> Iterator[None]:
        """Whatever ends a step early leaves the stream half-read, a KeyboardInterrupt as well."""
        if self._broken:
            raise NetworkError(f"the IMAP session is closed: {self._broken}")
        try:
            yield
        except BaseException as exc:
            self._break(exc)
            raise

    def _break(self, exc: BaseException) -> None:
        self._broken = exc.message if isinstance(exc, EmailError) else type(exc).__name__
        self._stream.close()

    def _run_all(self, exchanges: Sequence[Exchange]) -> None:
        router = Router(exchanges)
        self._take_unasked(router)
        for exchange in exchanges:
            router.sent(exchange, self._engine.start(exchange.command))
        left = _MAX_ANSWERS if self._signed_in else _MAX_OPENING
        waited_for = None
        while (oldest := router.oldest) is not None:
            if oldest is not waited_for:  # each command is a step with a time of its own
                waited_for = oldest
                deadline = self._stream.deadline(oldest.command.name, renewable=self._signed_in)
            event = self._next(deadline)
            if isinstance(event, Status) and event.tag != "*":
                router.finish(event)
                self._learn(event)
                continue
            left -= _size(event, kept=router.keeps(event))
            if left < 0:
                raise ProtocolError("the IMAP server sent more octets of answers than one command can have")
            if isinstance(event, Continuation):
                self._continue(oldest, event, deadline)
            else:
                deadline.pause()  # a slow file is not the server's fault
                self._hand_out(event, router)
                deadline.resume()

    def _take_unasked(self, router: Router) -> None:
        """What came since the last command. An answer among it was made before the question: an attack."""
        while (event := self._engine.next_event()) is not None:
            if isinstance(event, Continuation) or (isinstance(event, Status) and event.tag != "*"):
                raise ProtocolError(NOT_ASKED)
            self._hand_out(event, router)

    def _hand_out(self, event: Event, router: Router) -> None:
        if isinstance(event, Data) and event.kind == "CAPABILITY" and isinstance(event.pieces[0], bytes):
            self._capabilities = capabilities(event.pieces[0])
            return
        if isinstance(event, Data):
            self.arrivals.take(event)
        if isinstance(event, Status):
            self._learn(event)
            if event.kind == "BYE":
                self.farewell = event
                raise servers.unavailable("the IMAP server ended the session", event)
        router.take(event)

    def _continue(self, exchange: Exchange, asked: Continuation, deadline: Deadline) -> None:
        line = b"*"  # RFC 9051 6.2.2: cancels an exchange that we have no more to say in
        if exchange.answers:
            exchange.challenge = asked.text
            line = b64encode(exchange.answers.pop(0))
        self._stream.write(line + b"\r\n", deadline)

    def _next(self, deadline: Deadline) -> Event:
        """The next event; what may be sent is sent before waiting for it."""
        while True:
            event = self._engine.next_event()
            if isinstance(event, EndOfStream):
                raise NetworkError(f"{deadline.step}: the server closed the connection")
            if event is not None:
                return event
            # After next_event(), which may have taken the server's go-ahead for a literal.
            out = self._engine.outgoing()
            if out:
                self._stream.write(out, deadline)
            self._engine.receive(self._stream.read(deadline, self._engine.expected))

    def _learn(self, status: Status) -> None:
        if status.code == "CAPABILITY":
            self._capabilities = capabilities(status.args)

    # ------------------------------------------------------------ waiting

    def begin(self, command: Command, on_data: OnData) -> Status | None:
        """Send a command that lasts until `end`, as IDLE does (RFC 2177).

        :param on_data: called with each untagged answer meanwhile.
        :returns: None once the server has begun; or its refusal, and it is not asked again in this session.
        """
        with self._intact():
            self._take_unasked(Router([Exchange(command, on_data)]))
            self._lasting = self._engine.start(command)
            self._engine.max_response = _MAX_OPENING  # nothing long is due, and many sessions may wait
            deadline = self._stream.deadline(command.name)
            while self._lasting:
                event = self._next(deadline)
                if isinstance(event, Continuation):
                    return None
                refusal = self._hand_out_waiting(event, on_data)
        self._capabilities -= {command.name}
        return refusal

    def take(self, on_data: OnData) -> Status | None:
        """Hand out what has come, without waiting for more.

        :returns: how the server has ended the command, if it has; after a refusal it is not asked again in
            this session.
        """
        with self._intact():
            data = self._stream.read_now()
            if data is not None:
                self._engine.receive(data)
            end = None
            while (event := self._engine.next_event()) is not None:
                if isinstance(event, EndOfStream):
                    raise NetworkError("the IMAP server closed the connection")
                end = self._hand_out_waiting(event, on_data) or end
        if end and end.kind != "OK":
            self._capabilities -= {"IDLE"}
        return end

    def end(self, line: bytes, on_data: OnData) -> None:
        """End the command by a line (DONE); nothing is sent if the server has ended it."""
        with self._intact():
            deadline = self._stream.deadline("end of the wait")
            if self._lasting:
                self._stream.write(line + b"\r\n", deadline)
            while self._lasting:
                self._hand_out_waiting(self._next(deadline), on_data)

    def _hand_out_waiting(self, event: Event, on_data: OnData) -> Status | None:
        """Returns the status if it ends the command that lasts."""
        if isinstance(event, Status) and event.tag != "*":
            if event.tag != self._lasting:
                raise ProtocolError(NOT_ASKED)
            self._lasting = ""
            self._engine.max_response = MAX_RESPONSE
            return event
        self._hand_out(event, Router([Exchange(commands.simple("IDLE"), on_data)]))
        return None

    @property
    def stream(self) -> Stream:
        """Where the octets come from, for an event loop to watch."""
        return self._stream

    def hang_up(self) -> None:
        """Sign out without waiting for the answer, and close; never blocks, never raises."""
        if not self._broken:
            self._broken = "it was closed"
            self._engine.start(commands.simple("LOGOUT"))
            self._stream.write_now((b"DONE\r\n" if self._lasting else b"") + self._engine.outgoing())
        self._stream.close()

    # ------------------------------------------------------------ closing

    def close(self) -> None:
        """Sign out, briefly, and close; never raises."""
        if not self._broken:
            self._stream.timeout = min(self._stream.timeout, _LOGOUT_TIMEOUT)
            self._signed_in = False
            with suppress(EmailError):  # BYE is the usual answer; what else may come matters to nobody now
                self.run(commands.simple("LOGOUT"))
            self._broken = "it was signed out"
        self._stream.close()


def _size(event: Event, *, kept: bool) -> int:
    """Octets of memory that an answer takes."""
    overhead = _KEPT if kept else _PASSED_ON
    if isinstance(event, Data):
        return overhead + sum(len(piece) for piece in event.pieces if isinstance(piece, bytes))
    if isinstance(event, Status):
        return overhead + len(event.args) + len(event.text)
    return 0 if isinstance(event, LiteralPiece) else overhead
