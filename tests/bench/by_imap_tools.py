"""The jobs by imap_tools, in its fastest ways. It has no POP3, and fetches whole mails or headers."""

from __future__ import annotations

import ssl
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from imap_tools import AND, MailBox, MailBoxUnencrypted

from tests.bench.mails import CONNECTIONS, PATTERN, SENDER
from tests.servers.base import HOST

if TYPE_CHECKING:
    from imap_tools import MailMessage
    from imap_tools.mailbox import BaseMailBox

    from tests.bench.case import Begin, Place

__all__ = [
    "connect_often",
    "find_reports",
    "list_all_at_once",
    "list_all_in_bulks",
    "read_all_at_once",
    "read_all_in_bulks",
    "save_large",
]

_BULK = 500


def find_reports(place: Place, begin: Begin) -> None:
    """One FETCH of all mails of the sender."""
    begin()
    with _box(place) as box:
        for mail in box.fetch(AND(from_=SENDER), bulk=True, mark_seen=False):
            for file in mail.attachments:
                if fnmatch(file.filename, PATTERN):
                    Path(place.out, file.filename).write_bytes(file.payload)


def list_all_at_once(place: Place, begin: Begin) -> int:
    """One FETCH of all headers."""
    begin()
    with _box(place) as box:
        return sum(map(_is_listed, box.fetch(headers_only=True, bulk=True, mark_seen=False)))


def list_all_in_bulks(place: Place, begin: Begin) -> int:
    """A FETCH for each 500."""
    begin()
    with _box(place) as box:
        return sum(map(_is_listed, box.fetch(headers_only=True, bulk=_BULK, mark_seen=False)))


def _is_listed(mail: MailMessage) -> bool:
    """Look at what a list shows; imap_tools parses it now."""
    return bool(mail.uid and mail.subject and mail.from_ and mail.to and mail.date)


def read_all_at_once(place: Place, begin: Begin) -> int:
    """One FETCH of all mails."""
    begin()
    with _box(place) as box:
        return sum(map(_is_read, box.fetch(bulk=True, mark_seen=False)))


def read_all_in_bulks(place: Place, begin: Begin) -> int:
    """A FETCH for each 500."""
    begin()
    with _box(place) as box:
        return sum(map(_is_read, box.fetch(bulk=_BULK, mark_seen=False)))


def _is_read(mail: MailMessage) -> bool:
    """Look at what this package has parsed in any case."""
    return _is_listed(mail) and len(mail.html) + len(mail.attachments) >= 0 and bool(mail.text)


def save_large(place: Place, begin: Begin) -> None:
    """The payload of the attachment."""
    begin()
    with _box(place) as box:
        for mail in box.fetch(mark_seen=False):
            Path(place.out, "large.bin").write_bytes(mail.attachments[0].payload)


def connect_often(place: Place, begin: Begin) -> None:
    """Sign in over TLS, and out, each with the context that `ssl` recommends."""
    begin()
    for _ in range(CONNECTIONS):
        context = ssl.create_default_context(cafile=place.ca)
        with MailBox("localhost", place.port, ssl_context=context).login(place.user, place.password):
            pass


def _box(place: Place) -> BaseMailBox:
    return MailBoxUnencrypted(HOST, place.port).login(place.user, place.password, place.folder)
