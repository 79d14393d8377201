"""The folders of every Mailbox, and those that have neither folders nor flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.backends.base import Capabilities
from airflow_email_conn.backends.imap.mailbox import ImapMailbox
from airflow_email_conn.errors import (
    CapabilityError,
    FolderNotFoundError,
    ServerError,
)
from airflow_email_conn.model.message import MailRef
from airflow_email_conn.model.query import MailQuery
from tests.contract.mails import plain
from tests.contract.places import WITH_FOLDERS, Place, ignore, imap_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.cyrus import Cyrus

with_folders = pytest.mark.parametrize("place", WITH_FOLDERS, indirect=True)


NAMES = [
    "Junk Mail",
    "ZUŠ Biskupská",
    "测试",
    "R&D",
    'a"b',
    "per%cent",
    "&",
    "+plus",
    "Käse & Söhne",
    "a(b)c",
]
#: Names that a server does not take; which ones it does is its own affair (RFC 9051 5.1, 6.3.4).
REFUSED_NAMES = {"cyrus": {'a"b', "per%cent"}}


@with_folders
@pytest.mark.parametrize("name", NAMES)
def test_folder_names_round_trip(place: Place, name: str) -> None:
    """Quoting and modified UTF-7: create, list, fill, search, move back; or an error and no folder."""
    if name in REFUSED_NAMES.get(place.kind, ()):
        before = place.mailbox.folders()
        with pytest.raises(ServerError, match="CREATE"):
            place.mailbox.create_folder(name)
        assert place.mailbox.folders() == before
        return
    place.mailbox.create_folder(name)
    place.mailbox.create_folder(name)
    assert name in [folder.name for folder in place.mailbox.folders()]
    place.append(plain(1))
    place.mailbox.move(place.only().ref, name)
    (mail,) = place.mailbox.search(MailQuery(), folder=name)
    assert mail.ref.folder == name
    place.mailbox.move(mail.ref, "inbox")
    assert place.only().message_id == "<plain-1@acme.com>"


@with_folders
def test_nested_folders(place: Place) -> None:
    """A path with the server's own delimiter."""
    delimiter = next(folder.delimiter for folder in place.mailbox.folders() if folder.name == "INBOX") or "/"
    name = f"Work{delimiter}2026"
    place.mailbox.create_folder(name)
    assert name in [folder.name for folder in place.mailbox.folders()]
    assert list(place.mailbox.search(MailQuery(), folder=name)) == []


def test_folders_below_inbox(cyrus: Cyrus) -> None:
    """Names as the server lists them; who leaves out the prefix is told of it (RFC 2342)."""
    login = next(iter(cyrus.users))
    cyrus.empty(login)
    cyrus.append(login, plain(1))
    server = imap_server(cyrus, login, port=cyrus.prefixed_port, security="none")
    with ImapMailbox.open(server, ignore) as mailbox:
        with pytest.raises(ServerError, match=r"below INBOX; try 'INBOX\.Done'"):
            mailbox.create_folder("Done")
        mailbox.create_folder("INBOX.Done")
        (mail,) = mailbox.search(MailQuery())
        (moved,) = mailbox.move(mail.ref, "INBOX.Done").values()
        (archived,) = mailbox.move(moved, "\\Archive").values()
        assert archived.folder == "INBOX.Archive"
        assert mailbox.raw(archived) == plain(1)
        with pytest.raises(FolderNotFoundError, match=r"no folder 'Done'.*INBOX\.Done"):
            mailbox.search(MailQuery(), folder="Done")


@with_folders
def test_special_use_names(place: Place) -> None:
    """A folder by what it is for, whatever it is called."""
    before = place.mailbox.folders()
    if "\\Archive" not in {folder.special_use for folder in before}:
        for call in (
            lambda name: place.mailbox.search(MailQuery(), folder=name),
            place.mailbox.create_folder,
        ):
            with pytest.raises(FolderNotFoundError):
                call("\\Archive")
        assert place.mailbox.folders() == before
        return
    place.mailbox.create_folder("\\Archive")
    assert place.mailbox.folders() == before
    place.append(plain(1))
    moved = place.mailbox.move(place.only().ref, "\\Archive")
    (mail,) = place.mailbox.search(MailQuery(), folder="\\Archive")
    assert mail.ref in moved.values()
    (archive,) = [folder.name for folder in before if folder.special_use == "\\Archive"]
    assert mail.ref.folder == archive


@with_folders
def test_missing_folder_names_the_folders(place: Place) -> None:
    """A typo is answered with what exists, and nothing happens to the mail."""
    place.mailbox.create_folder("Done")
    place.append(plain(1))
    ref = place.only().ref
    for call in (
        lambda: place.mailbox.search(MailQuery(), folder="Dnoe"),
        lambda: place.mailbox.move(ref, "Dnoe"),
        lambda: place.mailbox.copy(ref, "Dnoe"),
    ):
        with pytest.raises(FolderNotFoundError, match=r"no folder 'Dnoe'.*Done") as caught:
            call()
        assert "INBOX" in caught.value.folders
    assert place.only().ref == ref


# ------------------------------------------------------------ neither folders nor flags


@pytest.mark.parametrize("place", ["bed-pop3", "cyrus-pop3"], indirect=True)
def test_what_a_mailbox_cannot_do(place: Place) -> None:
    """It says so, each call is refused at once, and nothing happens to the mail."""
    place.append(plain(1))
    mailbox = place.mailbox
    ref = place.only().ref
    assert mailbox.capabilities == Capabilities(
        folders=False, flags=False, move=False, delete=True, raw_search=False, live=False
    )
    calls: list[Callable[[], Any]] = [
        lambda: mailbox.mark_seen(ref),
        lambda: mailbox.flag([]),
        lambda: mailbox.change_keywords(ref, add=["Done"]),
        lambda: mailbox.copy(ref, "INBOX"),
        lambda: mailbox.move(ref, "Archive"),
        lambda: mailbox.create_folder("Done"),
        lambda: mailbox.create_folder("\\Archive"),
        *(
            lambda name=name: mailbox.search(MailQuery(**{name: True}))
            for name in ("unseen", "flagged", "answered")
        ),
        lambda: mailbox.search(MailQuery(raw="X")),
    ]
    for call in calls:
        with pytest.raises(CapabilityError, match=r"POP3.*(use IMAP|leave it out)"):
            call()
    mailbox.create_folder("inbox")
    assert [folder.name for folder in mailbox.folders()] == ["INBOX"]
    in_folder: list[Callable[[str], Any]] = [
        lambda folder: mailbox.search(MailQuery(), folder=folder),
        mailbox.position,
        lambda folder: mailbox.raw(MailRef(folder, ref.uid)),
        lambda folder: mailbox.delete(MailRef(folder, ref.uid)),
    ]
    for ask in in_folder:
        for folder in ("Dnoe", "\\Archive"):
            with pytest.raises(FolderNotFoundError, match="the folders are: INBOX"):
                ask(folder)
    assert place.only().ref == ref
