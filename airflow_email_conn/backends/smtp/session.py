"""An SMTP connection up to the point where mail can be sent: TLS, EHLO and sign-in."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from airflow_email_conn.deadline import Deadline
from airflow_email_conn.errors import (
    AuthenticationError,
    CapabilityError,
    EmailError,
    NetworkError,
    ProtocolError,
    ServerError,
    TLSError,
    UnavailableError,
    clean,
)
from airflow_email_conn.net import Stream
from airflow_email_conn.trust import Trust
from airflow_email_conn.wire import sasl, tokens
from airflow_email_conn.wire.smtp import protocol as smtp
from airflow_email_conn.wire.smtp.refusals import explain

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_email_conn.model.server import Credential, Server

__all__ = ["SmtpSession"]

_QUIT_SECONDS = 5.0
_CHALLENGE = 334  # RFC 4954 4: the sign-in goes on
_CLOSING = 421  # RFC 5321 4.2.3: this connection ends, whatever was asked


class SmtpSession:
    """Commands and replies over one connection. After any error but a refusal it is not to be used again.

    :param hello: this client's name in EHLO; an address literal of the socket when empty.
    """

    def __init__(self, stream: Stream, hello: str) -> None:
        self._stream = stream
        self._parser = smtp.ReplyParser()
        self._hello = hello or _literal(stream.local_address)
        self.extensions = smtp.Extensions()
        self.open = True

    @classmethod
    def connect(cls, server: Server, hello: str, on_step: Callable[[str], None]) -> SmtpSession:
        """Connect, encrypt, greet and sign in, as the server's settings say.

        :param hello: this client's name, or empty.
        :raises SettingsError, CapabilityError: before anything is sent.
        :raises ConnectError, TLSError, DeadlineError, NetworkError, AuthenticationError, ServerError:
        """
        answers = _answers(server)
        stream = Stream.connect(server.host, server.port, server.timeout, on_step)
        session = cls(stream, hello)
        try:
            session._start(server, on_step)
            if answers:
                on_step("sign in")
                session._sign_in(server.credential, answers)
        except BaseException:  # also when the task is cancelled meanwhile: no socket may stay behind
            session.abandon()
            raise
        return session

    @property
    def where(self) -> str:
        """Host and port, for messages."""
        return f"{self._stream.host} port {self._stream.port}"

    def command(self, line: bytes, step: str) -> smtp.Reply:
        """One command and its reply. :raises NetworkError, DeadlineError, ProtocolError, UnavailableError:"""
        if self._parser.pending:  # it would be taken for the answer to what was not asked yet
            reply = self.reply(step)
            raise ProtocolError(f"{self.where} answered before it was asked ({step})", reply.text)
        self.write(line, step)
        return self.reply(step)

    def write(self, data: bytes, step: str) -> None:
        """Send; a deadline for each call, for megabytes as well."""
        self._stream.write(data, self._stream.deadline(step, renewable=True))

    def reply(self, step: str, *, patience: float = 1.0) -> smtp.Reply:
        """The next reply, whatever it says but 421.

        :param patience: times the connection's timeout.
        :raises UnavailableError: the server closes the connection (421).
        :raises NetworkError, DeadlineError, ProtocolError:
        """
        seconds = self._stream.timeout * patience
        reply = self._next(Deadline(seconds, f"{step} at {self.where}"))
        if reply.code == _CLOSING:
            self.abandon()
            raise UnavailableError(f"{self.where} closed the connection ({step})", reply.text)
        return reply

    def abandon(self) -> None:
        """Close without a word: what the server has not answered did not happen."""
        self.open = False
        self._stream.close()

    def reset(self) -> bool:
        """Take back the mail that was begun; whether the session can be used again. Never raises.

        Takes 5 seconds at most: many servers hang up after a refusal, and some fall silent.
        """
        reply = None
        if self.open:
            deadline = Deadline(min(_QUIT_SECONDS, self._stream.timeout), "RSET")
            with contextlib.suppress(EmailError):
                self._stream.write(smtp.RSET, deadline)
                reply = self._next(deadline)
        if reply is None or not reply.positive:
            self.abandon()
            return False
        return True

    def close(self) -> None:
        """Say QUIT and close; never raises, and takes 5 seconds at most."""
        if not self.open:
            return
        self.open = False
        deadline = Deadline(min(_QUIT_SECONDS, self._stream.timeout), "QUIT")
        with contextlib.suppress(EmailError):
            self._stream.write(smtp.QUIT, deadline)
            self._next(deadline)
        self._stream.close()

    def _next(self, deadline: Deadline) -> smtp.Reply:
        reply = self._parser.next()
        while reply is None:
            data = self._stream.read(deadline)
            if not data:
                raise NetworkError(f"{deadline.step}: the server closed the connection")
            self._parser.feed(data)
            reply = self._parser.next()
        return reply

    def _start(self, server: Server, on_step: Callable[[str], None]) -> None:
        trust = Trust.of(server)
        if server.security == "tls":
            on_step("TLS")
            self._stream.start_tls(trust)
        on_step("EHLO")
        self._greeting()
        self._say_hello()
        if server.security == "starttls":
            on_step("TLS")
            self._start_tls(trust)
            on_step("EHLO")
            self._say_hello()  # what was offered without encryption counts no more (RFC 3207 4.2)

    def _greeting(self) -> None:
        with self._stream.greeting(tls_port=465):
            reply = self.reply("greeting")
        if reply.positive:
            return
        error = UnavailableError if reply.temporary else ServerError
        raise error(f"{self.where} does not take connections from here", reply.text)

    def _say_hello(self) -> None:
        reply = self.command(smtp.ehlo(self._hello), "EHLO")
        if reply.code in {500, 501, 502, 504}:  # a server without extensions (RFC 5321 3.2)
            self.extensions = smtp.Extensions()
            reply = self.command(smtp.helo(self._hello), "HELO")
        elif reply.positive:
            self.extensions = smtp.Extensions.of(reply)
        if not reply.positive:
            error = UnavailableError if reply.temporary else ServerError
            raise error(f"{self.where} refused the greeting", reply.text)

    def _start_tls(self, trust: Trust) -> None:
        """RFC 3207, without mercy: no encryption, no mail."""
        if "STARTTLS" not in self.extensions:
            raise TLSError(
                f"{self.where} offers no STARTTLS: choose security 'tls' with its port, "
                "or somebody in between removes the offer; nothing was sent"
            )
        reply = self.command(smtp.STARTTLS, "STARTTLS")
        if reply.code != 220:
            raise TLSError(f"{self.where} refused STARTTLS; nothing was sent", reply.text)
        if self._parser.pending:
            # Whoever sits in between could plant replies that would count as encrypted (CVE-2021-38371).
            raise ProtocolError(f"{self.where} sent more than its answer to STARTTLS: possibly an attack")
        self._stream.start_tls(trust, agreed=True)
        self._parser = smtp.ReplyParser()
        self.extensions = smtp.Extensions()

    def _sign_in(self, credential: Credential, answers: dict[str, tuple[bytes, ...]]) -> None:
        mechanism = sasl.choose(credential.kind, self.extensions.auth)
        if mechanism is None:
            raise CapabilityError(self._no_mechanism(credential))
        hidden = sasl.forms_of(credential.secret, answers)
        self._parser.hide(*hidden)
        pending = list(answers[mechanism])
        line, begun = smtp.auth(mechanism, None if mechanism == "LOGIN" else pending[0])
        del pending[: int(begun)]
        reply = self.command(line, "sign in")
        told = ""
        while reply.code == _CHALLENGE and pending:
            told = reply.text
            reply = self.command(smtp.auth_answer(pending.pop(0)), "sign in")
        if reply.code == _CHALLENGE:
            self.write(smtp.CANCEL, "sign in")
            raise ProtocolError(f"{self.where} asks for more than {mechanism} has to say")
        if not reply.positive:
            raise self._sign_in_error(credential, reply, sasl.objection(told, hidden))

    def _no_mechanism(self, credential: Credential) -> str:
        offered = self.extensions.auth
        if credential.kind == "bearer":
            return f"{self.where}: {tokens.demand('SMTP', offered)}"
        if offered:
            return f"{self.where} offers none of the sign-ins PLAIN and LOGIN, only {sasl.named(offered)}"
        if not self._stream.encrypted and "STARTTLS" in self.extensions:
            return f"{self.where} offers sign-in only after STARTTLS: choose security 'starttls'"
        return (
            f"{self.where} offers no sign-in: choose credential 'none' for outgoing mail, "
            "or the submission port (587 or 465)"
        )

    def _sign_in_error(self, credential: Credential, reply: smtp.Reply, objection: str) -> ServerError:
        if reply.temporary:
            message = f"{self.where} cannot take the sign-in of '{clean(credential.user)}' now"
            return UnavailableError(message, reply.text)
        if credential.kind == "bearer":
            return _refused_token(self.where, reply, credential.user, objection)
        return refused_sign_in(self.where, reply, credential.user)


def refused_sign_in(where: str, reply: smtp.Reply, user: str = "") -> AuthenticationError:
    """The error for a refused or missing credential, with the mend where one is known.

    :param user: who wanted to sign in; empty when the server demands it at a later command.
    """
    known = explain(reply.status, reply.text)
    mend = known.mend if known else "check the user and the secret"
    of_user = f" of '{clean(user)}'" if user else ""
    return AuthenticationError(f"{where} refused the sign-in{of_user}: {mend}", reply.text)


def _refused_token(where: str, reply: smtp.Reply, user: str, objection: str) -> AuthenticationError:
    """The error for a refused access token. :param objection: what the server explained before; or empty."""
    known = explain(reply.status, reply.text)
    mend = (known.token_mend if known else "") or tokens.advice("SMTP AUTH")
    message = f"{where} refused the access token of '{clean(user)}': {mend}"
    return AuthenticationError(message, tokens.explained(reply.text, objection))


def _answers(server: Server) -> dict[str, tuple[bytes, ...]]:
    """What each mechanism will say; empty for no sign-in. Made before connecting."""
    credential = server.credential
    if credential.kind == "none":
        return {}
    if credential.kind == "bearer":
        return {**sasl.bearer(server)}
    if credential.kind != "secret":
        raise CapabilityError(f"sending by SMTP with credential {credential.kind!r} is not possible yet")
    return {
        "PLAIN": (sasl.plain(credential.user, credential.secret),),
        "LOGIN": sasl.login(credential.user, credential.secret),
    }


def _literal(address: str) -> str:
    """An address literal (RFC 5321 4.1.3). Asking for the host's own name could wait for a DNS server."""
    if ":" in address:
        return f"[IPv6:{address.partition('%')[0]}]"
    return f"[{address or '127.0.0.1'}]"
