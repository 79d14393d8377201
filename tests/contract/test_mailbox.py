"""What every Mailbox must do: in memory, on Dovecot and Cyrus by IMAP and POP3, on embedded servers."""

from __future__ import annotations

import io
import itertools
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_email_conn.backends.base import Saved, Unfetched
from airflow_email_conn.backends.position import Position
from airflow_email_conn.errors import (
    CapabilityError,
    MailNotFoundError,
    ProtocolError,
)
from airflow_email_conn.model.message import Address
from airflow_email_conn.model.query import MailQuery
from tests.contract.mails import CSV, PNG, RECEIVED, delivered, invoice, plain
from tests.contract.places import WITH_FOLDERS, Place

with_folders = pytest.mark.parametrize("place", WITH_FOLDERS, indirect=True)


# ------------------------------------------------------------ reading


def test_summary_tells_the_envelope_and_the_attachments(place: Place) -> None:
    """A search yields everything but bodies."""
    raw = delivered(invoice())
    place.append(raw)
    mail = place.only()
    assert mail.subject == "Rechnung für März € 2026"
    assert mail.sender == Address("billing@acme.com", "Müller, Jörg")
    assert mail.to == (Address("robot@example.test", "Robot"), Address("second@example.test"))
    assert mail.cc == (Address("cc@example.test"),)
    assert mail.reply_to == (Address("accounts@acme.com"),)
    assert mail.date == datetime(2026, 3, 14, 10, 26, 53, tzinfo=timezone(timedelta(hours=1)))
    assert mail.received == RECEIVED
    if place.kind == "graph":  # which tells the size in Exchange's store
        assert len(raw) <= mail.size < len(raw) + 1024
    else:
        assert mail.size == len(raw)
    assert mail.message_id == "<invoice-1@acme.com>"
    assert mail.in_reply_to == ("<order-7@example.test>",)
    assert mail.references == ("<order-6@example.test>", "<order-7@example.test>")
    assert (mail.seen, mail.flagged) == (False, False)
    assert [(a.name, a.content_type, a.inline) for a in mail.attachments] == [
        ("logo.png", "image/png", True),
        ("rechnung märz.csv", "text/csv", False),
        ("The order.eml", "message/rfc822", False),
    ]
    if place.kind != "graph":  # which has ids of its own
        assert [a.part for a in mail.attachments] == ["1.2.2", "2", "3"]
    assert mail.attachments[0].content_id == "logo@acme"
    assert abs(mail.attachments[0].size - len(PNG)) < 500
    assert mail.defects == ()


def test_attachments_are_the_same_before_and_after_the_fetch(place: Place) -> None:
    """What a search lists is what the parsed mail has, part by part."""
    place.append(invoice())
    summary = place.only()
    mail = place.mailbox.fetch(summary.ref)

    def plain_form(attachments: Any) -> list[tuple[str, ...]]:
        forms = [(a.name, a.content_type, a.inline, a.content_id, a.part, a.encoding) for a in attachments]
        return [form[:4] for form in forms] if place.kind == "graph" else forms

    assert plain_form(mail.attachments) == plain_form(summary.attachments)


def test_fetch_gives_text_html_and_headers(place: Place) -> None:
    """The whole mail, decoded."""
    place.append(delivered(invoice()))
    summary = place.only()
    mail = place.mailbox.fetch(summary.ref)
    assert mail.text.splitlines() == ["Grüße", "anbei die Rechnung"]
    assert "<p>Grüße</p>" in mail.html
    assert mail.header("subject") == "Rechnung für März € 2026"
    assert mail.ref == summary.ref
    assert mail.received == RECEIVED


def test_raw_and_saved_mail_are_byte_exact(place: Place) -> None:
    """Not one byte of a mail changes on its way."""
    raw = invoice()
    place.append(raw)
    ref = place.only().ref
    assert place.mailbox.raw(ref) == raw
    file = io.BytesIO()
    assert place.mailbox.save(ref, file) == len(raw)
    assert file.getvalue() == raw


def test_saved_attachments_are_the_senders_files(place: Place) -> None:
    """Decoded bytes, counted."""
    place.append(invoice())
    picture, csv, inner = place.only().attachments
    for attachment, content in ((csv, CSV), (picture, PNG)):
        file = io.BytesIO()
        assert place.mailbox.save(attachment, file) == len(content)
        assert file.getvalue() == content
    file = io.BytesIO()
    place.mailbox.save(inner, file)
    assert b"Subject: The order" in file.getvalue()


