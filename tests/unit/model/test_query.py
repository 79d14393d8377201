"""Queries: what is accepted, what is refused with which words, what matches."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn.errors import QueryError
from airflow_email_conn.model.message import Address, Attachment, MailRef, MailSummary
from airflow_email_conn.model.query import FILTERS, MailQuery

REF = MailRef("INBOX", "7", "1", "<a@b>")
NOON = datetime(2026, 3, 14, 12, tzinfo=timezone.utc)
MAIL = MailSummary(
    ref=REF,
    subject="Straße 5: Report",
    sender=Address("Ann@Acme.com", "Ann <bob@evil.org>"),
    to=(Address("robot@example.test"),),
    received=NOON,
    size=1000,
    attachments=(Attachment(REF, "2", "Report.CSV", "text/csv", 10),),
)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, True),
        ({"sender": "ann@acme.com"}, True),
        ({"sender": "@acme.com"}, True),
        ({"sender": "@ACME.COM"}, True),
        ({"sender": "@cme.com"}, False),
        ({"sender": "bob@evil.org"}, False),  # the display name is no address
        ({"sender": re.compile("evil")}, True),  # a pattern sees the whole text
        ({"subject": "STRASSE"}, True),
        ({"subject": re.compile("^report")}, False),
        ({"attachment": "report.*"}, True),
        ({"attachment": "*.xlsx"}, False),
        ({"since": NOON}, True),
        ({"since": NOON + timedelta(seconds=1)}, False),
        ({"before": NOON}, False),
        ({"before": NOON + timedelta(seconds=1)}, True),
        ({"larger_than": 999, "smaller_than": 1001}, True),
        ({"larger_than": 1000}, False),
        ({"has_attachments": "false"}, False),
        ({"message_id": "<a@b>"}, True),
        ({"message_id": "A@b"}, False),
        ({"unseen": False}, False),
        ({"flagged": "no"}, True),
    ],
)
def test_matches(filters: dict[str, Any], expected: bool) -> None:
    """One criterion at a time."""
    assert MailQuery(**filters).matches(MAIL) is expected


def test_mail_without_a_sender_or_a_time_matches_no_such_filter() -> None:
    """What is not known is not taken for a match."""
    bare = MailSummary(ref=REF)
    assert not MailQuery(sender=re.compile("")).matches(bare)
    assert not MailQuery(since=NOON).matches(bare)
    assert not MailQuery(before=NOON).matches(bare)
    assert MailQuery(subject=re.compile("^$")).matches(bare)


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"sender": "Ann"}, "sender: 'Ann' is neither an address"),
        ({"sender": "*@acme.com"}, "sender: .* is neither"),
        ({"recipient": "a@b, c@d"}, "recipient: .* is neither"),
        ({"subject": " "}, "subject: an empty text"),
        ({"subject": []}, "subject: an empty list"),
        ({"subject": 5}, "subject: a text, a pattern or a list"),
        ({"subject": [5]}, "subject: a text or a pattern, not int"),
        ({"subject": {"regexp": "x"}}, 'subject: a pattern is written {"regex": "..."}'),
        ({"subject": {"regex": "("}}, "subject: not a regular expression"),
        ({"subject": "x" * 2000}, "subject: longer than 1000"),
        ({"subject": ["x"] * 2000}, "subject: more than 1000 values"),
        ({"subject": "a\nb"}, "subject: must not contain NUL, CR or LF"),
        ({"body": re.compile("x")}, "body: the server finds texts, not patterns"),
        ({"since": "yesterday"}, "since: 'yesterday' is not a time in ISO 8601"),
        ({"since": "2026-03-14T12:00:00"}, "since: .* has no time zone"),
        ({"since": 5}, "since: an aware datetime"),
        ({"unseen": "maybe"}, "unseen: True, False or None, not 'maybe'"),
        ({"larger_than": -1}, "larger_than: a number of bytes"),
        ({"larger_than": "1.5"}, "larger_than: a number of bytes"),
        ({"larger_than": True}, "larger_than: a number of bytes"),
        ({"raw": ""}, "raw: must not be empty"),
        ({"raw": "X\r\n"}, "raw: must not be empty nor contain"),
    ],
)
def test_refused(filters: dict[str, Any], words: str) -> None:
    """One clear error that names the filter."""
    pattern = words if ".*" in words else re.escape(words)
    with pytest.raises(QueryError, match=pattern):
        MailQuery(**filters)


def test_values_as_templates_render_them() -> None:
    """Text means the same as the native type."""
    rendered = MailQuery(
        since="2026-03-14 12:00:00+00:00", before="2026-03-15", unseen="True", flagged="0", larger_than=" 10 "
    )
    native = MailQuery(
        since=NOON,
        before=datetime(2026, 3, 15, tzinfo=timezone.utc),
        unseen=True,
        flagged=False,
        larger_than=10,
    )
    assert rendered == native


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.datetimes() | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=2),
)


@given(st.dictionaries(st.sampled_from(FILTERS), ANY, max_size=4))
def test_nothing_but_query_error(filters: dict[str, Any]) -> None:
    """Whatever a template renders to, it is a query or one error."""
    error: QueryError | None = None
    try:
        MailQuery(**filters).matches(MAIL)
    except QueryError as raised:
        error = raised
    assert error is None or any(str(error).startswith(name) for name in filters)
