"""One IMAP session: connect, encrypt, sign in. Blocking, with a deadline on every step."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airflow_email_conn.backends.imap.conversation import Conversation
from airflow_email_conn.backends.imap.exchange import Exchange
from airflow_email_conn.errors import CapabilityError, NetworkError, ProtocolError, TLSError
from airflow_email_conn.net import Stream
from airflow_email_conn.trust import Trust
from airflow_email_conn.wire import sasl, tokens
from airflow_email_conn.wire.imap import commands, servers
from airflow_email_conn.wire.imap.engine import Status

if TYPE_CHECKING:
    from airflow_email_conn.backends.base import OnStep
    from airflow_email_conn.model.server import Credential, Server

__all__ = ["ImapSession"]


class ImapSession(Conversation):
    """A signed-in connection, which can be opened again when it broke."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._server = server
        self._token_answers = sasl.bearer(server) if server.credential.kind == "bearer" else {}

    @classmethod
    def open(cls, server: Server, on_step: OnStep) -> ImapSession:
        """Connect, encrypt and sign in.

        :raises SettingsError, CapabilityError: the credential cannot be sent.
        :raises ConnectError, TLSError, DeadlineError, AuthenticationError, UnavailableError, ProtocolError:
        """
        if server.credential.kind not in {"none", "secret", "bearer"}:
            raise CapabilityError("signing in to IMAP by OAuth takes an access token (bearer)")
        session = cls(server)
        session._open(on_step)
        return session

    @property
    def signed_in_until(self) -> float | None:
        """When the access token of the sign-in ends, as time.time; None: never, or not known."""
        return self._server.credential.expires_at

    def reopen(self) -> None:
        """Connect, encrypt and sign in again; then no folder is selected. Raises what `open` does.

        :raises NetworkError: also when the access token has ended meanwhile: only a new one would do.
        """
        self._stream.close()
        end = self._server.credential.expires_at
        if end is not None and time.time() >= end:
            raise NetworkError(
                "the connection is lost, and its access token has ended; open the mailbox anew"
            )
        self._open(lambda _step: None)

    def _open(self, on_step: OnStep) -> None:
        server = self._server
        self._signed_in = False
        self._broken, self._lasting = "it could not be opened", ""
        self._stream = Stream.connect(server.host, server.port, server.timeout, on_step)
        self._begin_anew()
        self._broken = ""
        try:
            self._greet(server, on_step)
            self._sign_in(server, on_step)
        except BaseException as exc:
            self._break(exc)
            raise

    def _greet(self, server: Server, on_step: OnStep) -> None:
        trust = Trust.of(server)
        if server.security == "tls":
            on_step("TLS")
            self._stream.start_tls(trust)
        on_step("greeting")
        greeting = self._read_greeting()
        if server.security == "starttls":
            on_step("TLS")
            self._start_tls(greeting, trust)
        if greeting.kind == "PREAUTH" and server.credential.kind != "none":
            raise ProtocolError("the IMAP server signed us in by itself, as nobody knows whom; refused")

    def _read_greeting(self) -> Status:
        with self._stream.greeting(tls_port=993):
            event = self._next(self._stream.deadline("greeting"))
        if not isinstance(event, Status) or event.tag != "*" or event.kind not in {"OK", "PREAUTH", "BYE"}:
            raise ProtocolError("what answers there is not an IMAP server")
        if event.kind == "BYE":
            raise servers.unavailable("the IMAP server turned the connection away", event)
        self._learn(event)
        return event

    def _start_tls(self, greeting: Status, trust: Trust) -> None:
        if greeting.kind == "PREAUTH":  # RFC 9051 11.3: it would keep us in clear text
            raise TLSError("the IMAP server skips sign-in, and with it STARTTLS: refused to go on in clear")
        self._need_capabilities()
        if not self.has("STARTTLS"):
            raise TLSError(
                "the IMAP server does not offer STARTTLS on this port; "
                "set the incoming security to 'tls' (port 993) if it speaks TLS from the start"
            )
        status = self.run(commands.simple("STARTTLS"))
        if status.kind != "OK":
            raise TLSError("the IMAP server refused STARTTLS", status.text)
        if self._engine.buffered:  # CVE-2011-0411 and its kin: what came before TLS is not the server's word
            raise ProtocolError("data came behind the answer to STARTTLS, before the encryption: refused")
        self._stream.start_tls(trust, agreed=True)
        self._begin_anew()  # RFC 9051 6.2.1: what was said in clear text counts no more

    def _sign_in(self, server: Server, on_step: OnStep) -> None:
        credential = server.credential
        on_step("sign in")
        self._need_capabilities()
        if credential.kind == "bearer":
            self._authenticate_by_token(credential)
            self._need_capabilities()
        elif credential.kind == "secret":
            self._authenticate(credential.user, credential.secret)
            self._need_capabilities()
        self._welcome()

    def _authenticate(self, user: str, secret: str) -> None:
        """Sign in, once, by one mechanism; only the capabilities that come with the answer count after it."""
        message = sasl.plain(user, secret)
        self._engine.hide(*sasl.hidden_forms(message), *sasl.hidden_forms(secret.encode()))
        answers = []
        if self.has("AUTH=PLAIN"):
            answers = [message]
            command = commands.authenticate("PLAIN", message if self.has("SASL-IR") else None)
        elif not self.has("LOGINDISABLED"):
            command = commands.login(user, secret)
        elif not self._stream.encrypted:
            raise CapabilityError(
                "the IMAP server takes no password without encryption: "
                "set the incoming security to 'starttls' or 'tls'"
            )
        else:
            raise CapabilityError("the IMAP server takes no passwords; choose another credential")
        self._capabilities = frozenset()
        exchange = Exchange(command, answers=answers)
        self.run_all([exchange])
        if exchange.status and exchange.status.kind != "OK":
            raise servers.sign_in_refusal(user, exchange.status)

    def _authenticate_by_token(self, credential: Credential) -> None:
        """Sign in, once, by one mechanism."""
        mechanisms = self._mechanisms()
        mechanism = sasl.choose("bearer", mechanisms)
        if mechanism is None:
            raise CapabilityError(tokens.demand("IMAP", mechanisms))
        hidden = sasl.forms_of(credential.secret, self._token_answers)
        self._engine.hide(*hidden)
        message, last_word = self._token_answers[mechanism]
        at_once = self.has("SASL-IR")
        command = commands.authenticate(mechanism, message if at_once else None)
        exchange = Exchange(command, answers=[last_word] if at_once else [message, last_word])
        self._capabilities = frozenset()
        with tokens.who_hangs_up(credential.user):
            self.run_all([exchange])
        if exchange.status and exchange.status.kind != "OK":
            objection = sasl.objection(exchange.challenge, hidden)
            raise servers.token_refusal(credential.user, exchange.status, objection)

    def _mechanisms(self) -> frozenset[str]:
        """SASL mechanisms that the server offers, in upper case."""
        return frozenset(c.removeprefix("AUTH=") for c in self._capabilities if c.startswith("AUTH="))

    def _need_capabilities(self) -> None:
        if not self._capabilities:
            servers.check("CAPABILITY", self.run(commands.simple("CAPABILITY")))