def test_large_attachment_is_streamed(place: Place) -> None:
    """A file far beyond every buffer arrives complete."""
    content = bytes(itertools.islice(itertools.cycle(range(251)), 1_500_000))
    place.append(invoice(csv=content))
    file = io.BytesIO()
    assert place.mailbox.save(place.only().attachments[1], file) == len(content)
    assert file.getvalue() == content


def test_a_mail_that_is_one_file_has_an_attachment(place: Place) -> None:
    """A PDF without any multipart around it (providers miss those)."""
    place.append(
        b"From: a@b.c\r\nSubject: scan\r\nContent-Type: application/pdf; name=scan.pdf\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\nSGVsbG8=\r\n"
    )
    (attachment,) = place.only().attachments
    assert attachment.name == "scan.pdf"
    assert attachment.part == "1" or place.kind == "graph"
    file = io.BytesIO()
    place.mailbox.save(attachment, file)
    assert file.getvalue() == b"Hello"


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 200_000])
def test_bodies_around_the_streaming_threshold(place: Place, size: int) -> None:
    """Literals just below, at and above the size from which they are streamed."""
    lines = b"Subject: x\r\n\r\n" + b"0123456789abcdef0123456789abcd\r\n" * (size // 32)
    raw = lines + b"x" * (size - len(lines))
    place.append(raw)
    if place.kind.endswith("pop3") and not raw.endswith(b"\r\n"):
        raw += b"\r\n"  # RFC 1939 3: every line of an answer has an end
    assert place.mailbox.raw(place.only().ref) == raw


@with_folders
def test_reading_changes_nothing(place: Place) -> None:
    """Search, fetch, raw and save over a whole mailbox leave every flag as it was."""
    for number in range(6):
        place.append(invoice(number), seen=bool(number % 2), flagged=number > 3)
    before = place.flags()
    assert sorted(before.values()) == [(False, False)] * 2 + [(False, True), (True, False), (True, False)] + [
        (True, True)
    ]
    for mail in place.mailbox.search(MailQuery(subject="rechnung", attachment="*.csv", body="anbei")):
        place.mailbox.fetch(mail.ref)
        place.mailbox.raw(mail.ref)
        place.mailbox.save(mail.ref, io.BytesIO())
        for attachment in mail.attachments:
            place.mailbox.save(attachment, io.BytesIO())
    assert place.flags() == before


def test_max_size_is_kept(place: Place) -> None:
    """A mail larger than allowed is refused, and the mailbox goes on working."""
    raw = plain(text="x" * 100_000)
    place.append(raw)
    ref = place.only().ref
    assert place.mailbox.raw(ref, max_size=len(raw)) == raw
    with pytest.raises(ProtocolError, match="larger than 1000 bytes"):
        place.mailbox.raw(ref, max_size=1000)
    with pytest.raises(ProtocolError, match="larger than"):
        place.mailbox.fetch(ref, max_size=len(raw) - 1)
    assert place.mailbox.raw(ref) == raw


# ------------------------------------------------------------ searching


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [1, 2, 3, 4]),
        ({"sender": "ann@acme.com"}, [1]),
        ({"sender": "ANN@ACME.COM"}, [1]),
        ({"sender": "@acme.com"}, [1, 4]),
        ({"sender": "nn@acme.com"}, []),
        ({"sender": ["ann@acme.com", "bob@other.org"]}, [1, 2]),
        ({"sender": {"regex": "^(ann|bob)@"}}, [1, 2]),
        ({"recipient": "robot@example.test"}, [1, 2, 3, 4]),
        ({"recipient": "cc@example.test"}, [4]),
        ({"subject": "report"}, [2, 3]),
        ({"subject": "märz €"}, [4]),
        ({"subject": {"regex": "^Re.*[0-9]$"}}, [3, 4]),
        ({"subject": ["weekly", "march"]}, [2]),
        ({"body": "needle"}, [3]),
        ({"attachment": "*.CSV"}, [4]),
        ({"attachment": ["*.pdf", {"regex": "märz"}]}, [4]),
        ({"has_attachments": True}, [4]),
        ({"has_attachments": False}, [1, 2, 3]),
        ({"unseen": True}, [1, 3, 4]),
        ({"unseen": False}, [2]),
        ({"flagged": True}, [3]),
        ({"message_id": "<plain-2@acme.com>"}, [2]),
        ({"message_id": "plain-2@acme.com"}, [2]),
        ({"since": "2026-03-14T12:00:00+00:00"}, [3, 4]),
        ({"before": "2026-03-14T12:00:00Z"}, [1, 2]),
        ({"since": "2026-03-14T11:59:59+00:00", "before": "2026-03-15"}, [3]),
        ({"larger_than": 1000}, [4]),
        ({"smaller_than": 1000}, [1, 2, 3]),
        ({"sender": "@acme.com", "subject": "rechnung", "unseen": "true"}, [4]),
        ({"subject": 'quo"te\\'}, []),
    ],
)
def test_search(place: Place, filters: dict[str, Any], expected: list[int]) -> None:
    """Criteria, alone and together, find the same everywhere."""
    noon = datetime(2026, 3, 14, 12, tzinfo=timezone.utc)
    flags: dict[str, bool]
    for raw, hours, flags in (
        (plain(1, sender="Ann <ann@acme.com>", subject="Hello"), -3, {}),
        (plain(2, sender="bob@other.org", subject="Weekly report"), -2, {"seen": True}),
        (
            plain(3, sender="carl@sub.acme.com", subject="Report 3", text="a needle here"),
            0,
            {"flagged": True},
        ),
        (invoice(4), 13, {}),
    ):
        when = noon + timedelta(hours=hours)
        place.append(delivered(raw, when), when, **flags)
    if not place.mailbox.capabilities.flags and filters.keys() & {"unseen", "flagged"}:
        with pytest.raises(CapabilityError, match=r"unseen|flagged"):
            place.mailbox.search(MailQuery(**filters))
        return
    numbers = {
        "<plain-1@acme.com>": 1,
        "<plain-2@acme.com>": 2,
        "<plain-3@acme.com>": 3,
        "<invoice-4@acme.com>": 4,
    }
    found = list(place.mailbox.search(MailQuery(**filters)))
    assert [numbers[mail.message_id] for mail in found] == expected
    newest = list(place.mailbox.search(MailQuery(**filters), newest_first=True))
    assert [mail.ref for mail in newest] == [mail.ref for mail in found][::-1]


