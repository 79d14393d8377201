"""Many mails and files at a time: in order, each once, and none that stops the others."""

from __future__ import annotations

import io
import os
from email.message import EmailMessage
from email.policy import SMTP
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.backends.base import Saved, Unfetched
from airflow_email_conn.errors import MailNotFoundError, ProtocolError
from airflow_email_conn.model.message import Mail
from airflow_email_conn.model.query import MailQuery
from tests.contract.mails import delivered, invoice, plain
from tests.contract.places import WITH_FOLDERS

if TYPE_CHECKING:
    from airflow_email_conn.backends.base import What
    from airflow_email_conn.model.message import MailRef
    from tests.contract.places import Place

with_folders = pytest.mark.parametrize("place", WITH_FOLDERS, indirect=True)


class Files:
    """Files in memory, by what is in them."""

    def __init__(self) -> None:
        self.opened: list[What] = []
        self._files: dict[What, io.BytesIO] = {}

    def open(self, what: What) -> io.BytesIO:
        """A target for `save_many`."""
        self.opened.append(what)
        self._files[what] = io.BytesIO()
        return self._files[what]

    def content(self, what: What) -> bytes:
        """What was written."""
        return self._files[what].getvalue()


class OneOpen:
    """Files of which one is open at a time, as those of object storage."""

    def __init__(self) -> None:
        self.opened: list[What] = []
        self.contents: list[bytes] = []
        self._file = io.BytesIO()

    def open(self, what: What) -> io.BytesIO:
        """A target for `save_many`, which has written the one before to its end."""
        self.close()
        self.opened.append(what)
        self._file = io.BytesIO()
        return self._file

    def close(self) -> None:
        """Close the last one."""
        if self.opened and not self._file.closed:
            self.contents.append(self._file.getvalue())
            self._file.close()


def _mails(place: Place, count: int, **parts: Any) -> list[Any]:
    """So many invoices, in order of arrival."""
    for number in range(count):
        place.append(delivered(invoice(number, **parts)))
    return sorted(
        place.mailbox.search(MailQuery()), key=lambda mail: int(mail.message_id.split("-")[1][:-10])
    )


def test_files_come_in_the_order_asked_for(place: Place) -> None:
    """Parts of one mail, whole mails and parts of others, in any order, each as `save` gives it."""
    mails = _mails(place, 3)
    whats = [
        mails[2].attachments[1],
        mails[0].attachments[0],
        mails[0].ref,
        mails[0].attachments[1],
        mails[1].attachments[2],
        mails[2].attachments[0],
    ]
    files = Files()
    saved = list(place.mailbox.save_many(whats, files.open))
    assert [item.what for item in saved] == whats
    for item in saved:
        alone = io.BytesIO()
        assert isinstance(item, Saved)
        assert item.size == place.mailbox.save(item.what, alone)
        assert files.content(item.what) == alone.getvalue()


@pytest.mark.parametrize("order", [1, -1], ids=["as in the mail", "backwards"])
def test_one_file_is_open_at_a_time(place: Place, order: int) -> None:
    """Each is written to its end before the next is opened: parts in any order, empty ones, whole mails."""
    files = [os.urandom(150_000), b"", os.urandom(120_000)]
    place.append(delivered(_with_files(*files)))
    for number in range(2):  # nothing but a file, which ends where the mail does
        place.append(delivered(_nothing_but(b"%d" % number * 100_001)))
    whats: list[What] = []
    for mail in place.mailbox.search(MailQuery()):
        whats += [*mail.attachments[::order], mail.ref]
    expected = [_saved_alone(place, what) for what in whats]
    assert set(files) <= set(expected)
    target = OneOpen()
    saved = list(place.mailbox.save_many(whats, target.open))
    target.close()
    assert [(item.what, item.size) for item in saved if isinstance(item, Saved)] == [
        (what, len(content)) for what, content in zip(whats, expected, strict=True)
    ]
    assert target.opened == whats
    assert target.contents == expected


def _saved_alone(place: Place, what: What) -> bytes:
    file = io.BytesIO()
    place.mailbox.save(what, file)
    return file.getvalue()


def _with_files(*contents: bytes) -> bytes:
    mail = EmailMessage(policy=SMTP)
    mail["Message-ID"] = "<files@acme.com>"
    mail.set_content("Hi")
    for number, content in enumerate(contents):
        mail.add_attachment(content, "application", "pdf", filename=f"{number}.pdf")
    return mail.as_bytes()


def _nothing_but(content: bytes) -> bytes:
    mail = EmailMessage(policy=SMTP)
    mail["Message-ID"] = f"<file-{content[:1].decode()}@acme.com>"
    mail.set_content(content, "application", "pdf", filename="a.pdf")
    return mail.as_bytes()


