"""Why a mail is taken or not: the words, and that they never disagree with what matches; queries as JSON."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn.errors import QueryError
from airflow_email_conn.model.message import Address, Attachment, MailRef, MailSummary
from airflow_email_conn.model.query import MailQuery

REF = MailRef("INBOX", "7", "1", "<a@b>")
NOON = datetime(2026, 3, 14, 12, tzinfo=timezone.utc)
MAIL = MailSummary(
    ref=REF,
    subject="Hello",
    sender=Address("ann@acme.com", "Ann"),
    to=(Address("robot@example.test"),),
    received=NOON,
    size=1000,
    in_reply_to=("<q@x>",),
    attachments=(Attachment(REF, "2", "a.csv", "text/csv", 10),),
    headers=(("X-Kind", "report"),),
)


ALL = "every criterion is fulfilled"
H = {"subject": "^h"}


@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        ({"deny": [{"sender": "x"}, {"sender": "acme"}]}, "deny[1]: sender matches 'acme'"),
        (
            {"deny": {"sender": "acme", "subject": "he"}},
            "deny[0]: sender matches 'acme' and subject matches 'he'",
        ),
        ({"allow": {"subject": "x"}}, "allow: no rule fits 'Ann <ann@acme.com>', 'Hello'"),
        ({"sender": "@x.y"}, "sender: '@x.y' does not fit 'Ann <ann@acme.com>'"),
        ({"recipient": ["a@b", "@c"]}, "recipient: none of 'a@b', '@c' fits 'robot@example.test'"),
        ({"subject": "Invoice"}, "subject: 'Invoice' is not in 'Hello'"),
        ({"subject": ["a", "b", "c", "d"]}, "subject: none of 'a', 'b', 'c', ... is in 'Hello'"),
        ({"subject": {"regex": "^x"}}, "subject: '^x' is not in 'Hello'"),
        ({"message_id": "c@d"}, "message_id: 'c@d' is not '<a@b>'"),
        ({"in_reply_to": "c@d"}, "in_reply_to: 'c@d' is not '<q@x>'"),
        ({"header": {"X-Kind": "invoice"}}, "header: X-Kind: 'invoice' is not 'report'"),
        ({"header": {"X-Kind": "report", "X-A": True}}, "header: X-A is missing"),
        ({"header": {"X-A": "b"}}, "header: X-A is missing"),
        ({"header": {"X-Kind": False}}, "header: X-Kind is there: 'report'"),
        ({"unseen": False}, "unseen: the mail is unread"),
        ({"flagged": True}, "flagged: the mail is not flagged"),
        ({"answered": True}, "answered: the mail is not answered"),
        ({"since": "2026-03-15"}, "since: 2026-03-14T12:00:00+00:00 is before 2026-03-15T00:00:00+00:00"),
        ({"before": NOON}, "before: 2026-03-14T12:00:00+00:00 is not before 2026-03-14T12:00:00+00:00"),
        ({"larger_than": 1000}, "larger_than: 1000 bytes are not more than 1000"),
        ({"smaller_than": 1000}, "smaller_than: 1000 bytes are not less than 1000"),
        ({"has_attachments": False}, "has_attachments: there are 1"),
        ({"attachment": "*.pdf"}, "attachment: '*.pdf' does not fit 'a.csv' (text/csv)"),
        ({"attachment_type": "image/*"}, "attachment_type: 'image/*' does not fit 'a.csv' (text/csv)"),
        (
            {"attachment": "*.csv", "attachment_type": "image/*"},
            "attachment: '*.csv' with 'image/*' does not fit 'a.csv' (text/csv)",
        ),
    ],
)
def test_left_for_a_reason(filters: dict[str, Any], reason: str) -> None:
    """Each criterion, in words that say what was wanted and what is there."""
    told = MailQuery(**filters).explain(MAIL)
    assert (told.taken, told.reason) == (False, reason)
    assert told.criterion == next(iter(filters))


def test_nothing_to_compare_with() -> None:
    """A mail that has nothing of it."""
    bare = MailSummary(ref=MailRef("INBOX", "1"))
    for name in ("sender", "recipient", "in_reply_to", "message_id", "attachment", "attachment_type"):
        assert MailQuery(**{name: "@a/b"}).explain(bare).reason == f"{name}: there is none"
    assert "an unknown time is before" in MailQuery(since=NOON).explain(bare).reason


@pytest.mark.parametrize(
    ("filters", "found", "taken", "reason", "criterion"),
    [
        ({}, None, True, ALL, ""),
        ({"allow": [{"subject": "x"}, H]}, None, True, "allow[1]: subject matches '^h'", "allow"),
        ({"body": "x"}, None, True, f"{ALL}; body left to the server", ""),
        ({"body": "x", "raw": "y"}, True, True, f"{ALL}; body and raw found by the server", ""),
        ({"body": "x"}, False, False, "body: the server does not find it", "body"),
        ({"subject": "h"}, False, False, "search: the server does not find it", ""),
        ({"subject": "x", "body": "x"}, True, False, "subject: 'x' is not in 'Hello'", "subject"),
    ],
)  # fmt: skip
def test_the_servers_part(
    *, filters: dict[str, Any], found: bool | None, taken: bool, reason: str, criterion: str
) -> None:
    """What a rule of `allow` took, and what only the server can tell."""
    told = MailQuery(**filters).explain(MAIL, found=found)
    assert (told.taken, told.reason, told.criterion) == (taken, reason, criterion)


def test_what_a_sender_wrote_is_shown_safely() -> None:
    """Escaped where it could break or hide something, cut where it is long; patterns as they were written."""
    mail = MailSummary(ref=REF, subject="a\x1b[31m\u202e\n" + "x" * 100)
    assert MailQuery(subject={"regex": r"\d@acme\.com$"}).explain(mail).reason == (
        r"subject: '\d@acme\.com$' is not in 'a\x1b[31m\u202e\n" + "x" * 49 + "...'"
    )


def test_order() -> None:
    """`deny` speaks first, attachments last, whatever the order of the arguments."""
    wrong: dict[str, Any] = {
        "attachment": "x",
        "has_attachments": False,
        "unseen": False,
        "subject": "x",
        "allow": {"subject": "x"},
        "deny": {"subject": "h"},
    }
    said = []
    while wrong:
        criterion = MailQuery(**wrong).explain(MAIL).criterion
        said.append(criterion)
        del wrong[criterion]
    assert said == ["deny", "allow", "subject", "unseen", "has_attachments", "attachment"]


# ------------------------------------------------------------ properties

WORDS = st.sampled_from(["a", "B", "ab", "ä", "report", "x@a.b", "a.csv", "text/csv", "<i@d>", "ß", "S s"])
TEXT = st.text(max_size=200) | WORDS
ADDRESSES = st.builds(Address, TEXT | st.just("x@a.b"), TEXT)
REFS = st.builds(MailRef, st.just("INBOX"), st.just("1"), st.just("1"), st.none() | TEXT)
ZONES = st.sampled_from(
    [timezone.utc, timezone(timedelta(hours=13)), timezone(-timedelta(hours=8, seconds=9))]
)
TIMES = st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 4), timezones=ZONES)  # noqa: DTZ001 - hypothesis adds it
MAILS = st.builds(
    MailSummary,
    ref=REFS,
    subject=TEXT,
    sender=st.none() | ADDRESSES,
    to=st.lists(ADDRESSES, max_size=4).map(tuple),
    received=st.none() | TIMES,
    size=st.integers(0, 3),
    seen=st.booleans(),
    flagged=st.booleans(),
    answered=st.booleans(),
    in_reply_to=st.lists(TEXT, max_size=4).map(tuple),
    headers=st.lists(st.tuples(st.sampled_from(["X-A", "x-a", "X-B"]), TEXT), max_size=4).map(tuple),
    attachments=st.lists(
        st.builds(Attachment, REFS, st.just("1"), TEXT, TEXT, st.just(1)), max_size=4
    ).map(tuple),
)  # fmt: skip
FLAGS = st.sampled_from([0, re.IGNORECASE, re.DOTALL, re.MULTILINE | re.IGNORECASE, re.ASCII, re.VERBOSE])
PATTERNS = st.builds(re.compile, st.sampled_from(["a", "^A.", "ä|b", "(?i)x", "t$"]), FLAGS)
ONE = WORDS | PATTERNS | st.builds(lambda source: {"regex": source}, st.sampled_from(["a", "b$"]))
SOME = ONE | st.lists(ONE, min_size=1, max_size=5)
WHO = st.sampled_from(["x@a.b", "@a.b", "@A.B"]) | PATTERNS
TYPES = st.sampled_from(["text/csv", "*/*"]) | PATTERNS
RULES = st.lists(
    st.fixed_dictionaries({}, optional={"sender": WORDS | PATTERNS, "subject": WORDS | PATTERNS}).filter(
        bool
    ),
    min_size=1,
    max_size=3,
)
CRITERIA = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("subject", "attachment", "message_id", "in_reply_to"), SOME),
        **dict.fromkeys(("sender", "recipient"), WHO),
        "body": WORDS,
        "attachment_type": TYPES,
        "header": st.dictionaries(
            st.sampled_from(["X-A", "X-B"]), st.none() | st.booleans() | SOME, min_size=1
        ),
        **dict.fromkeys(("deny", "allow"), RULES),
        **dict.fromkeys(("unseen", "flagged", "answered", "has_attachments"), st.booleans()),
        **dict.fromkeys(("since", "before"), TIMES),
        **dict.fromkeys(("larger_than", "smaller_than"), st.integers(0, 3)),
        "raw": st.just("KEYWORD x"),
    },
)  # fmt: skip
QUERIES = CRITERIA.map(lambda criteria: MailQuery(**criteria))


@given(CRITERIA, MAILS)
def test_explanation_never_disagrees(criteria: dict[str, Any], mail: MailSummary) -> None:
    """It says what `matches` says, and names a criterion that alone decides the same."""
    query = MailQuery(**criteria)
    told = query.explain(mail)
    assert told.taken is query.matches(mail)
    assert query.matches(mail) is all(MailQuery(**{k: v}).matches(mail) for k, v in criteria.items()) or {
        "attachment",
        "attachment_type",
    } <= set(criteria)
    if not told.taken and told.criterion != "attachment":
        assert not MailQuery(**{told.criterion: criteria[told.criterion]}).matches(mail)
    if told.taken:
        assert query.matches_envelope(mail)


@given(CRITERIA, MAILS)
def test_reasons_are_fit_for_logs(criteria: dict[str, Any], mail: MailSummary) -> None:
    """One short printable line, whatever the mail says."""
    for found in (None, True, False):
        told = MailQuery(**criteria).explain(mail, found=found)
        assert told.reason.isprintable()
        assert len(told.reason) < 700


@given(QUERIES)
def test_query_survives_json(query: MailQuery) -> None:
    """The arguments of a trigger: the same query, patterns and their flags too."""
    assert MailQuery.from_dict(json.loads(json.dumps(query.as_dict()))) == query


def test_json_is_small() -> None:
    """Only what is set, in its simplest form."""
    query = MailQuery(
        sender="@Acme.com",
        subject=[re.compile("x"), {"regex": "y"}],
        header={"X-A": True, "X-B": "c", "X-C": None, "X-D": False},
        deny=[{"sender": "spam", "subject": re.compile("z")}],
        unseen="False",
        larger_than=0,
        since="2026-03-14",
    )
    assert query.as_dict() == {
        "sender": ["@acme.com"],
        "subject": [{"regex": "x", "flags": 32}, {"regex": "y"}],
        "header": {"X-A": True, "X-B": ["c"], "X-C": None, "X-D": False},
        "deny": [{"sender": "spam", "subject": {"regex": "z", "flags": 32}}],
        "unseen": False,
        "since": "2026-03-14T00:00:00+00:00",
        "larger_than": 0,
    }
    assert MailQuery().as_dict() == {}


@pytest.mark.parametrize("data", [{"no_such": 1}, {"sender": 5}])
def test_other_dicts_are_no_query(data: dict[str, Any]) -> None:
    """Not a form of ours."""
    with pytest.raises((QueryError, TypeError)):
        MailQuery.from_dict(data)
