"""What a query finds is the same in every mailbox: memory, IMAP and POP3 on every server."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import partial
from typing import Any

import pytest

from airflow_email_conn.backends.imap import finding
from airflow_email_conn.backends.imap.mailbox import ImapMailbox
from airflow_email_conn.errors import CapabilityError
from airflow_email_conn.hooks.preview import preview
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.wire.imap.search import search_keys
from tests.contract.mails import invoice, plain
from tests.contract.places import WITH_FOLDERS, Place, ignore, imap_server
from tests.servers.bed import bed_unavailable, running_bed

NOON = datetime(2026, 3, 14, 12, tzinfo=timezone.utc)


def note(*fields: str, subject: str = "Note", sender: str = "Ann <ann@acme.com>", text: str = "Hi") -> bytes:
    """A mail with these header lines, as they are."""
    lines = (f"From: {sender}", "To: robot@example.test", f"Subject: {subject}", *fields, "", text, "")
    return "\r\n".join(lines).encode()


def report(name: str, content_type: str) -> bytes:
    """A mail with one file and a picture in the text."""
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["Subject"] = "carl@sub.acme.com", "Report"
    mail.set_content("Hi")
    mail.add_attachment(b"x", *content_type.split("/"), filename=name)
    mail.add_attachment(b"x", "image", "png", filename="picture.png")
    return mail.as_bytes()


# Their numbers are their places here, from 1 on.
MAILS = (
    note("X-Kind: Invoice", "List-Id: <a.example>", "List-Id: <b.example>"),
    note("X-Kind: =?utf-8?q?Gr=C3=BC=C3=9Fe?= aus", " =?utf-8?q?Z=C3=BCrich?=", subject="SPAM: Note"),
    note("x-kind: the", "  yearly", "\tinvoice", "In-Reply-To: <q1@x> <q2@x>", sender="Bob <bob@other.org>"),
    report("report.csv", "text/csv"),
    report("report.pdf", "application/pdf"),
    invoice(6),
    note("X-Kind: =?utf-8?q?Inv?= =?utf-8?b?b2ljZQ==?=", sender="acme@evil.org", subject="Rechnung"),
    note("X-Kind:", "In-Reply-To: Your note of Monday"),
)


@pytest.fixture
def filled(place: Place) -> Place:
    """A place with the mails above, an hour apart."""
    for number, raw in enumerate(MAILS):
        place.append(raw, NOON + timedelta(hours=number))
    return place


def numbers(place: Place, query: MailQuery, **how: Any) -> list[int]:
    """Which of the mails above a search finds."""
    ends = {place_of(mail): number for number, mail in enumerate(place.mailbox.search(MailQuery()), 1)}
    return [ends[place_of(mail)] for mail in place.mailbox.search(query, **how)]


def place_of(mail: Any) -> str:
    """What a mail is told from others by."""
    uid: str = mail.ref.uid
    return uid


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"attachment_type": "text/csv"}, [4, 6]),
        ({"attachment_type": "image/*"}, [4, 5, 6]),
        ({"attachment_type": ["application/pdf", "message/rfc822"]}, [5, 6]),
        ({"attachment": "report.*", "attachment_type": "image/*"}, []),
        ({"attachment": "report.*", "attachment_type": "TEXT/*"}, [4]),
        ({"in_reply_to": "q2@x"}, [3]),
        ({"in_reply_to": "<order-7@example.test>"}, [6]),
        ({"in_reply_to": {"regex": "@"}}, [3, 6]),
        ({"in_reply_to": ["q1@x", "order-7@example.test"]}, [3, 6]),
        ({"header": {"X-Kind": "invoice"}}, [1, 7]),
        ({"header": {"X-Kind": "the yearly INVOICE"}}, [3]),
        ({"header": {"X-Kind": {"regex": "invoice$"}}}, [1, 3, 7]),
        ({"header": {"X-Kind": "Grüße aus Zürich"}}, [2]),
        ({"header": {"X-Kind": {"regex": "Grüße"}}}, [2]),
        ({"header": {"X-Kind": ["invoice", "grüße aus zürich"]}}, [1, 2, 7]),
        ({"header": {"X-Kind": True}}, [1, 2, 3, 7]),
        ({"header": {"X-Kind": False}}, [4, 5, 6, 8]),
        ({"header": {"X-Kind": None}}, [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"header": {"List-Id": "<b.example>", "X-Kind": True}}, [1]),
        ({"header": {"From": "ann <ANN@acme.com>"}}, [1, 2, 8]),
        ({"header": {"X-None": "x"}}, []),
        ({"deny": [{"subject": "^spam"}, {"sender": r"\.org>?$"}]}, [1, 4, 5, 6, 8]),
        ({"allow": [{"sender": r"acme\.com$"}]}, [1, 2, 4, 5, 6, 8]),
        ({"allow": [{"sender": r"acme\.com$", "subject": "note"}, {"subject": "rechnung"}]}, [1, 2, 6, 7, 8]),
        ({"allow": {"sender": "acme"}, "deny": [{"sender": "evil"}, {"subject": "^spam"}]}, [1, 4, 5, 6, 8]),
        ({"allow": {"subject": "rechnung"}, "attachment": "*.csv", "before": NOON + timedelta(hours=6)}, [6]),
    ],
)  # fmt: skip
def test_query(filled: Place, filters: dict[str, Any], expected: list[int]) -> None:
    """Criteria, alone and together."""
    query = MailQuery(**filters)
    assert numbers(filled, query) == expected
    assert numbers(filled, query, newest_first=True) == expected[::-1]
    assert numbers(filled, query, limit=1) == expected[:1]


def test_headers_that_were_asked_for(filled: Place) -> None:
    """In the summary these, decoded and in order; in the mail all of them."""
    (mail,) = filled.mailbox.search(MailQuery(header={"LIST-id": True, "x-kind": None, "X-None": None}))
    assert mail.headers == (
        ("X-Kind", "Invoice"),
        ("List-Id", "<a.example>"),
        ("List-Id", "<b.example>"),
    )
    assert mail.header("list-id") == "<a.example>"
    whole = filled.mailbox.fetch(mail.ref)
    assert [name for name, _ in whole.headers if name != "Subject"][-3:] == ["X-Kind", "List-Id", "List-Id"]
    assert all(found.headers == () for found in filled.mailbox.search(MailQuery()))


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"answered": True}, [2, 4]),
        ({"answered": False}, [1, 3]),
        ({"answered": True, "flagged": True}, [4]),
        ({"answered": "true", "unseen": "true"}, [2]),
    ],
)
def test_flags(place: Place, filters: dict[str, Any], expected: list[int]) -> None:
    """Where there are flags; else the same clear refusal for each of them."""
    if not place.mailbox.capabilities.flags:
        with pytest.raises(CapabilityError, match="answered"):
            list(place.mailbox.search(MailQuery(**filters)))
        return
    for number in range(1, 5):
        seen = flagged = number > 2
        place.append(plain(number), seen=seen, flagged=flagged, answered=not number % 2)
    assert numbers(place, MailQuery(**filters)) == expected
    found = list(place.mailbox.search(MailQuery()))
    assert [mail.answered for mail in found] == [False, True, False, True]
    assert [place.mailbox.fetch(mail.ref).answered for mail in found] == [False, True, False, True]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"subject": "für märz €"}, [6]),
        ({"subject": ["spam", "märz"], "sender": ["ann@acme.com", "billing@acme.com"]}, [2, 6]),
        ({"header": {"X-Kind": ["Grüße aus Zürich", "invoice"]}, "sender": "@acme.com"}, [1, 2]),
        ({"message_id": ["ä@b", "invoice-6@acme.com"]}, [6]),
    ],
)
def test_ascii_only_searches_find_the_same(
    shared_place: Place, monkeypatch: pytest.MonkeyPatch, filters: dict[str, Any], expected: list[int]
) -> None:
    """Where a server knows no UTF-8 (BADCHARSET), the wider search and the client come to the same."""
    for number, raw in enumerate(MAILS):
        shared_place.append(raw, NOON + timedelta(hours=number))
    query = MailQuery(**filters)
    assert numbers(shared_place, query) == expected
    monkeypatch.setattr(finding, "search_keys", partial(search_keys, ascii_only=True))
    assert numbers(shared_place, query) == expected


# ------------------------------------------------------------ preview


def test_preview(filled: Place) -> None:
    """Each mail, taken or not, in the order asked for; the same mails that a search takes."""
    query = MailQuery(deny={"subject": "^spam"}, header={"X-Kind": {"regex": "invoice"}})
    shown = preview(filled.mailbox, query, folder="INBOX", limit=100, newest_first=False)
    assert [(item.explanation.taken, item.explanation.reason) for item in shown[:4]] == [
        (True, "every criterion is fulfilled"),
        (False, "deny[0]: subject matches '^spam'"),
        (True, "every criterion is fulfilled"),
        (False, "header: X-Kind is missing"),
    ]
    found = list(filled.mailbox.search(query))
    assert [item.mail for item in shown if item.explanation.taken] == found
    newest = preview(filled.mailbox, query, folder="INBOX", limit=3, newest_first=True)
    assert newest == shown[:-4:-1]


def test_preview_asks_the_server_for_bodies(place: Place) -> None:
    """`body` is the server's to decide: so it is asked."""
    for text in ("no", "a needle here", "needle"):
        place.append(note(text=text, subject="Spam" if text == "needle" else "Note"))
    query = MailQuery(body="needle", deny={"subject": "spam"})
    shown = preview(place.mailbox, query, folder="INBOX", limit=2, newest_first=False)
    assert [item.explanation.reason for item in shown] == [
        "every criterion is fulfilled; body found by the server",
        "deny[0]: subject matches 'spam'",
    ]
    shown = preview(place.mailbox, query, folder="INBOX", limit=None, newest_first=False)
    assert shown[0].explanation.reason == "body: the server does not find it"


