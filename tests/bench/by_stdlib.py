"""The jobs by Python's standard library."""

from __future__ import annotations

import email
import poplib
import smtplib
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tests.servers.base import HOST

if TYPE_CHECKING:
    from email.message import Message

    from tests.bench.case import Begin, Place

__all__ = ["save_large", "send_large"]


def save_large(place: Place, begin: Begin) -> None:
    """RETR and the parser of `email`."""
    begin()
    client = poplib.POP3(HOST, place.port)
    client.user(place.user)
    client.pass_(place.password)
    mail = email.message_from_bytes(b"\r\n".join(client.retr(1)[1]))
    part = cast("Message", mail.get_payload(1))
    Path(place.out, "large.bin").write_bytes(cast("bytes", part.get_payload(decode=True)))
    client.quit()


def send_large(place: Place, begin: Begin) -> int:
    """EmailMessage and smtplib."""
    begin()
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@example.test", "b@example.test", "large"
    mail.set_content("x")
    mail.add_attachment(Path(place.large).read_bytes(), "application", "octet-stream", filename="large.bin")
    with smtplib.SMTP(HOST, place.port) as client:
        client.send_message(mail)
    return 1
