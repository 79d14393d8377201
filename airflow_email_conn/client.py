"""Opens what a connection describes. The only place that chooses a protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_email_conn.errors import CapabilityError

if TYPE_CHECKING:
    from airflow_email_conn.backends.base import Mailbox, OnStep, Sender
    from airflow_email_conn.model.draft import Draft, SendReceipt
    from airflow_email_conn.model.server import Server
    from airflow_email_conn.model.settings import EmailSettings

__all__ = ["open_mailbox", "open_sender", "send"]

# The fields that an error leads to.
_CREDENTIAL_FIELDS: Final = {
    "incoming": "credential",
    "outgoing": "outgoing_credential, and credential where that is 'same'",
}
_PROTOCOL_FIELDS: Final = {"graph": "connection_type"}


def _ignore(_step: str) -> None:
    pass


def open_mailbox(settings: EmailSettings, *, on_step: OnStep = _ignore) -> Mailbox:
    """Connect to the incoming side and sign in.

    :param on_step: told the name of each step before it: resolve, connect, TLS, greeting, sign in.
    :raises CapabilityError: the connection has no incoming side, or one that this version cannot use.
    :raises ConnectError, TLSError, DeadlineError, AuthenticationError, UnavailableError, ProtocolError:
    """
    server = _usable(settings.incoming, "incoming", "host")
    if server.protocol == "imap":
        from airflow_email_conn.backends.imap.mailbox import ImapMailbox  # noqa: PLC0415 - loaded when needed

        return ImapMailbox.open(server, on_step)
    if server.protocol == "pop3":
        from airflow_email_conn.backends.pop3.mailbox import Pop3Mailbox  # noqa: PLC0415 - loaded when needed

        return Pop3Mailbox.open(server, on_step)
    raise _not_yet(server)


def open_sender(settings: EmailSettings, *, on_step: OnStep = _ignore) -> Sender:
    """Connect to the outgoing side and sign in. Parameters and errors as `open_mailbox`."""
    server = _usable(settings.outgoing, "outgoing", "outgoing_host")
    if server.protocol == "smtp":
        from airflow_email_conn.backends.smtp.sender import SmtpSender  # noqa: PLC0415 - loaded when needed

        return SmtpSender.open(server, from_address=settings.from_address, on_step=on_step)
    raise _not_yet(server)


def send(settings: EmailSettings, draft: Draft) -> SendReceipt:
    """Send one mail. What is wrong with the draft is found before a connection is made.

    :raises DraftError: it cannot be composed.
    :raises RefusedError, DeliveryUnknownError: and all that `open_sender` raises.
    """
    from airflow_email_conn.wire.compose import message  # noqa: PLC0415 - loaded when needed

    _usable(settings.outgoing, "outgoing", "outgoing_host")
    message.check(draft, sender=settings.from_address)
    with open_sender(settings) as sender:
        return sender.send(draft)


def _usable(server: Server | None, direction: str, field: str) -> Server:
    """The server of a direction, if its sign-in can be done."""
    if server is None:
        raise CapabilityError(
            f"the connection has no {direction} side; fill in {field}, and switch {direction}_protocol on"
        )
    if server.credential.oauth is not None:
        raise CapabilityError(
            f"the {direction} credential {server.credential.kind!r} is not available in this version,"
            f" which signs in with 'secret' or 'none': see {_CREDENTIAL_FIELDS[direction]}"
        )
    return server


def _not_yet(server: Server) -> CapabilityError:
    field = _PROTOCOL_FIELDS[server.protocol]
    return CapabilityError(f"the protocol {server.protocol!r} is not available in this version: see {field}")