@pytest.mark.parametrize(
    "filters", [{"subject": "from"}, {"subject": {"regex": "^Grüße from"}}, {"sender": "ann@acme.com"}]
)
def test_header_with_raw_utf8(place: Place, filters: dict[str, Any]) -> None:
    """Found by its ASCII words and by patterns; Cyrus finds no others in such headers."""
    place.append("From: Änn <ann@acme.com>\r\nSubject: Grüße from Zürich\r\n\r\nHi\r\n".encode())
    assert place.only(**filters).subject == "Grüße from Zürich"


def test_body_that_is_not_ascii(place: Place) -> None:
    """Looked for in decoded text, whatever the transfer encoding."""
    place.append(invoice())
    place.append("Content-Type: text/plain; charset=utf-8\r\n\r\nnächste Woche\r\n".encode())
    assert place.only(body="grüße").message_id == "<invoice-1@acme.com>"
    assert place.only(body="nächste").message_id is None


def test_limit_counts_matches(place: Place) -> None:
    """The limit is on what matches, lowest first, not on what the server found."""
    for number in range(12):
        place.append(plain(number, subject="odd" if number % 2 else "even"))
    found = list(place.mailbox.search(MailQuery(subject={"regex": "odd"}), limit=3))
    assert [mail.message_id for mail in found] == [f"<plain-{n}@acme.com>" for n in (1, 3, 5)]
    (newest,) = place.mailbox.search(MailQuery(), limit=1, newest_first=True)
    assert newest.message_id == "<plain-11@acme.com>"
    assert list(place.mailbox.search(MailQuery(), limit=0)) == []


def test_search_in_an_empty_folder(place: Place) -> None:
    """Nothing is no error."""
    assert list(place.mailbox.search(MailQuery())) == []


@with_folders
def test_changing_while_iterating_is_safe(place: Place) -> None:
    """A search is a snapshot: moving every mail it yields skips none."""
    place.mailbox.create_folder("Done")
    for number in range(8):
        place.append(plain(number))
    moved = [place.mailbox.move(mail.ref, "Done") for mail in place.mailbox.search(MailQuery())]
    assert len(moved) == 8
    assert list(place.mailbox.search(MailQuery())) == []
    assert len(list(place.mailbox.search(MailQuery(), folder="Done"))) == 8


