"""A message of Graph's JSON as a MailSummary: by its header, by its properties, with whatever is wrong."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn.model.message import Address, Attachment, MailRef
from airflow_email_conn.wire.graph.attachments import of_item
from airflow_email_conn.wire.graph.messages import summary

HEADER = {
    "From": "=?utf-8?q?M=C3=BCller?= <billing@acme.com>",
    "To": "Robot <robot@example.test>,\r\n second@example.test",
    "Subject": "Rechnung für\r\n\tMärz",
    "Date": "Sat, 14 Mar 2026 10:26:53 +0100",
    "Message-ID": "<a@b>",
    "In-Reply-To": "<c@d>",
    "References": "<e@f> <c@d>",
    "Auto-Submitted": "auto-generated",
    "X-Kind": "one",
    "x-kind": "=?utf-8?b?endlaQ==?=",
}


def message(**more: Any) -> dict[str, Any]:
    """A message as Graph gives it."""
    return {
        "id": "AAMk=",
        "receivedDateTime": "2026-03-14T09:26:53Z",
        "isRead": True,
        "flag": {"flagStatus": "flagged"},
        "internetMessageHeaders": [{"name": name, "value": value} for name, value in HEADER.items()],
        "singleValueExtendedProperties": [
            {"id": "Integer 0xe08", "value": "1234"},
            {"id": "Integer 0x1081", "value": "103"},
        ],
        **more,
    }


def test_by_the_header() -> None:
    """Everything that the mail itself says, decoded and unfolded."""
    mail = summary(message(), "INBOX", ("X-Kind",))
    assert mail.ref == MailRef("INBOX", "AAMk=")
    assert (mail.message_id, mail.in_reply_to, mail.references) == ("<a@b>", ("<c@d>",), ("<e@f>", "<c@d>"))
    assert mail.sender == Address("billing@acme.com", "Müller")
    assert mail.to == (Address("robot@example.test", "Robot"), Address("second@example.test"))
    assert mail.subject == "Rechnung für März"
    assert mail.date == datetime(2026, 3, 14, 10, 26, 53, tzinfo=timezone(timedelta(hours=1)))
    assert mail.received == datetime(2026, 3, 14, 9, 26, 53, tzinfo=timezone.utc)
    assert (mail.seen, mail.flagged, mail.answered, mail.automatic) == (True, True, True, True)
    assert mail.size == 1234
    assert mail.headers == (("X-Kind", "one"), ("x-kind", "zwei"))
    assert mail.defects == ()


def test_by_properties() -> None:
    """A draft, and the copy of a sent mail, have no header."""
    mail = summary(
        message(
            internetMessageHeaders=None,
            subject="Hello",
            sentDateTime="2026-03-14T09:00:00Z",
            internetMessageId="<x@y>",
            toRecipients=[{"emailAddress": {"name": "a@b.c", "address": "A@b.c"}}],
            replyTo=[{"emailAddress": {"name": "R", "address": "r@b.c"}}],
            **{"from": {"emailAddress": {"name": "Ann", "address": "ann@acme.com"}}},
        ),
        "\\Sent",
    )
    assert (mail.subject, mail.message_id) == ("Hello", "<x@y>")
    assert mail.sender == Address("ann@acme.com", "Ann")
    assert mail.to == (Address("A@b.c"),)
    assert mail.reply_to == (Address("r@b.c", "R"),)
    assert mail.date == datetime(2026, 3, 14, 9, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("verb", "answered"), [("102", True), ("103", True), ("104", False), ("", False), (None, False)]
)
def test_answered(verb: Any, answered: bool) -> None:
    """The last thing that was done with the mail: forwarding is another."""
    properties = [{"id": "Integer 0x1081", "value": verb}]
    assert summary(message(singleValueExtendedProperties=properties), "INBOX").answered is answered


def test_attachments() -> None:
    """Files with Graph's ids; a link is no file, and told of."""
    items = [
        {"@odata.type": "#microsoft.graph.fileAttachment", "id": "1", "name": "a\n.PNG", "size": 10,
         "contentType": "Image/PNG; name=x", "isInline": True, "contentId": "<logo>"},
        {"@odata.type": "#microsoft.graph.referenceAttachment", "id": "2", "name": "plan.xlsx"},
        {"@odata.type": "#microsoft.graph.itemAttachment", "id": "3", "name": "Lunch", "contentType": None},
        {"@odata.type": "#microsoft.graph.fileAttachment", "id": "4", "name": "", "contentType": None},
    ]  # fmt: skip
    mail = summary(message(attachments=items), "INBOX")
    assert [
        (one.part, one.name, one.content_type, one.inline, one.content_id) for one in mail.attachments
    ] == [
        ("1", "a .PNG", "image/png", True, "logo"),
        ("3", "Lunch", "", False, ""),
        ("4", "attachment.bin", "application/octet-stream", False, ""),
    ]
    assert mail.defects == ("the attachment 'plan.xlsx' is a link to a file elsewhere: it cannot be saved",)


@pytest.mark.parametrize(
    ("kind", "name", "content_type"),
    [
        ("message", "Lunch.eml", "message/rfc822"),
        ("event", "Lunch.ics", "text/calendar"),
        ("contact", "Lunch.vcf", "text/vcard"),
        ("note", "Lunch.eml", "message/rfc822"),
    ],
)
def test_items(kind: str, name: str, content_type: str) -> None:
    """As the file that Graph makes of them."""
    told = {"item": {"@odata.type": f"#microsoft.graph.{kind}"}}
    made = of_item(Attachment(MailRef("INBOX", "1"), "3", "Lunch", "", 9), told)
    assert (made.name, made.content_type) == (name, content_type)
    assert of_item(made, told).name == name


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [*message(), "attachments", "subject", "from", "toRecipients", "sentDateTime", "internetMessageId"]
)


@given(st.dictionaries(NAMES, JSON), st.booleans())
def test_never_raises(odd: dict[str, Any], by_header: bool) -> None:
    """What has another type than it should is as if it were missing."""
    base = message() if by_header else message(internetMessageHeaders=None)
    mail = summary({**base, **odd}, "INBOX", ("X-Kind",))
    assert mail == type(mail).from_dict(mail.as_dict())
