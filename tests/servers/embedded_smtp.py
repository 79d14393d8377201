"""The SMTP half of the embedded servers: aiosmtpd, with refusals by address (see ``addresses``)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.servers.addresses import ACCEPTED_SPECIAL, AddressPolicy
from tests.servers.base import HOST

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Mapping

__all__ = ["MESSAGE_SIZE_LIMIT", "SmtpPorts"]

MESSAGE_SIZE_LIMIT = 2_000_000

#: RFC 4954 section 4 allows AUTH lines of this size; aiosmtpd only 512 bytes.
_AUTH_LINE_LIMIT = 12288


class _Session(Session):
    """aiosmtpd's session without the property that it warns about and sets itself at each sign-in."""

    login_data = None


class _Receiver:
    """aiosmtpd's handler: decides about recipients and delivers what was accepted."""

    def __init__(
        self, users: Mapping[str, str], domain: str, deliver: Callable[[str, bytes], Awaitable[None]]
    ) -> None:
        self._logins = {login.lower(): login for login in users}
        self._domain = domain
        self._deliver = deliver
        self._policy = AddressPolicy()
        first = next(iter(users))
        self._logins |= {f"{local}@{domain}": self._logins.get(f"{local}@{domain}", first)
                         for local in ACCEPTED_SPECIAL}  # fmt: skip

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Leave out the AUTH line that aiosmtpd writes also when there is no mechanism."""
        session.host_name = hostname
        return [line for line in responses if line.strip() != "250-AUTH"]

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Accept or refuse one recipient."""
        await asyncio.sleep(self._policy.delay(address))
        refusal = self._policy.refuse_recipient(envelope.mail_from or "", address)
        if refusal is None and not address.lower().endswith(f"@{self._domain}"):
            refusal = "554 5.7.1 relay access denied (test)"
        if refusal is None and address.lower() not in self._logins:
            refusal = "550 5.1.1 no such user (test)"
        if refusal is not None:
            if refusal.startswith("421"):
                assert isinstance(server.transport, asyncio.BaseTransport)
                server.loop.call_later(0.05, server.transport.close)  # after the answer is out
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Deliver to each recipient, unless the sender is one that is refused here."""
        refusal = self._policy.refuse_content(envelope.mail_from or "")
        if refusal is not None:
            return refusal
        assert isinstance(envelope.content, bytes)
        raw = f"Return-Path: <{(envelope.mail_from or '').strip('<>')}>\r\n".encode() + envelope.content
        for login in dict.fromkeys(self._logins[address.lower()] for address in envelope.rcpt_tos):
            await self._deliver(login, raw)
        return "250 2.0.0 Ok: delivered"


class _Connection(SMTP):
    """One client; knows that TLS from the start is TLS, which aiosmtpd does not."""

    def __init__(self, ports: SmtpPorts, *, sign_in: bool, context: ssl.SSLContext | None) -> None:
        super().__init__(
            ports.receiver,
            data_size_limit=MESSAGE_SIZE_LIMIT,
            enable_SMTPUTF8=True,
            hostname="localhost",
            ident="test server",
            tls_context=context,
            auth_required=sign_in,
            auth_exclude_mechanism=() if sign_in else ("LOGIN", "PLAIN"),
            authenticator=ports.authenticate,
            loop=asyncio.get_running_loop(),
        )
        self.command_size_limits["AUTH"] = _AUTH_LINE_LIMIT
        self._ports = ports

    def _create_session(self) -> Session:
        return _Session(self.loop)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the client, so that ``SmtpPorts.stop`` can drop it."""
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)
        self._ports.transports.add(transport)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and self._tls_protocol is None:
            # AUTH is offered, and STARTTLS is not, by these two attributes, set after STARTTLS only.
            self._tls_protocol = tls
            assert self.session is not None
            self.session.ssl = {"ssl_object": tls}

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the client."""
        self._ports.transports = {t for t in self._ports.transports if not t.is_closing()}
        super().connection_lost(error)


class SmtpPorts:
    """The three SMTP ports.

    :param users: password by login.
    :param deliver: called with login and message for each accepted recipient.
    """

    def __init__(
        self,
        users: Mapping[str, str],
        domain: str,
        context: ssl.SSLContext,
        deliver: Callable[[str, bytes], Awaitable[None]],
    ) -> None:
        """Prepare; ``start`` begins to listen."""
        self.receiver = _Receiver(users, domain, deliver)
        self.transports: set[asyncio.Transport] = set()
        self._users = users
        self._context = context
        self._servers: list[asyncio.Server] = []

    async def start(self) -> tuple[int, int, int]:
        """Begin to listen and return the ports: without sign-in, submission with STARTTLS, implicit TLS."""
        smtp = await self._listen(None, lambda: _Connection(self, sign_in=False, context=self._context))
        submission = await self._listen(None, lambda: _Connection(self, sign_in=True, context=self._context))
        smtps = await self._listen(self._context, lambda: _Connection(self, sign_in=True, context=None))
        return smtp, submission, smtps

    async def stop(self) -> None:
        """Stop listening and drop all clients, whatever they are doing."""
        for server in self._servers:
            server.close()
        for transport in self.transports:
            transport.abort()

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, credentials: object
    ) -> AuthResult:
        """Check a sign-in for aiosmtpd."""
        assert isinstance(credentials, LoginPassword)
        password = self._users.get(credentials.login.decode("utf-8", "replace"))
        good = password is not None and password.encode() == credentials.password
        return AuthResult(success=good, handled=False, auth_data=credentials)

    async def _listen(self, context: ssl.SSLContext | None, connection: Callable[[], _Connection]) -> int:
        server = await asyncio.get_running_loop().create_server(connection, HOST, 0, ssl=context)
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port
