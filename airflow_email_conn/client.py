"""Opens what a connection describes. The only place that chooses a protocol."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from airflow_email_conn.errors import AuthenticationError, CapabilityError
from airflow_email_conn.model.server import Credential
from airflow_email_conn.token_store import MemoryTokenStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_email_conn.backends.base import Mailbox, OnStep, Sender
    from airflow_email_conn.model.draft import Draft, SendReceipt
    from airflow_email_conn.model.server import Server
    from airflow_email_conn.model.settings import EmailSettings
    from airflow_email_conn.oauth.keeper import Tokens
    from airflow_email_conn.oauth.record import TokenRecord

__all__ = ["open_mailbox", "open_sender", "send"]

T = TypeVar("T")

# The field that an error leads to.
_PROTOCOL_FIELDS: Final = {"graph": "connection_type"}


def _ignore(_step: str) -> None:
    pass


def open_mailbox(
    settings: EmailSettings, *, tokens: Tokens | None = None, on_step: OnStep = _ignore
) -> Mailbox:
    """Connect to the incoming side and sign in.

    :param tokens: where OAuth tokens rest; None for this call only, which does for an application.
    :param on_step: told the name of each step before it: token (OAuth), resolve, connect, TLS, greeting,
        sign in.
    :raises CapabilityError: the connection has no incoming side, or one that this version cannot use.
    :raises SignInRequiredError: a person must sign in by OAuth.
    :raises ConnectError, TLSError, DeadlineError, AuthenticationError, UnavailableError, ProtocolError:
    """
    server = _usable(settings.incoming, "incoming", "host")
    return _signed_in(server, tokens, on_step, lambda ready: _mailbox(ready, on_step))


def open_sender(
    settings: EmailSettings, *, tokens: Tokens | None = None, on_step: OnStep = _ignore
) -> Sender:
    """Connect to the outgoing side and sign in. Parameters and errors as `open_mailbox`."""
    server = _usable(settings.outgoing, "outgoing", "outgoing_host")
    return _signed_in(server, tokens, on_step, lambda ready: _sender(ready, settings.from_address, on_step))


def send(settings: EmailSettings, draft: Draft, *, tokens: Tokens | None = None) -> SendReceipt:
    """Send one mail. What is wrong with the draft is found before a connection is made.

    :raises DraftError: it cannot be composed.
    :raises RefusedError, DeliveryUnknownError: and all that `open_sender` raises.
    """
    from airflow_email_conn.wire.compose import message  # noqa: PLC0415 - loaded when needed

    _usable(settings.outgoing, "outgoing", "outgoing_host")
    message.check(draft, sender=settings.from_address)
    with open_sender(settings, tokens=tokens) as sender:
        return sender.send(draft)


# ------------------------------------------------------------ the protocol


def _mailbox(server: Server, on_step: OnStep) -> Mailbox:
    if server.protocol == "imap":
        from airflow_email_conn.backends.imap.mailbox import ImapMailbox  # noqa: PLC0415 - loaded when needed

        return ImapMailbox.open(server, on_step)
    if server.protocol == "pop3":
        from airflow_email_conn.backends.pop3.mailbox import Pop3Mailbox  # noqa: PLC0415 - loaded when needed

        return Pop3Mailbox.open(server, on_step)
    raise _not_yet(server)


def _sender(server: Server, from_address: str, on_step: OnStep) -> Sender:
    if server.protocol == "smtp":
        from airflow_email_conn.backends.smtp.sender import SmtpSender  # noqa: PLC0415 - loaded when needed

        return SmtpSender.open(server, from_address=from_address, on_step=on_step)
    raise _not_yet(server)


def _usable(server: Server | None, direction: str, field: str) -> Server:
    """The server of a direction, if there is one that can be used."""
    if server is None:
        raise CapabilityError(
            f"the connection has no {direction} side; fill in {field}, and switch {direction}_protocol on"
        )
    if server.protocol in _PROTOCOL_FIELDS:
        raise _not_yet(server)
    return server


def _not_yet(server: Server) -> CapabilityError:
    field = _PROTOCOL_FIELDS[server.protocol]
    return CapabilityError(f"the protocol {server.protocol!r} is not available in this version: see {field}")


# ------------------------------------------------------------ the sign-in


def _signed_in(server: Server, tokens: Tokens | None, on_step: OnStep, opened: Callable[[Server], T]) -> T:
    """What `opened` gives, with an access token in the place of an OAuth credential.

    A refused token is renewed once: it may have been withdrawn, or the clocks differ.
    """
    if server.credential.oauth is None:
        return opened(server)
    from airflow_email_conn.oauth import keeper  # noqa: PLC0415 - only OAuth needs it

    keeping = (tokens or keeper.Tokens(MemoryTokenStore())).of(server)
    on_step("token")
    record = keeping.token()
    try:
        return opened(_bearing(server, record))
    except AuthenticationError:
        on_step("token")
        renewed = keeping.renewed(record)
    try:
        return opened(_bearing(server, renewed))
    except AuthenticationError as exc:
        from airflow_email_conn.oauth.claims import mismatch  # noqa: PLC0415 - only OAuth needs it

        why = mismatch(renewed.access_token, server.protocol, server.credential.user)
        raise AuthenticationError(f"{exc.message}; {why}" if why else exc.message, exc.server_text) from exc


def _bearing(server: Server, record: TokenRecord) -> Server:
    user = server.credential.user
    credential = Credential("bearer", user, record.access_token, expires_at=record.expires_at)
    return replace(server, credential=credential)
