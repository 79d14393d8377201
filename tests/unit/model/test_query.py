"""Queries: what is accepted, what is refused with which words, what matches."""

from __future__ import annotations

import pickle
import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn.errors import QueryError
from airflow_email_conn.model.message import Address, Attachment, Mail, MailRef, MailSummary
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
    answered=True,
    in_reply_to=("<q1@x>", "<q2@x>"),
    attachments=(
        Attachment(REF, "2", "Report.CSV", "text/csv", 10),
        Attachment(REF, "3", "logo.png", "image/png", 10),
    ),
    headers=(("X-Kind", "Daily  Report"), ("List-Id", "<a.x>"), ("list-id", "<b.x>"), ("X-Empty", "")),
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
        ({"attachment_type": "image/*"}, True),
        ({"attachment_type": "IMAGE/PNG"}, True),
        ({"attachment_type": {"regex": "^text/(csv|plain)$"}}, True),
        ({"attachment_type": ["application/pdf", "text/html"]}, False),
        ({"attachment": "*.csv", "attachment_type": "text/*"}, True),
        ({"attachment": "*.csv", "attachment_type": "image/*"}, False),  # not the same file
        ({"in_reply_to": "q2@x"}, True),
        ({"in_reply_to": "<q3@x>"}, False),
        ({"header": {"x-kind": " daily report "}}, True),
        ({"header": {"X-Kind": "daily"}}, False),  # equals, not a part
        ({"header": {"X-Kind": {"regex": "^daily"}}}, True),
        ({"header": {"X-Kind": ["weekly", "daily report"]}}, True),
        ({"header": {"List-Id": "<B.x>"}}, True),  # any of a repeated field
        ({"header": {"X-Kind": True, "X-None": False, "X-Empty": None}}, True),
        ({"header": {"X-None": True}}, False),
        ({"header": {"X-Kind": False}}, False),
        ({"header": {"X-Empty": False}}, True),  # empty is as good as none
        ({"header": {"X-Empty": {"regex": "^$"}}}, False),
        ({"header": {"X-None": None}}, True),  # None asks nothing
        ({"header": {"X-None": {"regex": "^"}}}, False),  # what is missing holds no pattern
        ({"answered": True}, True),
        ({"answered": "false"}, False),
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
    assert not MailQuery(sender=re.compile("^")).matches(bare)
    assert not MailQuery(since=NOON).matches(bare)
    assert not MailQuery(before=NOON).matches(bare)
    assert not MailQuery(allow={"sender": re.compile("^")}).matches(bare)
    assert MailQuery(deny={"sender": re.compile("^")}).matches(bare)
    assert MailQuery(subject=re.compile("^$")).matches(bare)


DENY = [{"sender": "evil"}, {"subject": "^spam"}]
ALLOW = [{"sender": r"@acme\.com$", "subject": "report"}, {"subject": "urgent"}]


@pytest.mark.parametrize(
    ("sender", "subject", "deny", "allow", "both"),
    [
        ("ann@acme.com", "Report", True, True, True),
        ("ann@acme.com", "Hello", True, False, False),  # both keys of a rule must be found
        ("eve@evil.org", "URGENT", False, True, False),  # deny comes first
        ("bob@b.org", "spam report", False, False, False),
        ("bob@b.org", "Urgent", True, True, True),
        ("bob@b.org", "Hello", True, False, False),  # the rest
        ("x@b.org <Evil>", "Hello", False, False, False),
    ],
)
def test_deny_then_allow(*, sender: str, subject: str, deny: bool, allow: bool, both: bool) -> None:
    """Only deny: takes the rest. Only allow: ignores it. Both: what is denied is not allowed any more."""
    address = Address("x@b.org", "Evil") if "<" in sender else Address(sender)
    mail = MailSummary(ref=REF, sender=address, subject=subject)
    assert MailQuery(deny=DENY).matches(mail) is deny
    assert MailQuery(allow=ALLOW).matches(mail) is allow
    assert MailQuery(deny=DENY, allow=ALLOW).matches(mail) is both


def test_rules_see_the_address_and_the_name() -> None:
    """`$` ends the address; the whole is seen as `Name <address>`."""
    mail = MailSummary(ref=REF, sender=Address("x@evil.org", "boss@acme.com"))
    assert not MailQuery(allow={"sender": r"@acme\.com$"}).matches(mail)
    assert MailQuery(allow={"sender": "^boss.* <x@"}).matches(mail)


def test_envelope_comes_before_attachments() -> None:
    """What a first look without the parts can tell."""
    bare = MailSummary(ref=REF, subject="Report")
    for filters in ({"attachment": "*.csv"}, {"attachment_type": "text/csv"}, {"has_attachments": True}):
        assert MailQuery(subject="report", **filters).matches_envelope(bare)
        assert not MailQuery(subject="hello", **filters).matches_envelope(bare)
        assert not MailQuery(subject="report", **filters).matches(bare)
        assert MailQuery(subject="hello", **filters).matches_attachments(MAIL)
        assert not MailQuery(**filters).matches_attachments(bare)
        assert MailQuery(**filters).asks_attachments
    assert not MailQuery(subject="x").asks_attachments