def test_deleting_while_iterating_is_safe(place: Place) -> None:
    """Also where the numbers of the mails change by it."""
    for number in range(5):
        place.append(plain(number))
    deleted = [place.mailbox.delete(mail.ref) for mail in place.mailbox.search(MailQuery())]
    assert [len(refs) for refs in deleted] == [1] * 5
    assert list(place.mailbox.search(MailQuery())) == []


def test_mail_that_arrives_later_is_found_by_the_next_search(place: Place) -> None:
    """A mailbox that stays open sees new mail, but for POP3, which needs another session."""
    place.append(plain(1))
    assert len(list(place.mailbox.search(MailQuery()))) == 1
    place.append(plain(2))
    assert len(list(place.mailbox.search(MailQuery()))) == 2


def test_more_mails_than_a_chunk(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks join without gap or repeat."""
    monkeypatch.setattr("airflow_email_conn.backends.imap.mailbox._CHUNK", 7)
    for number in range(23):
        place.append(plain(number))
    found = [mail.message_id for mail in place.mailbox.search(MailQuery())]
    assert found == [f"<plain-{number}@acme.com>" for number in range(23)]
    some = [mail.message_id for mail in place.mailbox.search(MailQuery(), limit=16)]
    assert some == found[:16]


def test_raw_syntax(place: Place) -> None:
    """The server's own syntax where it has one, else a clear refusal."""
    place.append(plain(1), seen=True)
    place.append(plain(2))
    if not place.mailbox.capabilities.raw_search:
        with pytest.raises(CapabilityError, match="raw"):
            place.mailbox.search(MailQuery(raw="NOT SEEN"))
        return
    assert [mail.message_id for mail in place.mailbox.search(MailQuery(raw="NOT SEEN"))] == [
        "<plain-2@acme.com>"
    ]


# ------------------------------------------------------------ many at a time


def test_many_mails_in_order(place: Place) -> None:
    """Each as it is, or the reason why not; one that is gone or too large hides no other."""
    for number in range(4):
        place.append(plain(number, text="x" * 50_000 if number == 2 else "Hi"))
    refs = [mail.ref for mail in place.mailbox.search(MailQuery())]
    place.mailbox.delete(refs[1])
    found = list(place.mailbox.fetch_many([*refs, refs[0]], max_size=10_000))
    assert [
        (item.what, type(item.error)) if isinstance(item, Unfetched) else item.message_id for item in found
    ] == [
        "<plain-0@acme.com>",
        (refs[1], MailNotFoundError),
        (refs[2], ProtocolError),
        "<plain-3@acme.com>",
        "<plain-0@acme.com>",
    ]


def test_many_files_in_order(place: Place) -> None:
    """Attachments and whole mails; each file is asked for when its first bytes are there."""
    for number in range(3):
        place.append(invoice(number, csv=b"%d;1\r\n" % number))
    mails = list(place.mailbox.search(MailQuery()))
    place.mailbox.delete(mails[1].ref)
    whats = [what for mail in mails for what in (mail.attachments[1], mail.attachments[0], mail.ref)]
    files: dict[Any, io.BytesIO] = {}
    saved = list(place.mailbox.save_many(whats, lambda what: files.setdefault(what, io.BytesIO())))
    assert [item.what for item in saved] == whats
    assert [isinstance(item, Unfetched) for item in saved] == [False] * 3 + [True] * 3 + [False] * 3
    for number in (0, 2):
        assert files[mails[number].attachments[1]].getvalue() == b"%d;1\r\n" % number
        assert files[mails[number].attachments[0]].getvalue() == PNG
        assert files[mails[number].ref].getvalue() == place.mailbox.raw(mails[number].ref)
    sizes = {item.what: item.size for item in saved if isinstance(item, Saved)}
    assert sizes == {what: len(file.getvalue()) for what, file in files.items()}


def test_search_after_a_position(place: Place) -> None:
    """Only what came later, also after a way through JSON."""
    place.append(plain(1))
    past = Position.from_dict(place.mailbox.position().as_dict())
    assert list(place.mailbox.search(MailQuery(), after=past)) == []
    place.append(plain(2))
    (mail,) = place.mailbox.search(MailQuery(), after=past)
    assert mail.message_id == "<plain-2@acme.com>"
    assert len(list(place.mailbox.search(MailQuery()))) == 2
