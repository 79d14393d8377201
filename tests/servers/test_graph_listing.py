"""The fake Graph: lists of messages."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from tests.contract.mails import RECEIVED, invoice, plain
from tests.servers.graph.behaviours import Behaviour
from tests.servers.graph.probe import ROBOT, at, proves

if TYPE_CHECKING:
    from tests.servers.graph.probe import Probe

CORPUS = Path(__file__).parent.parent / "corpus"
INBOX = "/mailFolders/inbox/messages"


def fill(probe: Probe, count: int) -> None:
    """Mails with subjects ``0``, ``1``... , each received a minute after the one before."""
    for number in range(count):
        when = RECEIVED + timedelta(minutes=number)
        probe.graph.append(ROBOT, plain(number, subject=str(number)), when=when)


def subjects(page: object) -> list[str]:
    """Of a page's mails."""
    assert isinstance(page, dict)
    return [mail["subject"] for mail in page["value"]]


@proves(Behaviour.MESSAGES_BY_TEN)
def test_ten_messages_a_page(probe: Probe) -> None:
    """The latest first; $top asks for more."""
    fill(probe, 12)
    assert [subjects(page) for page in probe.pages(INBOX)] == [
        [str(number) for number in range(11, 1, -1)],
        ["1", "0"],
    ]
    assert len(probe.get(INBOX, {"$top": "12"})["value"]) == 12
    assert len(probe.get(INBOX, Prefer="odata.maxpagesize=5")["value"]) == 5


@proves(Behaviour.TOP_AT_MOST_1000)
def test_top_has_bounds(probe: Probe) -> None:
    """1 to 1000."""
    assert probe.ask("GET", INBOX, {"$top": "1000"}).status_code == 200
    for top in ("0", "1001"):
        probe.refused(probe.ask("GET", INBOX, {"$top": top}), 400)


@proves(Behaviour.NEXT_LINK)
def test_the_next_link_has_the_options(probe: Probe) -> None:
    """Filter, order, size and selection hold for the next page too."""
    fill(probe, 5)
    when = f"{RECEIVED + timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}"
    query = {
        "$filter": f"receivedDateTime ge {when}",
        "$orderby": "receivedDateTime",
        "$top": "2",
        "$select": "subject",
    }
    pages = list(probe.pages(INBOX, query))
    assert [subjects(page) for page in pages] == [["1", "2"], ["3", "4"]]
    assert all(mail.keys() == {"@odata.etag", "id", "subject"} for mail in pages[1]["value"])


@proves(Behaviour.PAGES_SHIFT)
def test_a_mail_that_goes_shifts_the_pages(probe: Probe) -> None:
    """Whoever deletes while paging misses mails."""
    fill(probe, 4)
    page = probe.get(INBOX, {"$top": "2"})
    assert subjects(page) == ["3", "2"]
    probe.ask("DELETE", at(page["value"][0]["id"]))
    assert subjects(probe.get(page["@odata.nextLink"])) == ["0"]


@proves(Behaviour.SELECT)
def test_select(probe: Probe) -> None:
    """What was asked for, and the id."""
    fill(probe, 1)
    [mail] = probe.get(INBOX, {"$select": "isRead,hasAttachments"})["value"]
    assert mail.keys() == {"@odata.etag", "id", "isRead", "hasAttachments"}
    probe.refused(probe.ask("GET", INBOX, {"$select": "nonsense"}), 400)


@proves(Behaviour.HEADERS_BY_SELECT)
def test_headers_by_select(probe: Probe) -> None:
    """All fields in order, but only when they are asked for."""
    fill(probe, 1)
    [mail] = probe.get(INBOX)["value"]
    assert "internetMessageHeaders" not in mail
    [mail] = probe.get(INBOX, {"$select": "internetMessageHeaders"})["value"]
    assert {"name": "Subject", "value": "0"} in mail["internetMessageHeaders"]


@proves(Behaviour.UNSENT_WITHOUT_HEADERS)
def test_drafts_have_no_headers(probe: Probe) -> None:
    """They came over no wire."""
    made = probe.post_mime("/messages", plain()).json()
    assert "internetMessageHeaders" not in probe.get(at(made["id"]), {"$select": "internetMessageHeaders"})


