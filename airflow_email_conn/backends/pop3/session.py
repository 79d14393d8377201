"""One POP3 connection: connect, encrypt, sign in, run commands. Blocking, with a deadline on every step."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from airflow_email_conn.errors import (
    CapabilityError,
    EmailError,
    NetworkError,
    ProtocolError,
    TLSError,
    UnavailableError,
)
from airflow_email_conn.net import Stream
from airflow_email_conn.trust import Trust
from airflow_email_conn.wire import sasl, tokens
from airflow_email_conn.wire.pop3 import commands, servers
from airflow_email_conn.wire.pop3.engine import Answer, Pop3Engine
from airflow_email_conn.wire.pop3.listing import CapabilityList

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_email_conn.backends.base import OnStep
    from airflow_email_conn.deadline import Deadline
    from airflow_email_conn.model.server import Credential, Server
    from airflow_email_conn.wire.pop3.commands import Command

__all__ = ["Pop3Session", "Request", "Take"]

_MAX_LIST = 64 * 1024 * 1024  # octets of the body of an answer: the ids of 500,000 mails take 40 MB at most
_MAX_CAPABILITIES = 64 * 1024  # the same before the sign-in, when nobody knows yet who answers
_QUIT_TIMEOUT = 2.0  # seconds; a session that ends need not wait for a server that hangs

_NOT_ASKED = "the POP3 server answered a command that was not given"

Take: TypeAlias = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Request:
    """A command, and what becomes of the body of its answer.

    :param take: called with the body, piece by piece.
    :param limit: octets that the body may have; more is a server that never stops.
    :param replies: lines, one to be sent each time the server asks for more (AUTH).
    :param on_asked: called with the text with which it asks.
    """

    command: Command
    take: Take | None = None
    limit: int = _MAX_LIST
    replies: tuple[bytes, ...] = field(default=(), repr=False)
    on_asked: Callable[[str], object] | None = None


class Pop3Session:
    """A signed-in connection.

    After an error of the network or the protocol nobody knows where the stream stands, so it is closed and
    every later call raises NetworkError.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._engine = Pop3Engine()
        self._signed_in = False  # until then answers are short, and come in time
        # None: the server does not say (it is older than RFC 2449)
        self._capabilities: Mapping[str, frozenset[str]] | None = None
        self._has_read = False  # a mail, since the last RSET
        self._broken = ""  # why the session can no longer be used

    @classmethod
    def open(cls, server: Server, on_step: OnStep) -> Pop3Session:
        """Connect, encrypt and sign in.

        :raises SettingsError, CapabilityError: the credential cannot be sent.
        :raises ConnectError, TLSError, DeadlineError, AuthenticationError, UnavailableError, ProtocolError:
        """
        if server.credential.kind not in {"none", "secret", "bearer"}:
            raise CapabilityError("signing in to POP3 by OAuth takes an access token (bearer)")
        token_answers = sasl.bearer(server) if server.credential.kind == "bearer" else {}
        session = cls(Stream.connect(server.host, server.port, server.timeout, on_step))
        try:
            session._greet(server, on_step)
            session._sign_in(server.credential, token_answers, on_step)
        except BaseException:
            session._stream.close()
            raise
        return session

    def has(self, capability: str) -> bool:
        """Whether the server says that it has a capability, by its name in upper case."""
        return self._capabilities is not None and capability in self._capabilities

    @property
    def tells(self) -> bool:
        """Whether the server says at all what it can do."""
        return self._capabilities is not None

    # ------------------------------------------------------------ opening

    def _greet(self, server: Server, on_step: OnStep) -> None:
        trust = Trust.of(server)
        if server.security == "tls":
            on_step("TLS")
            self._stream.start_tls(trust)
        on_step("greeting")
        self._read_greeting()
        self._learn()
        if server.security == "starttls":
            on_step("TLS")
            self._start_tls(trust)
            self._learn()  # RFC 2595 4: what was said in clear text counts no more

    def _read_greeting(self) -> None:
        # A timestamp in it offers APOP (RFC 1939 7), which is MD5 and never used.
        with self._stream.greeting(tls_port=995):
            greeting = self._answer(self._stream.deadline("greeting"))
        if greeting.kind == "ERR":
            raise UnavailableError("the POP3 server turned the connection away", greeting.text)
        if not greeting.ok:
            raise ProtocolError("what answers there is not a POP3 server")

    def _learn(self) -> None:
        """Ask what the server can do (RFC 2449 5)."""
        listed = CapabilityList()
        answer = self.run(Request(commands.CAPA, listed.take, _MAX_CAPABILITIES))
        if servers.is_transient(answer):
            raise servers.refusal("CAPA", answer)
        self._capabilities = listed.found if answer.ok else None

    def _start_tls(self, trust: Trust) -> None:
        """RFC 2595 4, without mercy: no encryption, no sign-in."""
        if self.tells and not self.has("STLS"):
            raise TLSError(
                "the POP3 server does not offer STARTTLS (STLS) on this port; "
                "set the incoming security to 'tls' (port 995) if it speaks TLS from the start"
            )
        answer = self.run(Request(commands.STLS))
        if servers.is_transient(answer):
            raise servers.refusal("STLS", answer)
        if not answer.ok:
            raise TLSError("the POP3 server refused STARTTLS (STLS)", answer.text)
        if self._engine.pending:  # CVE-2011-0411 and its kin: what came before TLS is not the server's word
            raise ProtocolError("data came behind the answer to STLS, before the encryption: refused")
        self._stream.start_tls(trust, agreed=True)
        self._engine = Pop3Engine()

    def _sign_in(
        self, credential: Credential, token_answers: Mapping[str, tuple[bytes, bytes]], on_step: OnStep
    ) -> None:
        on_step("sign in")
        if credential.kind != "none":
            if self.has("UTF8"):  # RFC 6856 2: mails with UTF-8 headers as they are, not in a changed form
                self.run(Request(commands.UTF8))
            if credential.kind == "bearer":
                self._authenticate_by_token(credential, token_answers)
            else:
                self._authenticate(credential.user, credential.secret)
            self._signed_in = True
            self._learn()  # RFC 2449 5: some hold only now, some have become others
        self._signed_in = True

    def _authenticate(self, user: str, secret: str) -> None:
        """Sign in, once, by one mechanism."""
        message = sasl.plain(user, secret)
        self._engine.hide(*sasl.hidden_forms(message), *sasl.hidden_forms(secret.encode()))
        if "PLAIN" in self._mechanisms():
            command = commands.auth("PLAIN", message)
            line = commands.answer(message)
            # RFC 5034 4: a server that asks although it has been told everything is given up.
            replies = (commands.CANCEL if line in command.line else line,)
            answer = self.run(Request(command, replies=replies))
        elif not self.tells or self.has("USER"):
            secretly = commands.password(secret)
            answer = self.run(Request(commands.user(user)))
            if answer.ok:
                answer = self.run(Request(secretly))
        elif not self._stream.encrypted:
            raise CapabilityError(
                "the POP3 server takes no password without encryption: "
                "set the incoming security to 'starttls' or 'tls'"
            )
        else:
            raise CapabilityError("the POP3 server takes no passwords; choose another credential")
        if not answer.ok:
            raise servers.sign_in_refusal(user, answer)

    def _authenticate_by_token(
        self, credential: Credential, token_answers: Mapping[str, tuple[bytes, bytes]]
    ) -> None:
        """Sign in, once, by one mechanism."""
        mechanism = sasl.choose("bearer", self._mechanisms())
        if mechanism is None:
            raise CapabilityError(tokens.demand("POP3", self._mechanisms()))
        hidden = sasl.forms_of(credential.secret, token_answers)
        self._engine.hide(*hidden)
        message, last_word = token_answers[mechanism]
        command = commands.auth(mechanism, message)
        lines = (commands.answer(message), commands.answer(last_word))
        replies = lines[1:] if lines[0] in command.line else lines
        asked: list[str] = []
        with tokens.who_hangs_up(credential.user):
            answer = self.run(Request(command, replies=replies, on_asked=asked.append))
        if not answer.ok:
            objection = sasl.objection(asked[-1] if asked else "", hidden)
            raise servers.token_refusal(credential.user, answer, objection)

    def _mechanisms(self) -> frozenset[str]:
        """SASL mechanisms that the server offers, in upper case."""
        return (self._capabilities or {}).get("SASL", frozenset())

    # ------------------------------------------------------------ commands

    def check(self) -> None:
        """Nothing while the session can be used. :raises NetworkError: it broke or has ended."""
        if self._broken:
            raise NetworkError(f"the POP3 session is closed: {self._broken}")

    def run(self, request: Request) -> Answer:
        """Send one command and take all of its answer."""
        (answer,) = self.run_all([request])
        return answer

    def run_all(self, requests: Sequence[Request]) -> Iterator[Answer]:
        """Send commands, all at once where the server takes them so (PIPELINING, RFC 2449 6.6).

        Take every answer: to leave earlier ends the session, since nobody reads what is on its way. With
        a few hundred commands neither side can be stuck by writing while the other writes.

        :returns: the answer to each, once its body was taken.
        """
        self.check()
        self._broken = "it was left in the middle of an answer"
        try:
            if self.has("PIPELINING") and requests:
                self._write(requests)
            for request in requests:
                if not self.has("PIPELINING"):
                    self._write([request])
                yield self._finish(request)
        except BaseException as exc:  # also KeyboardInterrupt and a failing callback: the stream is half-read
            if not isinstance(exc, GeneratorExit):
                self._broken = exc.message if isinstance(exc, EmailError) else type(exc).__name__
            self._stream.close()
            raise
        self._broken = ""

    def _write(self, requests: Sequence[Request]) -> None:
        if self._engine.pending:  # it would be taken for the answer to what was not asked yet
            raise self._unasked()
        self._has_read = self._has_read or requests[0].command.name == commands.RETR
        lines = b"".join([request.command.line for request in requests])
        self._stream.write(lines, self._deadline(requests[0].command.name))

    def _unasked(self) -> EmailError:
        """Why the server speaks first: Dovecot says -ERR when it is shut down, as IMAP servers say BYE."""
        answer = self._engine.answer()
        if answer and servers.is_transient(answer):
            return UnavailableError("the POP3 server ended the session", answer.text)
        return ProtocolError(_NOT_ASKED)

    def _finish(self, request: Request) -> Answer:
        """Take the answer to a command, with its body."""
        deadline = self._deadline(request.command.name)
        answer = self._answer(deadline)
        for reply in request.replies:
            if answer.kind != "+":
                break
            if request.on_asked:
                request.on_asked(answer.text)
            self._stream.write(reply, deadline)
            answer = self._answer(deadline)
        if answer.kind == "+":
            raise ProtocolError(f"the POP3 server asks for more than {request.command.name} has to say")
        if answer.ok and request.command.has_body:
            self._take_body(request, deadline)
        return answer

    def _take_body(self, request: Request, deadline: Deadline) -> None:
        left = request.limit
        while True:
            piece, last = self._engine.body()
            left -= len(piece)
            if left < 0:
                raise ProtocolError(
                    f"the POP3 server sent more than {request.limit} octets to {request.command.name}"
                )
            if piece and request.take:
                deadline.pause()  # a slow file is not the server's fault
                request.take(piece)
                deadline.resume()
            if last:
                return
            if not self._engine.pending:
                self._receive(deadline)

    def _answer(self, deadline: Deadline) -> Answer:
        while (answer := self._engine.answer()) is None:
            self._receive(deadline)
        return answer

    def _receive(self, deadline: Deadline) -> None:
        data = self._stream.read(deadline)
        if not data:
            raise NetworkError(f"{deadline.step}: the server closed the connection")
        self._engine.receive(data)

    def _deadline(self, step: str) -> Deadline:
        return self._stream.deadline(step, renewable=self._signed_in)

    def commit(self) -> Answer:
        """Say QUIT, which deletes what was marked by DELE, and wait for its answer; the session is over.

        :raises NetworkError: nobody knows.
        """
        answer = self.run(Request(commands.QUIT))
        self._end()
        return answer

    def forget(self) -> list[Request]:
        r"""What makes the server forget which mails were read: Dovecot marks those as \Seen at the end.

        Reading must not change a mailbox. RSET (RFC 1939 5) also takes back every DELE.
        """
        requests = [Request(commands.RSET)] if self._has_read else []
        self._has_read = False
        return requests

    def abandon(self) -> None:
        """Close without a word: then nothing that was marked is deleted (RFC 1939 6)."""
        self._end()

    def close(self) -> None:
        """Say QUIT, briefly, and close; never raises. What was marked by DELE stays."""
        if not self._broken:
            self._stream.timeout = min(self._stream.timeout, _QUIT_TIMEOUT)
            self._signed_in = False
            with suppress(EmailError):  # whatever it says, the session is over
                list(self.run_all([*self.forget(), Request(commands.QUIT)]))
        self._end()

    def _end(self) -> None:
        self._broken = self._broken or "it was signed out"
        self._stream.close()