def test_body_of_a_whole_mail() -> None:
    """Text or HTML, in any case of letters."""
    mail = Mail(ref=REF, text="Grüße", html="<p>Needle</p>")
    assert MailQuery(body=["x", "GRÜSSE"]).matches_body(Mail(ref=REF, text="Grüße"))
    assert MailQuery(body="needle").matches_body(mail)
    assert not MailQuery(body="thread").matches_body(mail)
    assert MailQuery().matches_body(mail)


@pytest.mark.parametrize(
    ("filters", "by_flags", "by_index"),
    [
        ({}, True, True),
        ({"sender": "@a.b", "since": NOON, "deny": {"subject": "x"}}, True, True),
        ({"unseen": False}, False, True),
        ({"flagged": True}, False, True),
        ({"answered": False}, False, True),
        ({"raw": "KEYWORD x"}, True, False),
        ({"body": "x"}, True, False),
    ],
)
def test_settled(filters: dict[str, Any], by_flags: bool, by_index: bool) -> None:
    """Flags, and a server's own syntax and index of texts, can change their mind about a mail."""
    query = MailQuery(**filters)
    assert query.is_settled(flags=True, index=False) is by_flags
    assert query.is_settled(flags=False, index=True) is by_index
    assert query.is_settled(flags=True, index=True) is (by_flags and by_index)
    assert query.is_settled(flags=False, index=False)


@pytest.mark.parametrize(
    ("filters", "all_of_them"),
    [
        ({}, True),
        ({"header": {"X-A": None, "X-B": None}}, True),
        ({"header": {"X-A": None, "X-B": False}}, False),
        ({"header": {"X-A": None}, "raw": "ALL"}, False),
        ({"larger_than": 0}, False),
        ({"unseen": False}, False),
    ],
)
def test_takes_all(filters: dict[str, Any], all_of_them: bool) -> None:
    """A header that may be anything is no criterion: nobody's folder is emptied by it."""
    assert MailQuery(**filters).takes_all is all_of_them


def test_header_names() -> None:
    """Every field that is named, also those that nothing is asked of."""
    assert MailQuery(header={"X-A": None, "From": "x", "X-B": False}).header_names() == ("X-A", "From", "X-B")
    assert MailQuery().header_names() == ()


def test_copies_of_a_query() -> None:
    """What was read can be read again, pickled and compared."""
    query = MailQuery(header={"X-A": ["x", re.compile("y")]}, deny=DENY, sender="@A.b", body="x")
    assert replace(query) == query
    assert pickle.loads(pickle.dumps(query)) == query
    assert hash(replace(query)) == hash(query)
    assert replace(query, sender=None) != query


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
        ({"answered": 3}, "answered: True, False or None, not 3"),
        ({"attachment_type": "csv"}, "attachment_type: 'csv' is no MIME type"),
        ({"attachment_type": "text/csv; charset=utf-8"}, "without parameters"),
        ({"subject": {"regex": ""}}, "subject: an empty pattern would match every mail"),
        ({"subject": re.compile("")}, "subject: an empty pattern would match every mail"),
        ({"subject": re.compile(b"x")}, "subject: a pattern of text, not of bytes"),
        ({"subject": {"regex": "x", "flags": "i"}}, "subject: a pattern is written"),
        ({"subject": {"regex": "x", "flags": 288}}, "subject: not a regular expression"),
        ({"header": {}}, "header: an empty mapping asks nothing"),
        ({"header": "X-A: b"}, 'header: a mapping such as {"List-Id": "..."}, not str'),
        ({"header": {"X A": "b"}}, "header: 'X A' is not a name"),
        ({"header": {"": "b"}}, "header: '' is not a name"),
        ({"header": {"X-A\r\nX": "b"}}, "header: 'X-A\\r\\nX' is not a name"),
        ({"header": {5: "b"}}, "header: 5 is not a name"),
        ({"header": {"X-A": ""}}, "header X-A: an empty text"),
        ({"header": {"X-A": "a\0"}}, "header X-A: must not contain NUL"),
        ({"header": {"X-A": [True]}}, "header X-A: a text or a pattern, not bool"),
        ({"header": {"X-A": "b", "x-a": "c"}}, "header: one name twice"),
        ({"header": {f"X-{n}": "b" for n in range(51)}}, "header: more than 50 fields"),
        ({"deny": []}, "deny: an empty list"),
        ({"deny": "spam"}, 'deny: a list of rules such as [{"subject": "^out of office"}], not str'),
        ({"deny": [{"subject": "x"}, "spam"]}, "deny[1]: a rule is"),
        ({"allow": [{"from": "x"}]}, "or has both keys, and none of 'from'"),
        ({"allow": [{}]}, "allow[0]: a rule is"),
        ({"allow": [{"sender": "("}]}, "allow[0] sender: not a regular expression"),
        ({"allow": [{"sender": " "}]}, "allow[0] sender: a regular expression that is not empty"),
        ({"allow": [{"sender": None}]}, "allow[0] sender: a regular expression that is not empty"),
        ({"allow": [{"subject": "x"}] * 1001}, "allow: more than 1000 rules"),
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
