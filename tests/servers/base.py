"""What every set of test servers offers, whoever answers behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from tests.servers.certificates import Certificate

__all__ = ["HOST", "MailServers", "MailboxServers", "Pop3Servers"]

#: The address whose certificate is good; it carries the names ``localhost`` and ``127.0.0.1``.
HOST = "127.0.0.1"


class MailboxServers(Protocol):
    """An IMAP server and its users.

    The ports listen on ``HOST``. ``imap_port`` offers STARTTLS, ``imaps_port`` begins with TLS.
    """

    @property
    def name(self) -> str:
        """Who answers, as a test id."""

    @property
    def users(self) -> Mapping[str, str]:
        """Password by login; a login is also the user's address."""

    @property
    def ca(self) -> Path:
        """The PEM file with the certificate authority a client has to trust."""

    @property
    def certificate(self) -> Certificate:
        """The servers' good certificate, for a proxy or a scripted server of the test's own."""

    @property
    def imap_port(self) -> int:
        """IMAP in plain text, with STARTTLS."""

    @property
    def imaps_port(self) -> int:
        """IMAP with TLS from the start."""

    def append(
        self, login: str, raw: bytes, folder: str = "INBOX", flags: str = "", when: datetime | None = None
    ) -> None:
        """Put a message into a folder of a user, exactly as given; see ``Mailboxes.append``."""

    def empty(self, login: str) -> None:
        """Delete all messages and all folders of a user, but not INBOX and the special folders."""


class Pop3Servers(MailboxServers, Protocol):
    """An IMAP and a POP3 server of the same mailboxes."""

    @property
    def pop3_port(self) -> int:
        """POP3 in plain text, with STARTTLS."""

    @property
    def pop3s_port(self) -> int:
        """POP3 with TLS from the start."""


class MailServers(MailboxServers, Protocol):
    """An IMAP and an SMTP server that share their users, so that what is sent arrives.

    ``submission_port`` offers STARTTLS, ``smtps_port`` begins with TLS; both want a sign-in first.
    ``smtp_port`` takes mail for ``domain`` without sign-in.
    """

    @property
    def domain(self) -> str:
        """The mail domain that is delivered locally."""

    @property
    def message_size_limit(self) -> int:
        """The biggest message the SMTP ports take, in bytes."""

    @property
    def smtp_port(self) -> int:
        """SMTP for incoming mail, without sign-in."""

    @property
    def submission_port(self) -> int:
        """SMTP submission: STARTTLS, then sign-in."""

    @property
    def smtps_port(self) -> int:
        """SMTP submission with TLS from the start."""
