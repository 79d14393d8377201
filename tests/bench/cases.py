"""What is measured: the same job by this package and by a peer, each in a process of its own.

A case is a function of the servers' addresses; it imports what it needs, then calls `begin()`, then works.
"""

from __future__ import annotations

import base64
import email
import smtplib
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any, TypeAlias

__all__ = ["CASES"]

Begin: TypeAlias = Callable[[], None]
Place: TypeAlias = dict[str, Any]


def _server(place: Place, protocol: str) -> Any:
    from airflow_email_conn.model.server import Credential, Server  # noqa: PLC0415

    credential = Credential("secret", place["user"], place["password"])
    if protocol == "smtp":
        return Server("smtp", "127.0.0.1", place["sink"], "none", timeout=60)
    return Server("imap", "localhost", place["imaps"], credential=credential, ca_certificates=place["ca"])


def _client(place: Place) -> Any:
    from imapclient import IMAPClient  # noqa: PLC0415

    context = ssl.create_default_context(cafile=place["ca"])
    client = IMAPClient("localhost", place["imaps"], ssl_context=context)
    client.login(place["user"], place["password"])
    client.select_folder("INBOX", readonly=True)
    return client


def list_ours(place: Place, begin: Begin) -> int:
    """Envelopes and attachment lists of the whole folder."""
    from airflow_email_conn.backends.imap.mailbox import ImapMailbox  # noqa: PLC0415
    from airflow_email_conn.model.query import MailQuery  # noqa: PLC0415

    with ImapMailbox.open(_server(place, "imap"), lambda _step: None) as mailbox:
        begin()
        return sum(len(mail.attachments) for mail in mailbox.search(MailQuery()))


def list_imapclient(place: Place, begin: Begin) -> int:
    """The same by ENVELOPE and BODYSTRUCTURE."""
    client = _client(place)
    begin()
    fetched = client.fetch(
        client.search("ALL"), ["FLAGS", "RFC822.SIZE", "INTERNALDATE", "ENVELOPE", "BODYSTRUCTURE"]
    )
    return sum(str(items[b"BODYSTRUCTURE"]).lower().count("report.csv") for items in fetched.values())


def whole_ours(place: Place, begin: Begin) -> int:
    """Every mail fetched and parsed."""
    from airflow_email_conn.backends.imap.mailbox import ImapMailbox  # noqa: PLC0415
    from airflow_email_conn.model.query import MailQuery  # noqa: PLC0415

    with ImapMailbox.open(_server(place, "imap"), lambda _step: None) as mailbox:
        begin()
        return sum(
            len(mailbox.fetch(mail.ref).attachments) for mail in mailbox.search(MailQuery(), limit=500)
        )


def whole_imapclient(place: Place, begin: Begin) -> int:
    """The same with the standard library's parser."""
    from email.policy import default  # noqa: PLC0415

    client = _client(place)
    begin()
    total = 0
    for uid in client.search("ALL")[:500]:
        raw = client.fetch([uid], ["BODY.PEEK[]"])[uid][b"BODY[]"]
        total += len(list(email.message_from_bytes(raw, policy=default).iter_attachments()))
    return total


def save_ours(place: Place, begin: Begin) -> int:
    """One large attachment to disk."""
    from airflow_email_conn.backends.imap.mailbox import ImapMailbox  # noqa: PLC0415
    from airflow_email_conn.model.query import MailQuery  # noqa: PLC0415

    with ImapMailbox.open(_server(place, "imap"), lambda _step: None) as mailbox:
        (mail,) = mailbox.search(MailQuery(), folder="Large")
        begin()
        with Path(place["scratch"]).open("wb") as file:
            return mailbox.save(mail.attachments[0], file)


def save_imapclient(place: Place, begin: Begin) -> int:
    """The same by one FETCH of the part."""
    client = _client(place)
    client.select_folder("Large", readonly=True)
    (uid,) = client.search("ALL")
    begin()
    data = base64.b64decode(client.fetch([uid], ["BODY.PEEK[2]"])[uid][b"BODY[2]"])
    return Path(place["scratch"]).write_bytes(data)


def send_ours(place: Place, begin: Begin) -> int:
    """One large attachment from disk."""
    from airflow_email_conn.backends.smtp.sender import SmtpSender  # noqa: PLC0415
    from airflow_email_conn.model.draft import Draft  # noqa: PLC0415

    draft = Draft(to=["b@example.test"], subject="large", text="x", attachments=[place["large"]])
    begin()
    with SmtpSender.open(_server(place, "smtp"), from_address="a@example.test") as sender:
        return len(sender.send(draft).accepted)


def send_smtplib(place: Place, begin: Begin) -> int:
    """The same by EmailMessage and smtplib."""
    begin()
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@example.test", "b@example.test", "large"
    mail.set_content("x")
    mail.add_attachment(
        Path(place["large"]).read_bytes(), "application", "octet-stream", filename="large.bin"
    )
    with smtplib.SMTP("127.0.0.1", place["sink"]) as client:
        client.send_message(mail)
    return 1


CASES: dict[str, tuple[Callable[[Place, Begin], int], ...]] = {
    "list 2,000 mails with attachments": (list_ours, list_imapclient),
    "fetch and parse 500 mails": (whole_ours, whole_imapclient),
    "save a 30 MB attachment": (save_ours, save_imapclient),
    "send a 30 MB attachment": (send_ours, send_smtplib),
}