@proves(Behaviour.INEFFICIENT_FILTER)
def test_the_order_stands_in_the_filter_first(probe: Probe) -> None:
    """Else 400."""
    fill(probe, 2)
    order = {"$orderby": "receivedDateTime desc"}
    since = "receivedDateTime ge 1900-01-01T00:00:00Z"
    assert subjects(probe.get(INBOX, {"$filter": f"{since} and isRead eq false", **order})) == ["1", "0"]
    for wrong in ("isRead eq false", f"isRead eq false and {since}"):
        response = probe.ask("GET", INBOX, {"$filter": wrong, **order})
        probe.refused(response, 400, "InefficientFilter")


@proves(Behaviour.NOT_FILTERABLE)
def test_what_cannot_be_filtered_on(probe: Probe) -> None:
    """The folder, recipients, headers."""
    for wrong in ("parentFolderId eq 'x'", "toRecipients eq 'x'", "internetMessageHeaders eq 'x'"):
        response = probe.ask("GET", INBOX, {"$filter": wrong})
        probe.refused(response, 400, "ErrorInvalidUrlQueryFilter")


def test_filters(probe: Probe) -> None:
    """What can be filtered on, and how it is joined."""
    probe.graph.append(ROBOT, plain(1, subject="Ann's offer"), flags="\\Seen")
    probe.graph.append(ROBOT, plain(2, subject="Bill", sender="Bob <bob@acme.com>"), flags="\\Flagged")
    probe.graph.append(ROBOT, invoice(3))
    first, second = ["Ann's offer"], ["Bill"]
    third = ["Rechnung für März € 2026"]
    for text, found in (
        ("isRead eq true", first),
        ("flag/flagStatus eq 'flagged'", second),
        ("hasAttachments eq true", third),
        ("from/emailAddress/address eq 'BOB@acme.com'", second),
        ("startswith(subject,'ann''s')", first),
        ("contains(subject, 'nn''s o')", first),
        ("internetMessageId eq '<plain-2@acme.com>'", second),
        ("isRead eq true or flag/flagStatus eq 'flagged'", second + first),
        ("not (isRead eq true) and hasAttachments eq false", second),
        ("categories/any(c:c eq 'red')", []),
        ("receivedDateTime gt 2999-01-01T00:00:00.5Z", []),
        ("sentDateTime lt 2026-03-14T10:00:00+00:00 and importance eq 'normal'", third + second + first),
    ):
        assert subjects(probe.get(INBOX, {"$filter": text})) == found, text
    for wrong in (
        "isRead",
        "isRead eq",
        "(isRead eq true",
        "isRead eq true)",
        "isRead is true",
        "isRead eq %",
    ):
        probe.refused(probe.ask("GET", INBOX, {"$filter": wrong}), 400)


@proves(Behaviour.SEARCH_ALONE)
def test_search_stands_alone(probe: Probe) -> None:
    """Neither filter nor order beside it."""
    fill(probe, 2)
    assert subjects(probe.get(INBOX, {"$search": '"1"'})) == ["1"]
    probe.refused(probe.ask("GET", INBOX, {"$search": '"1"', "$filter": "isRead eq false"}), 400)
    probe.refused(probe.ask("GET", INBOX, {"$search": '"1"', "$orderby": "subject"}), 400)


@proves(Behaviour.WHOLE_MAILBOX)
def test_the_whole_mailbox(probe: Probe) -> None:
    """Deleted Items too."""
    for folder in ("INBOX", "deleteditems", "A/B"):
        probe.graph.append(ROBOT, plain(subject=folder), folder)
    assert set(subjects(probe.get("/messages"))) == {"INBOX", "deleteditems", "A/B"}


@proves(Behaviour.INLINE_IS_NO_ATTACHMENT)
def test_inline_pictures_do_not_count(probe: Probe) -> None:
    """HasAttachments is for files."""
    raw = invoice()
    probe.graph.append(ROBOT, raw[: raw.index(b"Content-Type: text/csv")].rpartition(b"\r\n--")[0])
    [mail] = probe.get(INBOX)["value"]
    assert mail["hasAttachments"] is False
    [picture] = probe.get(f"{at(mail['id'])}/attachments")["value"]
    assert picture["isInline"]


