"""A mailbox on Dovecot that the official IMAP hook and ours both reach, and mails for it."""

from __future__ import annotations

import json
from email.message import EmailMessage
from email.policy import SMTP
from typing import TYPE_CHECKING, Any

from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn.model.query import MailQuery

if TYPE_CHECKING:
    import pytest

    from tests.servers.bed import Bed

__all__ = ["HEAD", "PDF", "USER", "Site", "mail", "raw"]

USER = "alice@example.test"
PDF = b"%PDF-1.7\n" + bytes(range(256)) * 40
HEAD = b"From: a@acme.com\r\nSubject: s\r\nMIME-Version: 1.0\r\n"


class Site:
    """One mailbox with a connection for either hook."""

    def __init__(self, bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bed = bed
        self._monkeypatch = monkeypatch
        bed.empty(USER)
        # The official hook trusts no authority but the system's, so it goes without TLS.
        self.define("official", conn_type="imap", port=bed.imap_port, extra={"use_ssl": False})
        self.define("imap_default")

    def define(self, conn_id: str, **changes: Any) -> None:
        """A connection, of type `email` unless told otherwise."""
        form = {
            "conn_type": "email",
            "host": "localhost",
            "port": self.bed.imaps_port,
            "login": USER,
            "password": self.bed.users[USER],
            "extra": {"outgoing_protocol": "none", "ca_certificates": str(self.bed.ca), "timeout": 5},
            **changes,
        }
        self._monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(form))

    def append(self, *mails: bytes, folder: str = "INBOX", flags: str = "") -> None:
        """Put mails into a folder, in this order."""
        for mail in mails:
            self.bed.append(USER, mail, folder, flags)

    def seen(self) -> list[bool]:
        """Which mails of INBOX are marked as read."""
        with EmailHook("imap_default").mailbox() as mailbox:
            return [mail.seen for mail in mailbox.search(MailQuery())]


def mail(*files: tuple[bytes, str, str], disposition: str = "attachment", **options: Any) -> bytes:
    """A mail with files: content, content type, name."""
    message = EmailMessage(policy=SMTP)
    message["From"] = "Ann <ann@acme.com>"
    message["Subject"] = "Files"
    message.set_content("Hi")
    for content, content_type, name in files:
        main, sub = content_type.split("/")
        message.add_attachment(content, main, sub, filename=name, disposition=disposition, **options)
    return message.as_bytes()


def raw(headers: str, body: bytes) -> bytes:
    """A multipart with one part, as a sender wrote it."""
    return (
        HEAD
        + b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\nHi\r\n--b\r\n'
        + headers.encode("latin-1").replace(b"\n", b"\r\n")
        + b"\r\n\r\n"
        + body
        + b"\r\n--b--\r\n"
    )
