"""Attachments of all kinds, and downloads that break off."""

from __future__ import annotations

import hashlib
import io
import os
import re
import resource
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.backends.base import Saved, Unfetched
from airflow_email_conn.errors import (
    MailNotFoundError,
    NetworkError,
    ProtocolError,
    ServerError,
    UnavailableError,
)
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.wire.graph.paths import segment
from tests.contract.mails import CSV, invoice, plain
from tests.graph.conftest import ROBOT
from tests.servers.graph.blobs import Blob
from tests.servers.graph.mime import Attachment

if TYPE_CHECKING:
    from airflow_email_conn.backends.graph.mailbox import GraphMailbox
    from tests.servers.graph.server import GraphServer


def only(mailbox: GraphMailbox, **filters: Any) -> Any:
    """The one mail that matches."""
    (mail,) = mailbox.search(MailQuery(**filters))
    return mail


def saved(mailbox: GraphMailbox, what: Any) -> bytes:
    """What a file then holds."""
    file = io.BytesIO()
    assert mailbox.save(what, file) == len(file.getvalue())
    return file.getvalue()


def test_items_are_files(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """Mails, events and contacts, as what Graph makes of them; found by these names."""
    message = graph.append(ROBOT, plain(1))
    for kind in ("message", "event", "contact"):
        content = f"the {kind}".encode()
        graph.attach(ROBOT, message, Attachment(f"My {kind}", Blob([content]), kind="item", item=kind))
    mail = only(mailbox)
    assert [(one.name, one.content_type) for one in mail.attachments] == [
        ("My message.eml", "message/rfc822"),
        ("My event.ics", "text/calendar"),
        ("My contact.vcf", "text/vcard"),
    ]
    assert [saved(mailbox, one) for one in mail.attachments] == [b"the message", b"the event", b"the contact"]
    assert only(mailbox, attachment="*.ics") == only(mailbox, attachment_type="text/vcard") == mail
    assert list(mailbox.search(MailQuery(attachment="*.pdf"))) == []
    graph.site.requests.clear()
    assert list(mailbox.search(MailQuery(attachment="*.ics", recipient="nobody@example.test"))) == []
    assert len(graph.requests) == 1, "the kinds of items only of mails that can match"


def test_a_link_is_no_file(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """It is told of with its name, and asked for by nobody."""
    message = graph.append(ROBOT, plain(1))
    link = Attachment("plan.xlsx", Blob([]), kind="reference", url="https://onedrive.example.test/plan")
    graph.attach(ROBOT, message, link)
    mail = only(mailbox, has_attachments=False)
    assert mail.attachments == ()
    assert mail.defects == ("the attachment 'plan.xlsx' is a link to a file elsewhere: it cannot be saved",)


def test_files_of_a_search_and_of_a_fetch(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """By Graph's ids and by part numbers: the same bytes."""
    graph.append(ROBOT, invoice(1))
    listed = only(mailbox)
    fetched = mailbox.fetch(listed.ref)
    assert [one.part for one in fetched.attachments] == ["1.2.2", "2", "3"]
    contents = [saved(mailbox, one) for one in listed.attachments]
    assert contents[1] == CSV
    again = [saved(mailbox, one) for one in fetched.attachments]
    assert again[:2] == contents[:2]
    assert again[2].splitlines() == contents[2].splitlines()  # an attached mail, in its own MIME form
    with pytest.raises(MailNotFoundError):
        saved(mailbox, type(listed.attachments[0])(listed.ref, "9.9", "x", "text/plain", 1))


@pytest.mark.parametrize("kind", ["cut", "close"])
def test_a_download_that_breaks_off_goes_on(graph: GraphServer, mailbox: GraphMailbox, kind: str) -> None:
    """Nothing is written twice, nothing is missing."""
    content = os.urandom(600_000)
    graph.append(ROBOT, invoice(1, csv=content))
    mail = only(mailbox)
    graph.fault(r"attachments/.*value", kind=kind, octets=200_000)
    graph.fault(r"attachments/.*value", kind=kind, octets=400_000)
    assert saved(mailbox, mail.attachments[1]) == content
    graph.fault(r"value", kind=kind, octets=300_000)
    assert mailbox.raw(mail.ref) == saved(mailbox, mail.ref)


def test_a_download_that_breaks_off_again_and_again(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """It is given up as what it is."""
    graph.append(ROBOT, invoice(1, csv=os.urandom(100_000)))
    mail = only(mailbox)
    fault = graph.fault(r"attachments/.*value", kind="cut", octets=50_000, times=None)
    with pytest.raises(NetworkError):
        saved(mailbox, mail.attachments[1])
    assert fault.hits == 4


@pytest.mark.parametrize("length", [100_000, 10])
def test_a_download_that_changes_meanwhile(graph: GraphServer, mailbox: GraphMailbox, length: int) -> None:
    """Exchange makes the MIME form anew for each request: two halves of two forms are no mail."""
    message = graph.append(ROBOT, plain(1, text="x" * 100_000))
    mail = only(mailbox)

    class Changing(io.BytesIO):
        def write(self, data: Any, /) -> int:
            message.base = Blob([plain(1, text="y" * length)])
            return super().write(data)

    graph.fault(r"value", kind="cut", octets=50_000)
    with pytest.raises(UnavailableError, match="in another way"):
        mailbox.save(mail.ref, Changing())


def test_one_of_many_that_cannot_be_read(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """It hides no other; three in a row are an outage."""
    for number in range(6):
        graph.append(ROBOT, plain(number))
    refs = [mail.ref for mail in mailbox.search(MailQuery())]
    for ref in refs[1:3]:
        match = re.escape(segment(ref.uid)[:40]) + r".*value"
        graph.fault(match, status=500, code="ErrorInternalServerError", times=None)
    found = list(mailbox.fetch_many(refs))
    assert [type(item.error) if isinstance(item, Unfetched) else None for item in found] == [
        None, UnavailableError, UnavailableError, None, None, None,
    ]  # fmt: skip
    graph.fault(r"value", status=500, code="ErrorInternalServerError", times=None)
    with pytest.raises(UnavailableError):
        list(mailbox.fetch_many(refs))


def test_a_refused_token_ends_all(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """It is about none of them alone."""
    for number in range(3):
        graph.append(ROBOT, plain(number))
    refs = [mail.ref for mail in mailbox.search(MailQuery())]
    graph.fault(r"value", status=403, code="ErrorAccessDenied", times=None)
    with pytest.raises(ServerError, match=r"Mail\.Read"):
        list(mailbox.fetch_many(refs))


def test_no_more_than_max_size_is_held(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """The rest is not even sent; the mailbox goes on."""
    graph.append(ROBOT, invoice(1, csv=os.urandom(3_000_000)))
    ref = only(mailbox).ref
    with pytest.raises(ProtocolError, match="larger than 100000 bytes"):
        mailbox.fetch(ref, max_size=100_000)
    assert mailbox.fetch(ref).attachments[1].size == 3_000_000


def test_three_at_a_time_beside_the_caller(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """Never more than Exchange answers, though the caller uses the mailbox in between; threads end."""
    for number in range(12):
        graph.append(ROBOT, invoice(number))
    mails = list(mailbox.search(MailQuery()))
    graph.site.latency = 0.05
    graph.site.peak.clear()
    before = threading.active_count()
    for read in mailbox.fetch_many([mail.ref for mail in mails]):
        assert not isinstance(read, Unfetched)
        mailbox.mark_seen(read.ref)
    assert graph.peak(ROBOT) in {3, 4}
    many = mailbox.save_many([mail.attachments[1] for mail in mails], lambda _what: io.BytesIO())
    next(many)
    many.close()  # type: ignore[attr-defined]
    graph.site.latency = 0.0
    assert only(mailbox, message_id="<invoice-7@acme.com>").seen
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= before


def test_large_files_wait_for_their_turn(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """They are streamed, and come in order between small ones."""
    contents = [os.urandom(size) for size in (10, 3_000_000, 1_100_000, 20, 0)]
    for number, content in enumerate(contents):
        graph.append(ROBOT, invoice(number, csv=content))
    mails = list(mailbox.search(MailQuery()))
    files: dict[Any, io.BytesIO] = {}
    whats = [what for mail in mails for what in (mail.attachments[1], mail.ref)]
    done = list(mailbox.save_many(whats, lambda what: files.setdefault(what, io.BytesIO())))
    assert [item.what for item in done] == whats
    assert [files[mail.attachments[1]].getvalue() for mail in mails] == contents
    assert [files[mail.ref].getvalue() for mail in mails] == [mailbox.raw(mail.ref) for mail in mails]
    assert [
        item.size
        for item in mailbox.fetch_many(mail.ref for mail in mails)
        if not isinstance(item, Unfetched)
    ] == [len(files[mail.ref].getvalue()) for mail in mails]


class Digest:
    """A file of which only the digest is kept."""

    def __init__(self) -> None:
        self.size = 0
        self._digest = hashlib.sha256()

    def write(self, data: bytes, /) -> None:
        """Take a piece."""
        self.size += len(data)
        self._digest.update(data)

    @property
    def digest(self) -> str:
        """Of all that was written."""
        return self._digest.hexdigest()


def test_a_large_attachment_in_little_memory(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """149 MB pass through, by Graph's id and as part of the mail."""
    piece = os.urandom(1024 * 1024)
    message = graph.append(ROBOT, plain(1))
    graph.attach(ROBOT, message, Attachment("big.bin", Blob([piece] * 149)))
    expected = hashlib.sha256()
    for _ in range(149):
        expected.update(piece)
    (attachment,) = only(mailbox).attachments
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    file = Digest()
    (done,) = mailbox.save_many([attachment], lambda _what: file)
    assert done == Saved(attachment, 149 * 1024 * 1024)
    assert file.digest == expected.hexdigest()
    assert (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024
    )  # kB; the server is in here, too
