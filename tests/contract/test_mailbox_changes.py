"""What changes a Mailbox of any kind: marks, moves and deletions, and nothing that is smuggled in."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.errors import (
    CapabilityError,
    EmailError,
    MailNotFoundError,
    NetworkError,
    QueryError,
)
from airflow_email_conn.model.message import MailRef
from airflow_email_conn.model.query import MailQuery
from tests.contract.mails import invoice, plain
from tests.contract.places import WITH_FOLDERS, Place, place_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.base import MailboxServers

with_folders = pytest.mark.parametrize("place", WITH_FOLDERS, indirect=True)


def test_delete(place: Place) -> None:
    """For good, these and no others; what is gone is left out, and cannot be read."""
    for number in range(4):
        place.append(plain(number))
    refs = [mail.ref for mail in place.mailbox.search(MailQuery())]
    assert place.mailbox.delete(refs[1:3]) == {refs[1]: refs[1], refs[2]: refs[2]}
    assert [mail.ref for mail in place.mailbox.search(MailQuery())] == [refs[0], refs[3]]
    assert place.mailbox.delete([*refs[2:], refs[3]]) == {refs[3]: refs[3]}
    assert place.mailbox.delete([]) == {}
    for call in (place.mailbox.raw, place.mailbox.fetch):
        with pytest.raises(MailNotFoundError):
            call(refs[1])
    assert place.only().ref == refs[0]


@with_folders
def test_mark_and_flag(place: Place) -> None:
    """Only what was named changes, one or many, there and back."""
    for number in range(3):
        place.append(plain(number))
    first, second, third = (mail.ref for mail in place.mailbox.search(MailQuery()))
    assert place.mailbox.mark_seen([first, third]) == {first: first, third: third}
    assert place.mailbox.flag(second) == {second: second}
    assert place.flags() == {first: (True, False), second: (False, True), third: (True, False)}
    place.mailbox.mark_seen(third, seen=False)
    place.mailbox.flag(second, flagged=False)
    assert place.flags() == {first: (True, False), second: (False, False), third: (False, False)}


@with_folders
def test_keywords(place: Place) -> None:
    """Added and removed where they are named, in any case; other flags stay, and so do other keywords."""
    for number in range(3):
        place.append(plain(number), flagged=number == 1)
    first, second, third = (mail.ref for mail in place.mailbox.search(MailQuery()))
    change = place.mailbox.change_keywords
    if place.kind == "embedded":  # pymap keeps none, and says so
        with pytest.raises(CapabilityError, match="'Invoice'"):
            change([first], add=["Invoice"])
        return

    def labels() -> list[set[str]]:
        return [set(mail.keywords) for mail in place.mailbox.search(MailQuery())]

    assert labels() == [set(), set(), set()]
    assert change([first, second], add=["Invoice", "$Done"]) == {first: first, second: second}
    assert labels() == [{"Invoice", "$Done"}, {"Invoice", "$Done"}, set()]
    assert change(second, add=["INVOICE", "Paid"], remove=["$done", "Never"]) == {second: second}
    assert labels() == [{"Invoice", "$Done"}, {"Invoice", "Paid"}, set()]
    assert set(place.mailbox.fetch(second).keywords) == {"Invoice", "Paid"}
    assert place.flags() == {first: (False, False), second: (False, True), third: (False, False)}
    place.mailbox.delete(first)
    assert change([first, third], add=["Paid"], remove=["Paid"]) == {third: third}
    assert labels() == [{"Invoice", "Paid"}, set()]
    assert change([], add=["Paid"]) == {}
    for bad in ("", "\\Deleted", "a\r\nb", "a\0"):
        with pytest.raises(QueryError):
            change(third, add=[bad])
        with pytest.raises(QueryError):
            change(third, remove=[bad])


@with_folders
def test_move_copy_delete(place: Place) -> None:
    """Each touches what it names; the new references lead to the mails."""
    place.mailbox.create_folder("Done")
    for number in range(4):
        place.append(plain(number))
    refs = [mail.ref for mail in place.mailbox.search(MailQuery())]
    moved = place.mailbox.move(refs[0], "Done")[refs[0]]
    assert (moved.folder, moved.message_id) == ("Done", "<plain-0@acme.com>")
    assert place.mailbox.fetch(moved).message_id == "<plain-0@acme.com>"
    copied = place.mailbox.copy([refs[1], refs[2]], "Done")
    assert [place.mailbox.fetch(copied[ref]).message_id for ref in (refs[1], refs[2])] == [
        "<plain-1@acme.com>",
        "<plain-2@acme.com>",
    ]
    assert place.mailbox.delete(refs[3]) == {refs[3]: refs[3]}
    left = [mail.ref for mail in place.mailbox.search(MailQuery())]
    assert left == [refs[1], refs[2]]
    with pytest.raises(MailNotFoundError):
        place.mailbox.fetch(refs[0])
    with pytest.raises(MailNotFoundError):
        place.mailbox.save(refs[3], io.BytesIO())


def test_deleting_spares_mails_that_others_marked_deleted(shared_place: Place) -> None:
    """No bare EXPUNGE: what another program marked as deleted stays."""
    for number in range(3):
        shared_place.append(plain(number))
    first, second, third = (mail.ref for mail in shared_place.mailbox.search(MailQuery()))
    shared_place.mailbox._changes.store(second, "\\Deleted", add=True)  # another program's doing
    shared_place.mailbox.delete(third)
    shared_place.mailbox.create_folder("Done")
    shared_place.mailbox.move(first, "Done")
    assert [mail.ref for mail in shared_place.mailbox.search(MailQuery())] == [second]


@with_folders
def test_missing_mails_are_left_out(place: Place) -> None:
    """A rerun meets mails that are gone: no error, no entry."""
    place.mailbox.create_folder("Done")
    place.append(plain(1))
    place.append(plain(2))
    first, second = (mail.ref for mail in place.mailbox.search(MailQuery()))
    place.mailbox.move(first, "Done")
    assert set(place.mailbox.move([first, second], "Done")) == {second}
    assert place.mailbox.mark_seen([first]) == {}
    assert place.mailbox.delete([]) == {}


def test_reference_of_a_rebuilt_folder_is_refused(shared_place: Place) -> None:
    """The same UID under another UIDVALIDITY is another mail."""
    shared_place.append(plain(1))
    ref = shared_place.only().ref
    stale = MailRef(ref.folder, ref.uid, "1", ref.message_id)
    for call in (
        shared_place.mailbox.fetch,
        shared_place.mailbox.raw,
        shared_place.mailbox.delete,
        shared_place.mailbox.mark_seen,
    ):
        with pytest.raises(MailNotFoundError, match="search again"):
            call(stale)
    assert shared_place.only().ref == ref


def test_folder_that_others_replace(mailbox_servers: MailboxServers) -> None:
    """A search finds what is in the new folder, or the server hangs up: never what is left of the old one."""
    login = next(iter(mailbox_servers.users))
    with place_on(mailbox_servers) as place:
        for number in range(2):
            mailbox_servers.empty(login)
            place.append(plain(number), folder="Done")
            try:
                (mail,) = place.mailbox.search(MailQuery(), folder="Done")
            except NetworkError:
                assert (place.kind, number) == ("cyrus", 1)  # RFC 2180 3.3
            else:
                assert mail.message_id == f"<plain-{number}@acme.com>"


# ------------------------------------------------------------ injection

NASTY = ["a\r\nb", "a\nb", "a\rb", "a\0b", 'x"\r\nA9 DELETE INBOX', "x\r\nA9 STORE 1:* +FLAGS (\\Deleted)"]


@pytest.mark.parametrize("nasty", NASTY)
def test_nothing_smuggles_in_a_command(place: Place, nasty: str) -> None:
    """NUL, CR and LF in any parameter: an error, or nothing found, and the mailbox is as it was."""
    place.append(plain(1))
    before = place.flags()
    ref = place.only().ref
    mailbox = place.mailbox
    for name in ("subject", "body", "attachment", "message_id", "sender", "recipient", "raw"):
        with pytest.raises(QueryError):
            MailQuery(**{name: nasty})
    calls: list[Callable[[], Any]] = [
        lambda: list(mailbox.search(MailQuery(), folder=nasty)),
        lambda: mailbox.move(ref, nasty),
        lambda: mailbox.copy(ref, nasty),
        lambda: mailbox.fetch(MailRef(nasty, ref.uid, ref.validity)),
        lambda: mailbox.fetch(MailRef(ref.folder, nasty, ref.validity)),
        lambda: mailbox.raw(MailRef(ref.folder, ref.uid, nasty)),
    ]
    if place.kind != "memory":  # which has no names that it could not hold
        calls.append(lambda: mailbox.create_folder(nasty))
    for call in calls:
        with pytest.raises(EmailError):
            call()
    assert place.flags() == before


def test_part_numbers_are_checked(place: Place) -> None:
    """An attachment that comes back from XCom is not trusted."""
    place.append(invoice())
    attachment = place.only().attachments[1]
    for part in ("1] UID FETCH 1:* (FLAGS", "", "0", "1..2", "a", "1\r\n"):
        forged = type(attachment).from_dict({**attachment.as_dict(), "part": part})
        if part == "" and place.kind != "memory":
            continue  # the whole mail, by the protocol's own meaning
        with pytest.raises(EmailError):
            place.mailbox.save(forged, io.BytesIO())
    assert place.only().seen is False
