"""Mails for the contract suites, built by the standard library so that nothing of ours checks itself."""

from __future__ import annotations

from datetime import datetime, timezone
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

__all__ = ["CSV", "PNG", "RECEIVED", "delivered", "invoice", "plain"]

CSV = b"id;amount\r\n1;10.50\r\n2;\xc3\xa4\r\n"
PNG = bytes(range(256)) * 20
RECEIVED = datetime(2026, 3, 14, 9, 26, 53, tzinfo=timezone.utc)


def delivered(raw: bytes, when: datetime = RECEIVED) -> bytes:
    """A mail as it is after the way over a server, which says when that was."""
    stamp = f"Received: from mx.acme.com by mail.example.test (test) id 1;\r\n\t{format_datetime(when)}\r\n"
    return stamp.encode("ascii") + raw


def plain(
    number: int = 1, *, sender: str = "Ann <ann@acme.com>", subject: str = "Hello", text: str = "Hi"
) -> bytes:
    """A mail of one text part."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = "robot@example.test"
    mail["Subject"] = subject
    mail["Date"] = "Sat, 14 Mar 2026 10:26:53 +0100"
    mail["Message-ID"] = f"<plain-{number}@acme.com>"
    mail.set_content(text)
    return mail.as_bytes()


def invoice(number: int = 1, *, csv: bytes = CSV, csv_name: str = "rechnung märz.csv") -> bytes:
    """A mail with text, HTML, an inline picture, a CSV and another mail."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = Address("Müller, Jörg", addr_spec="billing@acme.com")
    mail["To"] = "Robot <robot@example.test>, second@example.test"
    mail["Cc"] = "cc@example.test"
    mail["Reply-To"] = "accounts@acme.com"
    mail["Subject"] = "Rechnung für März € 2026"
    mail["Date"] = "Sat, 14 Mar 2026 10:26:53 +0100"
    mail["Message-ID"] = f"<invoice-{number}@acme.com>"
    mail["In-Reply-To"] = "<order-7@example.test>"
    mail["References"] = "<order-6@example.test> <order-7@example.test>"
    mail.set_content("Grüße\nanbei die Rechnung\n")
    mail.add_alternative('<p>Grüße</p><img src="cid:logo@acme">', subtype="html")
    mail.get_payload()[1].add_related(
        PNG, "image", "png", cid="<logo@acme>", filename="logo.png", disposition="inline"
    )
    mail.add_attachment(csv, "text", "csv", filename=csv_name)
    inner = EmailMessage(policy=SMTP)
    inner["Subject"] = "The order"
    inner["From"] = "robot@example.test"
    inner.set_content("order")
    inner.add_attachment(b"inner", "application", "pdf", filename="inner.pdf")
    mail.add_attachment(inner)
    return mail.as_bytes()
