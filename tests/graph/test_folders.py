"""Folders: paths of display names in any language, of any letters, and folders that others make anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_email_conn.backends.base import Folder
from airflow_email_conn.errors import FolderNotFoundError, QueryError
from airflow_email_conn.model.query import MailQuery
from tests.contract.mails import plain
from tests.graph.conftest import ROBOT

if TYPE_CHECKING:
    from airflow_email_conn.backends.graph.mailbox import GraphMailbox
    from tests.servers.graph.server import GraphServer


def names(mailbox: GraphMailbox) -> list[str]:
    """As they are listed."""
    return [folder.name for folder in mailbox.folders()]


def test_a_new_mailbox(mailbox: GraphMailbox) -> None:
    """Special uses whatever the folders are called; hidden ones are not shown."""
    assert mailbox.folders() == (
        Folder("INBOX", "/"),
        Folder("Entwürfe", "/", "\\Drafts"),
        Folder("Gesendete Elemente", "/", "\\Sent"),
        Folder("Gelöschte Elemente", "/", "\\Trash"),
        Folder("Junk-E-Mail", "/", "\\Junk"),
        Folder("Postausgang", "/"),
        Folder("Archiv", "/", "\\Archive"),
    )


@pytest.mark.parametrize("name", ["posteingang", "Inbox", "inbox", "INBOX"])
def test_the_inbox(graph: GraphServer, mailbox: GraphMailbox, name: str) -> None:
    """By its name in any language and case; references name it INBOX."""
    graph.append(ROBOT, plain(1))
    (mail,) = mailbox.search(MailQuery(), folder=name)
    assert mail.ref.folder == "INBOX"


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (["Invoices/2026", "It's 50%"], "Invoices//2026/It's 50%"),
        (["INBOX", "Sub"], "INBOX/Sub"),
        (["A", "B", "C", "D"], "A/B/C/D"),
        (["R&D+x", "#1?"], "R&D+x/#1?"),
        (["a' or displayName ne '"], "a' or displayName ne '"),
    ],
)
def test_paths(graph: GraphServer, mailbox: GraphMailbox, path: list[str], shown: str) -> None:
    """Created by us and by others, they are found, and made once."""
    mailbox.create_folder(shown)
    mailbox.create_folder(shown)
    graph.append(ROBOT, plain(1), folder=path)
    assert names(mailbox).count(shown) == 1
    (mail,) = mailbox.search(MailQuery(), folder=shown)
    assert mail.ref.folder == shown
    assert mailbox.fetch(mail.ref).message_id == "<plain-1@acme.com>"


def test_many_folders(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """More than a page of them, and the one that is looked for behind it."""
    with graph.site.lock:
        box = graph.mailbox(ROBOT)
        for number in range(320):
            box.add_folder(box.root, f"Folder {number}")
    assert len(names(mailbox)) == 327
    assert list(mailbox.search(MailQuery(), folder="Folder 319")) == []


def test_letters_as_exchange_compares_them(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """`done` is the folder Done: a second one cannot be made."""
    mailbox.create_folder("Done")
    mailbox.create_folder("done")
    assert names(mailbox).count("Done") == 1
    graph.append(ROBOT, plain(1))
    (mail,) = mailbox.search(MailQuery())
    (moved,) = mailbox.move(mail.ref, "dONE").values()
    assert mailbox.fetch(moved).message_id == "<plain-1@acme.com>"


def test_a_folder_that_others_make_meanwhile(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """Between our look and our request."""
    graph.fault(r"POST .*/mailFolders$", after=True, status=409, code="ErrorFolderExists")
    mailbox.create_folder("Done/Sub")
    assert "Done/Sub" in names(mailbox)


def test_a_mailbox_without_archive(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """A special use that no folder has; the others are named."""
    graph.fault(r"GET .*/mailFolders/archive", status=404, code="ErrorItemNotFound", times=None)
    with pytest.raises(FolderNotFoundError, match=r"no folder '\\\\Archive'; the folders are: INBOX"):
        mailbox.search(MailQuery(), folder="\\Archive")
    with pytest.raises(FolderNotFoundError):
        mailbox.position("\\All")


def test_a_folder_that_others_replace(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """The next search is in the new one; references into the old one lead nowhere."""
    graph.append(ROBOT, plain(1), folder="Done")
    (old,) = mailbox.search(MailQuery(), folder="Done")
    with graph.site.lock:
        box = graph.mailbox(ROBOT)
        box.remove(box.messages[old.ref.uid])
        box.root.children = [child for child in box.root.children if child.name != "Done"]
    with pytest.raises(FolderNotFoundError):
        mailbox.search(MailQuery(), folder="Done")
    graph.append(ROBOT, plain(2), folder="Done")
    (new,) = mailbox.search(MailQuery(), folder="Done")
    assert mailbox.fetch(new.ref).message_id == "<plain-2@acme.com>"
    assert mailbox.delete(old.ref) == {}


def test_a_target_that_vanishes(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """It is the folder that is missing, not the mail."""
    mailbox.create_folder("Done")
    graph.append(ROBOT, plain(1))
    (mail,) = mailbox.search(MailQuery())
    graph.fault(r"POST .*/move", status=404, code="ErrorItemNotFound")
    with pytest.raises(FolderNotFoundError, match="no folder 'Done'"):
        mailbox.move(mail.ref, "Done")
    assert mailbox.fetch(mail.ref).message_id == mail.message_id


# ------------------------------------------------------------ answers that are lost


def test_a_move_whose_answer_is_lost(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """Where the mail is then can be seen, since its id stays."""
    graph.append(ROBOT, plain(1))
    (mail,) = mailbox.search(MailQuery())
    graph.fault(r"POST .*/move", kind="close", after=True)
    (moved,) = mailbox.move(mail.ref, "\\Archive").values()
    assert moved.folder == "Archiv"
    assert mailbox.fetch(moved).message_id == "<plain-1@acme.com>"


def test_a_deletion_whose_answer_is_lost(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """The same: it is gone."""
    graph.append(ROBOT, plain(1))
    (mail,) = mailbox.search(MailQuery())
    graph.fault(r"POST .*/permanentDelete", kind="close", after=True)
    assert mailbox.delete(mail.ref) == {mail.ref: mail.ref}
    assert graph.messages(ROBOT) == graph.messages(ROBOT, "deleteditems") == []


def test_names_that_are_too_long(mailbox: GraphMailbox) -> None:
    """Exchange has none, and the address of the question would be too long."""
    with pytest.raises(QueryError, match="255"):
        mailbox.position("数" * 256)
    with pytest.raises(FolderNotFoundError):
        mailbox.position("数" * 255)


# ------------------------------------------------------------ categories


def test_categories(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """Any text; only what changes is sent, and what others gave stays."""
    message = graph.append(ROBOT, plain(1))
    message.categories = ["Rote Kategorie"]
    (mail,) = mailbox.search(MailQuery())
    assert mail.keywords == ("Rote Kategorie",)
    mailbox.change_keywords(mail.ref, add=["Zu prüfen", "rote kategorie"])
    assert message.categories == ["Rote Kategorie", "Zu prüfen"]
    graph.site.requests.clear()
    mailbox.change_keywords(mail.ref, add=["zu PRÜFEN"], remove=["Nie"])
    assert [seen.method for seen in graph.requests if seen.method != "GET"] == []
    with pytest.raises(QueryError, match="255"):
        mailbox.change_keywords(mail.ref, add=["one, two"])


def test_a_category_whose_answer_is_lost(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """A list that is set twice is the same list."""
    message = graph.append(ROBOT, plain(1))
    (mail,) = mailbox.search(MailQuery())
    fault = graph.fault(r"PATCH", kind="close", after=True)
    assert mailbox.change_keywords(mail.ref, add=["Done"]) == {mail.ref: mail.ref}
    assert (message.categories, fault.hits) == (["Done"], 1)