def test_large_and_small_files_in_one_window(place: Place) -> None:
    """Those that come in pieces and those that come at once do not mix."""
    contents = {number: os.urandom(size) for number, size in enumerate((10, 200_000, 0, 90_000, 70_000, 1))}
    for number, content in contents.items():
        place.append(delivered(invoice(number, csv=content)))
    wanted = {
        attachment: contents[int(mail.message_id.split("-")[1][:-10])]
        for mail in place.mailbox.search(MailQuery())
        for attachment in mail.attachments
        if attachment.content_type == "text/csv"
    }
    files = Files()
    saved = list(place.mailbox.save_many(wanted, files.open))
    assert [(item.what, item.size) for item in saved if isinstance(item, Saved)] == [
        (what, len(content)) for what, content in wanted.items()
    ]
    assert {what: files.content(what) for what in wanted} == wanted
    assert sorted(map(repr, files.opened)) == sorted(map(repr, wanted)), "each opened once"


@with_folders
def test_gone_mails_do_not_stop_the_others(place: Place) -> None:
    """One that was deleted, one of a folder that was rebuilt, and a reference that nobody ever had."""
    mails = _mails(place, 4)
    place.mailbox.delete(mails[1].ref)
    rebuilt = _moved(mails[2].attachments[1], validity="77")
    nobody = _moved(mails[2].attachments[1], uid="")
    whats = [mails[0].attachments[1], mails[1].attachments[1], rebuilt, nobody, mails[3].attachments[1]]
    files = Files()
    results = list(place.mailbox.save_many(whats, files.open))
    assert [item.what for item in results] == whats
    if place.kind == "memory":  # whose folders are never rebuilt
        results = [results[0], results[1], results[1], results[3], results[4]]
    assert [type(item) for item in results] == [Saved, Unfetched, Unfetched, Unfetched, Saved]
    assert all(isinstance(r.error, MailNotFoundError) for r in results if isinstance(r, Unfetched))
    read = list(place.mailbox.fetch_many([what.ref for what in whats]))
    assert isinstance(read[0], Mail)
    assert isinstance(read[1], Unfetched)
    assert isinstance(read[4], Mail)
    assert read[4].message_id == mails[3].message_id


def _moved(attachment: Any, **changes: Any) -> Any:
    """An attachment whose mail is said to lie elsewhere."""
    values = attachment.as_dict()
    return type(attachment).from_dict(values | {"ref": values["ref"] | changes})


def test_mails_are_read_as_alone(place: Place) -> None:
    """`fetch_many` gives what `fetch` gives, also for references that come twice."""
    mails = _mails(place, 3)
    refs: list[MailRef] = [mails[2].ref, mails[0].ref, mails[1].ref, mails[0].ref]
    read = list(place.mailbox.fetch_many(refs))
    assert read == [place.mailbox.fetch(ref) for ref in refs]


def test_too_large_mail_is_told_and_passed_over(place: Place) -> None:
    """`max_size` is for each mail."""
    for raw in (plain(1), plain(2, text="x" * 50_000), plain(3)):
        place.append(delivered(raw))
    refs = [mail.ref for mail in place.mailbox.search(MailQuery())]
    small, large = [], []
    for mail in place.mailbox.fetch_many(refs, max_size=20_000):
        (large if isinstance(mail, Unfetched) else small).append(mail)
    assert {mail.message_id for mail in small} == {"<plain-1@acme.com>", "<plain-3@acme.com>"}
    assert [type(mail.error) for mail in large] == [ProtocolError]


def test_the_mailbox_can_be_used_between_two_results(place: Place) -> None:
    """Nothing is under way while the caller has its turn."""
    mails = _mails(place, 3)
    contents = []
    for mail in place.mailbox.fetch_many(mail.ref for mail in place.mailbox.search(MailQuery())):
        assert isinstance(mail, Mail)
        for item in place.mailbox.save_many(mail.attachments, Files().open):
            assert isinstance(item, Saved)
            alone = io.BytesIO()
            place.mailbox.save(item.what, alone)
            contents.append(alone.getvalue())
    assert len(contents) == len(mails) * 3


@with_folders
def test_moving_while_a_search_is_read(place: Place) -> None:
    """Each found mail is moved before the next is looked at."""
    mails = _mails(place, 5)
    place.mailbox.create_folder("Done")
    moved = [place.mailbox.move(mail.ref, "Done") for mail in place.mailbox.search(MailQuery())]
    assert len(moved) == len(mails)
    assert list(place.mailbox.search(MailQuery())) == []
    assert len(list(place.mailbox.search(MailQuery(), folder="Done"))) == len(mails)


def test_more_than_a_window(place: Place) -> None:
    """Hundreds of references, and an iterable that gives them one by one."""
    mails = _mails(place, 2)
    read = place.mailbox.fetch_many(mails[number % 2].ref for number in range(620))
    assert [mail.message_id for mail in read if isinstance(mail, Mail)] == [
        mails[number % 2].message_id for number in range(620)
    ]


def test_a_file_that_cannot_be_written_is_the_callers_error(place: Place) -> None:
    """A full disk is told as it is."""

    class Full(io.BytesIO):
        def write(self, _data: Any, /) -> int:
            raise OSError(28, "No space left on device")

    (mail,) = _mails(place, 1)
    with pytest.raises(OSError, match="No space left"):
        list(place.mailbox.save_many(mail.attachments, lambda _what: Full()))
