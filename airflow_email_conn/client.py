"""Opens what a connection describes. The only place that chooses a protocol."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from airflow_email_conn.errors import AuthenticationError, CapabilityError
from airflow_email_conn.model.server import Credential
from airflow_email_conn.token_store import MemoryTokenStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_email_conn.backends.base import Mailbox, OnStep, Renew, Sender
    from airflow_email_conn.model.draft import Draft, SendReceipt
    from airflow_email_conn.model.server import Server
    from airflow_email_conn.model.settings import EmailSettings
    from airflow_email_conn.oauth.keeper import TokenKeeper, Tokens

__all__ = ["open_mailbox", "open_sender", "send"]

T = TypeVar("T")


def _ignore(_step: str) -> None:
    pass


def open_mailbox(
    settings: EmailSettings, *, tokens: Tokens | None = None, on_step: OnStep = _ignore
) -> Mailbox:
    """Connect to the incoming side and sign in.

    :param tokens: where OAuth tokens rest; None for this call only, which does for an application.
    :param on_step: told the name of each step before it: token (OAuth), resolve, connect, TLS, greeting,
        sign in; mailbox (Microsoft 365).
    :raises CapabilityError: the connection has no incoming side.
    :raises SignInRequiredError: a person must sign in by OAuth.
    :raises ConnectError, TLSError, DeadlineError, AuthenticationError, UnavailableError, ProtocolError:
    """
    server = _usable(settings.incoming, settings, "incoming", "host")
    return _signed_in(server, tokens, on_step, lambda ready, renew: _mailbox(ready, on_step, renew))


def open_sender(
    settings: EmailSettings, *, tokens: Tokens | None = None, on_step: OnStep = _ignore
) -> Sender:
    """Connect to the outgoing side and sign in. Parameters and errors as `open_mailbox`."""
    server = _usable(settings.outgoing, settings, "outgoing", "outgoing_host")
    from_address = settings.from_address
    return _signed_in(
        server, tokens, on_step, lambda ready, renew: _sender(ready, from_address, on_step, renew)
    )


def send(settings: EmailSettings, draft: Draft, *, tokens: Tokens | None = None) -> SendReceipt:
    """Send one mail. What is wrong with the draft is found before a connection is made.

    :raises DraftError: it cannot be composed.
    :raises RefusedError, DeliveryUnknownError: and all that `open_sender` raises.
    """
    from airflow_email_conn.wire.compose import message  # noqa: PLC0415 - loaded when needed

    _usable(settings.outgoing, settings, "outgoing", "outgoing_host")
    message.check(draft, sender=settings.from_address)
    with open_sender(settings, tokens=tokens) as sender:
        return sender.send(draft)


# ------------------------------------------------------------ the protocol


def _mailbox(server: Server, on_step: OnStep, renew: Renew) -> Mailbox:
    if server.protocol == "imap":
        from airflow_email_conn.backends.imap.mailbox import ImapMailbox  # noqa: PLC0415 - loaded when needed

        return ImapMailbox.open(server, on_step)
    if server.protocol == "pop3":
        from airflow_email_conn.backends.pop3.mailbox import Pop3Mailbox  # noqa: PLC0415 - loaded when needed

        return Pop3Mailbox.open(server, on_step)
    from airflow_email_conn.backends.graph.mailbox import GraphMailbox  # noqa: PLC0415 - loaded when needed

    return GraphMailbox.open(server, on_step, renew)


def _sender(server: Server, from_address: str, on_step: OnStep, renew: Renew) -> Sender:
    if server.protocol == "smtp":
        from airflow_email_conn.backends.smtp.sender import SmtpSender  # noqa: PLC0415 - loaded when needed

        return SmtpSender.open(server, from_address=from_address, on_step=on_step)
    from airflow_email_conn.backends.graph.sender import GraphSender  # noqa: PLC0415 - loaded when needed

    return GraphSender.open(server, from_address=from_address, on_step=on_step, renew=renew)


def _usable(server: Server | None, settings: EmailSettings, direction: str, field: str) -> Server:
    """The server of a direction, if there is one."""
    if server is None:
        fill_in = f"fill in {field}, and " if settings.connection_type == "standard" else ""
        raise CapabilityError(
            f"the connection has no {direction} side: {fill_in}switch {direction}_protocol on"
        )
    return server


# ------------------------------------------------------------ the sign-in


def _signed_in(
    server: Server, tokens: Tokens | None, on_step: OnStep, opened: Callable[[Server, Renew], T]
) -> T:
    """What `opened` gives, with an access token in the place of an OAuth credential.

    A refused token is renewed once: it may have been withdrawn, or the clocks differ. Microsoft Graph, whose
    sessions outlive a token, renews by itself, also later.
    """
    if server.credential.oauth is None:
        return opened(server, _no_renewal)
    from airflow_email_conn.oauth import keeper  # noqa: PLC0415 - only OAuth needs it

    keeping = (tokens or keeper.Tokens(MemoryTokenStore())).of(server)
    on_step("token")
    signed_in = _SignedIn(server, keeping)
    try:
        return opened(signed_in.ready, signed_in.renew)
    except AuthenticationError as exc:
        if server.protocol == "graph":
            raise signed_in.explained(exc) from exc
    on_step("token")
    signed_in.renew("")
    try:
        return opened(signed_in.ready, signed_in.renew)
    except AuthenticationError as exc:
        raise signed_in.explained(exc) from exc


class _SignedIn:
    """A server, and the token for it as it is now."""

    def __init__(self, server: Server, keeping: TokenKeeper) -> None:
        self._server, self._keeping = server, keeping
        self._record = keeping.token()

    @property
    def ready(self) -> Server:
        return replace(self._server, credential=self._bearer())

    def renew(self, claims: str) -> Credential:
        """Another token than the last one. :param claims: see `Renew`."""
        self._record = self._keeping.renewed(self._record, claims)
        return self._bearer()

    def explained(self, refusal: AuthenticationError) -> AuthenticationError:
        """The refusal, with what the token itself tells about it."""
        from airflow_email_conn.oauth.claims import mismatch  # noqa: PLC0415 - only OAuth needs it

        why = mismatch(self._record.access_token, self._server.protocol, self._server.credential.user)
        message = f"{refusal.message}; {why}" if why else refusal.message
        return type(refusal)(message, refusal.server_text)

    def _bearer(self) -> Credential:
        record, user = self._record, self._server.credential.user
        return Credential("bearer", user, record.access_token, expires_at=record.expires_at)


def _no_renewal(_claims: str) -> Credential:
    raise AuthenticationError("the access token is not taken, and there is no OAuth sign-in to renew it")
