"""Lists of mails: what is asked of the server, and what happens when others change the folder meanwhile."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.backends.graph import listing, pages, session
from airflow_email_conn.errors import (
    CapabilityError,
    MailNotFoundError,
    ProtocolError,
    QueryError,
    UnavailableError,
)
from airflow_email_conn.model.message import MailRef
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.wire.graph import paths
from tests.contract.mails import invoice, plain
from tests.graph.conftest import ROBOT

if TYPE_CHECKING:
    from airflow_email_conn.backends.graph.mailbox import GraphMailbox
    from tests.servers.graph.server import GraphServer

NOON = datetime(2026, 3, 14, 12, tzinfo=timezone.utc)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of seven mails."""
    monkeypatch.setattr(listing, "_PAGE", 7)


def fill(graph: GraphServer, seconds: list[int], folder: str = "INBOX") -> None:
    """Mails that came so many seconds after noon, numbered in order of arrival."""
    for number, second in enumerate(seconds):
        graph.append(ROBOT, plain(number), folder, when=NOON + timedelta(seconds=second))


def numbers(mails: Any) -> list[int]:
    """Which of them."""
    return [int(mail.message_id.split("-")[1].split("@")[0]) for mail in mails]


def lists(graph: GraphServer) -> list[str]:
    """The queries of lists of messages."""
    return [seen.query for seen in graph.requests if seen.path.endswith("/messages")]


