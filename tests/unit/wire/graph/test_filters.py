"""What Exchange is asked for: in its order, and never less than what the query takes."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn.model.message import Address, MailRef, MailSummary
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.wire.graph.filters import Span, in_order, quoted, span_of
from tests.servers.graph.odata import parse_filter

NOON = datetime(2026, 3, 14, 12, tzinfo=timezone.utc)
SECOND = timedelta(seconds=1)


def asked(query: MailQuery, **how: Any) -> str:
    """The filter of a query."""
    return in_order(query, span_of(query), **{"newest_first": False, **how})["$filter"]


@pytest.mark.parametrize(
    ("filters", "clauses"),
    [
        ({}, []),
        ({"unseen": True}, ["isRead eq false"]),
        ({"unseen": False, "flagged": True}, ["isRead eq true", "flag/flagStatus eq 'flagged'"]),
        ({"flagged": False, "answered": True, "larger_than": 1, "has_attachments": False}, []),
        ({"sender": "O'Brien@Acme.com"}, ["from/emailAddress/address eq 'o''brien@acme.com'"]),
        ({"sender": "@acme.com"}, []),
        (
            {"sender": ["a@b.c", "d@e.f"]},
            ["(from/emailAddress/address eq 'a@b.c' or from/emailAddress/address eq 'd@e.f')"],
        ),
        ({"sender": ["a@b.c", {"regex": "x"}]}, []),
        ({"sender": [f"a{n}@b.c" for n in range(11)]}, []),
        ({"subject": "it's  für März"}, ["contains(subject,'it''s')"]),
        ({"subject": "ü"}, []),
        ({"subject": "x" * 201}, []),
        ({"message_id": " <a@b> "}, ["(internetMessageId eq '<a@b>' or internetMessageId eq 'a@b')"]),
        ({"recipient": "a@b.c", "body": "x", "header": {"X": "y"}, "attachment": "*.csv"}, []),
    ],
)
def test_clauses(filters: dict[str, Any], clauses: list[str]) -> None:
    """Time first, since the order is by it; then what Exchange understands as we do."""
    first = "receivedDateTime ge 1900-01-01T00:00:00Z"
    assert asked(MailQuery(**filters)) == " and ".join([first, *clauses])
    assert asked(MailQuery(**filters), by_time_only=True) == first


def test_the_order() -> None:
    """Both ways by the time of arrival."""
    span = Span()
    assert in_order(MailQuery(), span, newest_first=False)["$orderby"] == "receivedDateTime"
    assert in_order(MailQuery(), span, newest_first=True)["$orderby"] == "receivedDateTime desc"


def test_times_are_wider_where_they_are_finer() -> None:
    """Exchange compares what it does not show: the fraction of a second."""
    query = MailQuery(since="2026-03-14T13:00:00.7+01:00", before="2026-03-14T12:00:09.2+00:00")
    assert span_of(query) == Span(NOON, NOON + timedelta(seconds=10))
    assert asked(query) == (
        "receivedDateTime ge 2026-03-14T12:00:00Z and receivedDateTime lt 2026-03-14T12:00:10Z"
    )


@pytest.mark.parametrize("when", [datetime.min, datetime.max, datetime(1601, 1, 1)])  # noqa: DTZ001, DTZ901
@pytest.mark.parametrize("hours", [-14, 0, 14])
def test_the_ends_of_time(when: datetime, hours: int) -> None:
    """What UTC has no name for, or no mail, bounds nothing."""
    zone = timezone(timedelta(hours=hours))
    span = span_of(MailQuery(since=when.replace(tzinfo=zone), before=when.replace(tzinfo=zone)))
    assert span.start >= datetime(1900, 1, 1, tzinfo=timezone.utc)
    assert span.end is None or span.end >= datetime(1900, 1, 1, tzinfo=timezone.utc)


def test_parts_of_a_span() -> None:
    """Each with its last second, which may not have been read to its end."""
    span = Span(NOON, NOON + timedelta(hours=1))
    assert span.from_second(NOON + SECOND) == Span(NOON + SECOND, NOON + timedelta(hours=1))
    assert span.to_second(NOON + SECOND) == Span(NOON, NOON + 2 * SECOND)
    assert span.from_second(NOON - SECOND) == span.to_second(NOON + timedelta(hours=2)) == span


def test_quotes() -> None:
    """A quote is written twice, and nothing else ends a text."""
    assert quoted("a'b''c") == "'a''b''''c'"


# ------------------------------------------------------------ a superset, whatever is asked

WORDS = st.sampled_from(["Report", "märz", "it's", "a", "ß", "  ", "x y", "REPORT 3"])
SENDERS = st.sampled_from(["ann@acme.com", "BOB@other.org", "o'brien@acme.com", "carl@sub.acme.com"])
TIMES = st.integers(0, 4_000_000).map(lambda micro: NOON + timedelta(microseconds=micro))
IDS = st.sampled_from(["<a@b>", "<c@d>", "<it's@b>"])


def some_of(values: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """One, several, or a pattern."""
    patterns = values.map(lambda text: {"regex": re.escape(text)})
    return st.one_of(st.none(), values, st.lists(st.one_of(values, patterns), min_size=1, max_size=3))


QUERIES = st.fixed_dictionaries(
    {
        "sender": some_of(st.one_of(SENDERS, SENDERS.map(lambda text: "@" + text.split("@")[1]))),
        "subject": some_of(WORDS.filter(str.strip)),
        "message_id": some_of(IDS),
        "unseen": st.sampled_from([None, True, False]),
        "flagged": st.sampled_from([None, True, False]),
        "has_attachments": st.sampled_from([None, True, False]),
        "since": st.one_of(st.none(), TIMES),
        "before": st.one_of(st.none(), TIMES),
    }
)


@st.composite
def mails(draw: st.DrawFn) -> tuple[MailSummary, datetime]:
    """A mail as it is shown, and its exact time."""
    when = draw(TIMES)
    mail = MailSummary(
        ref=MailRef("INBOX", "1", message_id=draw(IDS)),
        subject=" ".join(draw(st.lists(WORDS, max_size=4))),
        sender=Address(draw(SENDERS)),
        received=when.replace(microsecond=0),
        seen=draw(st.booleans()),
        flagged=draw(st.booleans()),
    )
    return mail, when


@given(QUERIES, mails(), st.booleans())
def test_what_matches_is_asked_for(
    filters: dict[str, Any], shown: tuple[MailSummary, datetime], by_time_only: bool
) -> None:
    """Exchange, which compares exact times and ignores case, finds every mail that the query takes."""
    mail, when = shown
    query = MailQuery(**filters)
    sender = mail.sender
    assert sender
    found = parse_filter(
        asked(query, by_time_only=by_time_only),
        {
            "receivedDateTime": lambda _: when,
            "isRead": lambda _: mail.seen,
            "flag/flagStatus": lambda _: "flagged" if mail.flagged else "notflagged",
            "from/emailAddress/address": lambda _: sender.email.casefold(),
            "subject": lambda _: mail.subject.casefold(),
            "internetMessageId": lambda _: (mail.message_id or "").casefold(),
        },
    )
    assert found.matches(None) or not query.matches(mail)