@proves(Behaviour.RECEIVED_IN_SECONDS)
def test_the_hidden_fraction(probe: Probe) -> None:
    """A mail is later than the second that is shown."""
    probe.graph.append(ROBOT, plain(), when=datetime(2026, 1, 1, tzinfo=timezone.utc))
    [mail] = probe.get(INBOX)["value"]
    assert mail["receivedDateTime"] == "2026-01-01T00:00:00Z"
    assert probe.get(INBOX, {"$filter": "receivedDateTime le 2026-01-01T00:00:00Z"})["value"] == []
    assert probe.get(INBOX, {"$filter": "receivedDateTime gt 2026-01-01T00:00:00Z"})["value"] != []


ODDITIES = (
    b"",
    b"Subject: =?utf-8?q?=zz?=\r\nFrom: <<>>,\r\nDate: Mon, 99 Foo\r\n\r\n\xff\xfe",
    b"To: undisclosed-recipients:;\r\nFrom: \xc3\xa4 <\xc3\xa4@x.test>\r\nSubject: \xff\r\n\r\n",
    b"Date: Mon, 1 Jan 0001 00:00:00 +2300\r\n\r\n",
    b"Date: Mon, 1 Jan 2024 00:00:00 -0000\r\nContent-Type: message/rfc822\r\n\r\n",
    b"Content-Type: text/plain; charset=nope\r\nContent-Transfer-Encoding: base64\r\n\r\n$$$",
)


def test_any_mail_is_listed(probe: Probe) -> None:
    """However broken it is, the answer is whole, and fits the schema."""
    mails = [*ODDITIES, *(path.read_bytes() for path in sorted(CORPUS.glob("*.eml")))]
    for raw in mails:
        probe.graph.append(ROBOT, raw)
    for query in (
        {"$select": "internetMessageHeaders"},
        {"$expand": "attachments"},
        {"$filter": "sentDateTime ge 2020-01-01T00:00:00Z or isRead eq false"},
        {"$orderby": "sentDateTime"},
        {"$orderby": "from/emailAddress/address"},
    ):
        assert len(probe.get(INBOX, {**query, "$top": "1000"})["value"]) == len(mails)


SIZE = "singleValueExtendedProperties($filter=id eq 'Integer 0x0E08')"


@proves(Behaviour.SIZE_BY_PROPERTY)
def test_the_size_comes_by_expand(probe: Probe) -> None:
    """A text, under an id without the leading zero."""
    probe.graph.append(ROBOT, plain())
    [mail] = probe.get(INBOX, {"$select": "id", "$expand": SIZE})["value"]
    [size] = mail.get("singleValueExtendedProperties", [{"id": "", "value": "0"}])
    assert size["id"] == "Integer 0xe08"
    assert int(size["value"]) >= len(plain())


@proves(Behaviour.SIZE_OF_THE_STORE)
def test_the_size_is_the_stores(probe: Probe) -> None:
    """Not that of the MIME."""
    probe.graph.append(ROBOT, plain())
    [mail] = probe.get(INBOX, {"$expand": SIZE})["value"]
    assert int(mail["singleValueExtendedProperties"][0]["value"]) > len(plain())


@proves(Behaviour.EXPAND_ATTACHMENTS)
def test_expanded_attachments(probe: Probe) -> None:
    """With their bytes, or with what is selected of them."""
    probe.graph.append(ROBOT, invoice())
    [mail] = probe.get(INBOX, {"$expand": "attachments"})["value"]
    assert [one["name"] for one in mail.get("attachments", [])] == [
        "logo.png",
        "rechnung märz.csv",
        "The order",
    ]
    assert mail["attachments"][1]["contentBytes"]
    [mail] = probe.get(INBOX, {"$expand": "attachments($select=name,size)"})["value"]
    assert {"name", "size", "id"} == {key for key in mail["attachments"][1] if not key.startswith("@")}
