"""The jobs by this package's core, as its users write them."""

from __future__ import annotations

from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from airflow_email_conn.backends.base import Unfetched
from airflow_email_conn.client import open_mailbox, open_sender
from airflow_email_conn.model.draft import Draft
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.model.server import Credential, Server
from airflow_email_conn.model.settings import EmailSettings
from tests.bench.mails import ATTACHMENTS, CONNECTIONS, PATTERN, SENDER
from tests.servers.base import HOST

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_email_conn.backends.base import Mailbox, What
    from airflow_email_conn.model.message import MailRef
    from tests.bench.case import Begin, Place

__all__ = [
    "connect_often",
    "find_and_read_all",
    "find_large",
    "find_large_pop3",
    "find_reports",
    "list_all",
    "read_all",
    "save_large",
    "save_large_pop3",
    "send_large",
]


def find_reports(place: Place, begin: Begin) -> None:
    """`search` and `save_many`."""
    settings = _ready(place)
    files: dict[What, IO[bytes]] = {}

    def target(what: Any) -> IO[bytes]:
        files[what] = Path(place.out, what.name).open("wb")  # noqa: SIM115 - closed once it is saved
        return files[what]

    begin()
    with open_mailbox(settings) as mailbox:
        mails = mailbox.search(MailQuery(sender=SENDER, attachment=PATTERN), folder=place.folder)
        wanted = [file for mail in mails for file in mail.attachments if fnmatch(file.name, PATTERN)]
        for saved in mailbox.save_many(wanted, target):
            files.pop(saved.what).close()


def list_all(place: Place, begin: Begin) -> int:
    """Envelopes and attachments of all mails; how many mails there are."""
    settings = _ready(place)
    begin()
    mails = attachments = 0
    with open_mailbox(settings) as mailbox:
        for mail in mailbox.search(MailQuery(), folder=place.folder):
            mails += 1
            attachments += len(mail.attachments)
    _check(attachments)
    return mails


def read_all(place: Place, begin: Begin) -> int:
    """`fetch_many` of all mails, which are known; how many have a text."""
    settings = _ready(place)
    with open_mailbox(settings) as mailbox:
        refs = [mail.ref for mail in mailbox.search(MailQuery(), folder=place.folder)]
    begin()
    with open_mailbox(settings) as mailbox:
        return _read(mailbox, refs)


def find_and_read_all(place: Place, begin: Begin) -> int:
    """`search` for all mails and `fetch_many`."""
    settings = _ready(place)
    begin()
    with open_mailbox(settings) as mailbox:
        return _read(mailbox, (mail.ref for mail in mailbox.search(MailQuery(), folder=place.folder)))


def _read(mailbox: Mailbox, refs: Iterable[MailRef]) -> int:
    mails = attachments = 0
    for mail in mailbox.fetch_many(refs):
        if isinstance(mail, Unfetched):
            raise mail.error
        mails += bool(mail.text)
        attachments += len(mail.attachments)
    _check(attachments)
    return mails


def save_large(place: Place, begin: Begin) -> None:
    """`save` of an attachment that is known, as a task knows it from a sensor, by IMAP."""
    _save_known(_ready(place), place, begin)


def find_large(place: Place, begin: Begin) -> None:
    """`search` and `save`, by IMAP."""
    _find_and_save(_ready(place), place, begin)


def save_large_pop3(place: Place, begin: Begin) -> None:
    """As `save_large`, by POP3."""
    _save_known(_ready(place, "pop3"), place, begin)


def find_large_pop3(place: Place, begin: Begin) -> None:
    """As `find_large`, by POP3."""
    _find_and_save(_ready(place, "pop3"), place, begin)


def _save_known(settings: EmailSettings, place: Place, begin: Begin) -> None:
    with open_mailbox(settings) as mailbox:
        (mail,) = mailbox.search(MailQuery(), folder=place.folder)
    begin()
    with open_mailbox(settings) as mailbox, Path(place.out, "large.bin").open("wb") as file:
        mailbox.save(mail.attachments[0], file)


def _find_and_save(settings: EmailSettings, place: Place, begin: Begin) -> None:
    begin()
    with open_mailbox(settings) as mailbox, Path(place.out, "large.bin").open("wb") as file:
        (mail,) = mailbox.search(MailQuery(), folder=place.folder)
        mailbox.save(mail.attachments[0], file)


def connect_often(place: Place, begin: Begin) -> None:
    """Sign in over TLS, and out."""
    settings = _ready(place, security="tls")
    begin()
    for _ in range(CONNECTIONS):
        with open_mailbox(settings):
            pass


def send_large(place: Place, begin: Begin) -> int:
    """A draft with the file's path."""
    server = Server("smtp", HOST, place.port, "none", timeout=60)
    settings = EmailSettings("standard", None, server, from_address="a@example.test")
    draft = Draft(to=["b@example.test"], subject="large", text="x", attachments=[place.large])
    begin()
    with open_sender(settings) as sender:
        return len(sender.send(draft).accepted)


def _ready(place: Place, protocol: str = "imap", security: str = "none") -> EmailSettings:
    """A connection; the backend that it takes is imported."""
    credential = Credential("secret", place.user, place.password)
    host = "localhost" if security == "tls" else HOST
    server = Server(protocol, host, place.port, security, credential=credential, ca_certificates=place.ca)
    import_module(f"airflow_email_conn.backends.{protocol}.mailbox")
    return EmailSettings("standard", server, None)


def _check(attachments: int) -> None:
    if attachments != ATTACHMENTS:
        raise ValueError(f"{attachments} attachments were found instead of {ATTACHMENTS}")