ARRIVALS = {
    "each in its second": list(range(30)),
    "three in each second": [number // 3 for number in range(30)],
    "all in one second": [0] * 30,
    "many in one second": [*range(5), *[5] * 20, *range(6, 11)],
    "a page exactly": list(range(7)),
    "two in the last second of a page": [*range(6), 6, 6],
}


@pytest.mark.parametrize("seconds", ARRIVALS.values(), ids=ARRIVALS.keys())
@pytest.mark.parametrize("newest_first", [False, True])
def test_every_mail_once_in_order(
    graph: GraphServer, mailbox: GraphMailbox, seconds: list[int], newest_first: bool
) -> None:
    """However many came in one second, and wherever a page ends."""
    fill(graph, seconds)
    expected = list(range(len(seconds)))[:: -1 if newest_first else 1]
    assert numbers(mailbox.search(MailQuery(), newest_first=newest_first)) == expected
    for limit in (1, 2, 7, 29):
        found = mailbox.search(MailQuery(), newest_first=newest_first, limit=limit)
        assert numbers(found) == expected[:limit]


@pytest.mark.parametrize("seconds", ARRIVALS.values(), ids=ARRIVALS.keys())
@pytest.mark.parametrize("newest_first", [False, True])
def test_the_caller_moves_each(
    graph: GraphServer, mailbox: GraphMailbox, seconds: list[int], newest_first: bool
) -> None:
    """What is left moves up the pages: none is passed over."""
    fill(graph, seconds)
    moved = []
    for mail in mailbox.search(MailQuery(), newest_first=newest_first):
        mailbox.move(mail.ref, "\\Archive")
        moved.append(mail)
    assert numbers(moved) == list(range(len(seconds)))[:: -1 if newest_first else 1]


def test_the_caller_marks_what_was_asked_for(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """Mails that do not match any more do not hide others."""
    fill(graph, list(range(30)))
    found = []
    for mail in mailbox.search(MailQuery(unseen=True)):
        mailbox.mark_seen(mail.ref)
        found.append(mail)
    assert numbers(found) == list(range(30))


def test_others_delete_between_the_pages(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """Those that are left are all found."""
    fill(graph, list(range(30)))
    search = mailbox.search(MailQuery())
    first = [next(search) for _ in range(3)]
    with graph.site.lock:
        box = graph.mailbox(ROBOT)
        for message in list(box.messages.values())[:10]:
            box.remove(message)
    assert set(range(10, 30)) <= set(numbers([*first, *search]))


def test_a_caller_whose_doings_bring_mails(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """A search has an end: what comes later is for the next one."""
    fill(graph, list(range(10)))
    found = []
    for mail in mailbox.search(MailQuery()):
        found.append(mail)
        graph.append(ROBOT, plain(100), when=NOON + timedelta(hours=len(found)))
        mailbox.copy(mail.ref, "INBOX")
        assert len(found) < 20
    assert numbers(found) == list(range(10))


def test_a_small_first_page(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """Whoever wants the newest mail is sent two, and asks once."""
    fill(graph, list(range(30)))
    assert numbers(mailbox.search(MailQuery(), newest_first=True, limit=1)) == [29]
    (asked,) = lists(graph)
    assert "$top=2" in asked


def test_a_small_first_page_of_one_second(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """All of its second are read, by pages of the usual size."""
    fill(graph, [0] * 14)
    assert numbers(mailbox.search(MailQuery(), limit=1)) == [0]
    assert len(lists(graph)) == 3


def test_what_is_asked(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """The order that Exchange demands; never an index; ids that stay the same; nothing of contents."""
    fill(graph, list(range(9)))
    list(mailbox.search(MailQuery(sender="ann@acme.com", subject="hello", unseen=True)))
    assert len(lists(graph)) == 3  # two pages, and the newest mail in between
    for seen in graph.requests:
        assert 'IdType="ImmutableId"' in seen.headers["prefer"]
        assert "$search" not in seen.query
        assert "contentBytes" not in seen.query


def test_a_filter_that_is_too_complex(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """The client alone decides then, at the price of looking at all mails."""
    fill(graph, list(range(9)))
    fault = graph.fault(r"contains", status=400, code="InefficientFilter", times=None)
    assert numbers(mailbox.search(MailQuery(subject="hello", sender="ann@acme.com"))) == list(range(9))
    assert fault.hits == 1
    graph.fault(r"/messages\?", status=400, code="InefficientFilter", times=None)
    with pytest.raises(ProtocolError, match="too complex"):
        list(mailbox.search(MailQuery()))


def test_pages_without_end(
    graph: GraphServer, mailbox: GraphMailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that goes on for ever is left."""
    fill(graph, [0] * 30)
    monkeypatch.setattr(pages, "_MAX_PAGES", 3)
    with pytest.raises(ProtocolError, match="goes on for ever"):
        list(mailbox.search(MailQuery()))


def test_raw_is_refused(mailbox: GraphMailbox) -> None:
    """Before any request."""
    with pytest.raises(CapabilityError, match="raw"):
        mailbox.search(MailQuery(raw="isRead eq true"))


# ------------------------------------------------------------ text, and mails that cannot be read


def test_text_is_looked_for_in_the_mails(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """Only of those that fulfil the rest."""
    for number in range(4):
        graph.append(ROBOT, plain(number, text="needle" if number % 2 else "hay", subject=f"Note {number}"))
    found = mailbox.search(MailQuery(body="NEEDLE", subject=["note 2", "note 3"]))
    assert numbers(found) == [3]
    read = [seen for seen in graph.requests if seen.path.endswith("$value")]
    assert len(read) == 2


def test_a_mail_that_cannot_be_read_is_undecided(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """It hides no other, and is owed."""
    texts = [graph.append(ROBOT, plain(number, text="needle")) for number in range(4)]
    graph.fault(r"value", status=500, code="ErrorInternalServerError", skip=1, times=4)
    assert numbers(mailbox.search(MailQuery(body="needle"))) == [0, 2, 3]
    assert [ref.uid for ref in mailbox.undecided] == [texts[1].id]
    list(mailbox.search(MailQuery(body="needle")))
    assert not mailbox.undecided


def test_a_server_that_reads_no_mail_is_an_outage(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """After three in a row, it is not the mails."""
    fill(graph, list(range(5)))
    graph.fault(r"value", status=500, code="ErrorInternalServerError", times=None)
    with pytest.raises(UnavailableError):
        list(mailbox.search(MailQuery(body="Hi")))


def test_a_mail_that_went_meanwhile_is_left_out(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """Between its listing and its reading."""
    fill(graph, list(range(3)))
    graph.fault(r"value", status=404, code="ErrorItemNotFound")
    assert numbers(mailbox.search(MailQuery(body="Hi"))) == [1, 2]


# ------------------------------------------------------------ too much


@pytest.mark.parametrize("newest_first", [False, True])
def test_pages_that_take_too_long(graph: GraphServer, mailbox: GraphMailbox, newest_first: bool) -> None:
    """Smaller ones are asked for; each mail comes once, in order."""
    fill(graph, [*range(9), *[9] * 20])
    graph.fault(r"top=7(?!.*delta)", status=504, times=None)
    expected = list(range(29))[:: -1 if newest_first else 1]
    assert numbers(mailbox.search(MailQuery(), newest_first=newest_first)) == expected


def test_mails_that_take_too_long(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """One by one, by their ids: the one that cannot be described is told of, or undecided."""
    fill(graph, list(range(12)))
    graph.fault(r"/messages\?.*internetMessageHeaders", status=504, times=None)
    (bad,) = list(mailbox.search(MailQuery()))[4:5]
    graph.fault(re.escape(paths.segment(bad.ref.uid)) + r"\?", status=504, times=None)
    assert [bool(mail.defects) for mail in mailbox.search(MailQuery())] == [n == 4 for n in range(12)]
    found = mailbox.search(MailQuery(subject="Hello"))
    assert numbers(found) == [n for n in range(12) if n != 4]
    assert [ref.uid for ref in mailbox.undecided] == [bad.ref.uid]
    graph.fault(r"/messages", status=504, times=None)
    with pytest.raises(UnavailableError, match="in time"):
        list(mailbox.search(MailQuery()))


def test_mails_with_many_recipients(
    graph: GraphServer, mailbox: GraphMailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that is larger than what is read at once does not close the folder."""
    monkeypatch.setattr(session, "_MAX_JSON", 640 * 1024)  # a hundredth
    to = ",\r\n ".join(f"a{number}@b{number}.cc" for number in range(6000))
    for number in range(3):
        graph.append(ROBOT, plain(number).replace(b"To: ", b"To: " + to.encode() + b",\r\n "))
    assert numbers(mailbox.search(MailQuery())) == [0, 1, 2]


def test_long_filters(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """What would make the address too long for Exchange, is decided here."""
    graph.append(ROBOT, plain(1))
    long = [f"{'x' * 180}{number}@acme.com" for number in range(10)]
    query = MailQuery(message_id=[*long[1:], "plain-1@acme.com"], sender=[*long[1:], "ann@acme.com"])
    assert numbers(mailbox.search(query)) == [1]
    assert max(len(seen.query) for seen in graph.requests) < 4000


def test_senders_that_are_not_ascii(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """Exchange may have them in Punycode."""
    raw = "From: =?utf-8?q?J=C3=BCrgen?= <jürgen@müller.de>\r\nMessage-ID: <plain-1@acme.com>\r\n\r\nHi\r\n"
    graph.append(ROBOT, raw.encode())
    assert numbers(mailbox.search(MailQuery(sender="jürgen@müller.de"))) == [1]


def test_the_last_second(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """Of the calendar: it can stand in a mailbox."""
    fill(graph, list(range(9)))
    graph.append(ROBOT, plain(9), when=datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc))
    assert numbers(mailbox.search(MailQuery())) == list(range(10))


@pytest.mark.parametrize(
    "half", [{"sender": "\ud800@x.com"}, {"message_id": "\ud800"}, {"subject": "\ud800"}]
)
def test_half_a_character(graph: GraphServer, mailbox: GraphMailbox, half: dict[str, str]) -> None:
    """No address can hold it, and no mail has it."""
    fill(graph, [0])
    with suppress(QueryError):
        assert list(mailbox.search(MailQuery(**half))) == []  # type: ignore[arg-type]
    with pytest.raises(QueryError, match="Unicode"):
        mailbox.search(MailQuery(), folder="a\ud800")
    with pytest.raises(MailNotFoundError):
        mailbox.fetch(MailRef("INBOX", "\ud800"))


# ------------------------------------------------------------ moved by somebody


def test_a_reference_means_the_mail_in_its_folder(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """Graph gives a mail by its id wherever it lies; one that somebody has moved is somebody's."""
    graph.append(ROBOT, invoice(1))
    (mail,) = mailbox.search(MailQuery())
    with graph.site.lock:
        box = graph.mailbox(ROBOT)
        box.move(box.messages[mail.ref.uid], box.folder("archive"))
    for call in (mailbox.fetch, mailbox.raw):
        with pytest.raises(MailNotFoundError):
            call(mail.ref)
    for change in (mailbox.mark_seen, mailbox.flag, mailbox.delete):
        assert change(mail.ref) == {}
    assert mailbox.move(mail.ref, "INBOX") == mailbox.copy(mail.ref, "INBOX") == {}
    assert mailbox.fetch(MailRef("\\Archive", mail.ref.uid)).message_id == mail.message_id