@pytest.mark.parametrize("place", WITH_FOLDERS, indirect=True)
def test_preview_changes_nothing(place: Place) -> None:
    """No flag of any mail."""
    for number in range(4):
        place.append(invoice(number), seen=bool(number % 2))
    before = place.flags()
    preview(place.mailbox, MailQuery(body="x"), folder="INBOX", limit=10, newest_first=True)
    assert place.flags() == before


# ------------------------------------------------------------ days


@pytest.mark.parametrize("hours", [-8, 13])
def test_moments_around_midnight(place: Place, hours: int) -> None:
    """`since` and `before` are moments, wherever the mail came in; IMAP's own are days of some zone."""
    zone = timezone(timedelta(hours=hours))
    midnight = datetime(2026, 3, 15, tzinfo=zone)
    second = timedelta(seconds=1)
    for step in (-1, 0, 1):
        when = midnight + step * second
        # POP3 tells no time: what the last server wrote into the header counts.
        stamp = f"Received: from a by b; {format_datetime(when)}\r\n".encode()
        place.append(stamp + plain(step + 2), when)
    for moment, later in ((midnight - second, 3), (midnight, 2), (midnight + second, 1)):
        same = moment.astimezone(timezone.utc)
        for asked in (moment, same, same.isoformat()):
            assert numbers(place, MailQuery(since=asked)) == [1, 2, 3][3 - later :]
            assert numbers(place, MailQuery(before=asked)) == [1, 2, 3][: 3 - later]


@pytest.mark.skipif(bed_unavailable() is not None, reason=str(bed_unavailable()))
@pytest.mark.parametrize("hours", [-8, 13])
def test_servers_in_other_zones(monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    """Dovecot and Cyrus on a machine at UTC-8 and at UTC+13: SINCE and BEFORE mean days of their own."""
    monkeypatch.setenv("TZ", f"<HERE>{-hours:+d}")
    local = timezone(timedelta(hours=hours))
    moments = [
        datetime(2026, 3, 14, 0, 0, tzinfo=zone) + timedelta(minutes=minutes)
        for zone in (timezone.utc, local)
        for minutes in (-1, 0, 1)
    ]
    with running_bed() as servers:
        for place in (servers, servers.cyrus):
            login = next(iter(place.users))
            for number, moment in enumerate(moments):
                place.append(login, plain(number), when=moment)
            with ImapMailbox.open(imap_server(place, login), ignore) as mailbox:
                for asked in moments:
                    found = {mail.received for mail in mailbox.search(MailQuery(since=asked))}
                    assert found == {moment for moment in moments if moment >= asked}
                    found = {mail.received for mail in mailbox.search(MailQuery(before=asked))}
                    assert found == {moment for moment in moments if moment < asked}
