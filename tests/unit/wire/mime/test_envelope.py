"""The header of a mail as values."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn.model.message import Address
from airflow_email_conn.wire.mime import addresses, envelope
from airflow_email_conn.wire.mime.envelope import parse_date, parse_envelope, parse_ids


def at(text: str) -> datetime:
    """A time in ISO 8601."""
    return datetime.fromisoformat(text)


def test_a_usual_header() -> None:
    """Every field, from the answer to BODY[HEADER.FIELDS (...)]."""
    found = parse_envelope(
        b"from: Ada <ada@example.org>\r\nTO: bob@example.org\r\nCc: c@example.org\r\n"
        b"Reply-To: reply@example.org\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
        b"Date: Fri, 21 Nov 1997 09:55:06 -0600\r\nMessage-ID: <1@example.org>\r\n"
        b"In-Reply-To: <0@example.org>\r\nReferences: <0@example.org>\r\n <00@example.org>\r\n\r\n"
    )
    assert found == envelope.Envelope(
        subject="Grüße",
        sender=Address("ada@example.org", "Ada"),
        to=(Address("bob@example.org"),),
        cc=(Address("c@example.org"),),
        reply_to=(Address("reply@example.org"),),
        date=at("1997-11-21T09:55:06-06:00"),
        message_id="<1@example.org>",
        in_reply_to=("<0@example.org>",),
        references=("<0@example.org>", "<00@example.org>"),
    )


def test_an_empty_header() -> None:
    """Nothing there is no defect."""
    assert parse_envelope(b"") == envelope.Envelope()


@pytest.mark.parametrize(
    ("block", "sender", "defect"),
    [
        (
            b"From: a@b\nFrom: c@d\nFrom: e@f\n",
            Address("a@b"),
            "several From headers: only the first was read",
        ),
        (b"From: a@b, c@d\n", Address("a@b"), "2 addresses in From: the first was taken as the sender"),
        (b"From: nobody\n", Address("", "nobody"), "From holds no address that can be trusted"),
    ],
)
def test_a_doubtful_sender_is_told(block: bytes, sender: Address, defect: str) -> None:
    """RFC 5322 3.6 wants one From header; filters may look at the defects."""
    found = parse_envelope(block)
    assert (found.sender, found.defects) == (sender, (defect,))


def test_lists_of_recipients_are_put_together() -> None:
    """Several To headers are one list written in pieces, up to a limit."""
    found = parse_envelope(b"To: a@b\nTo: c@d\nSubject: one\nSubject: two\n")
    assert found.to == (Address("a@b"), Address("c@d"))
    assert found.subject == "one"
    assert len(found.defects) == 2
    huge = b"Cc: " + b"x" * (addresses.MAX_ADDRESS_BYTES + 1) + b"\nCc: a@b\n"
    assert "too many addresses in Cc: only the first 0 were read" in parse_envelope(huge).defects


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Fri, 21 Nov 1997 09:55:06 -0600", "1997-11-21T09:55:06-06:00"),
        ("21 Nov 97 09:55 GMT", "1997-11-21T09:55:00+00:00"),
        ("Fri, 21 Nov 1997 09(comment):55:06 -0600", None),
        ("Fri, 1 Jan 16 09:55:06 EST", "2016-01-01T09:55:06-05:00"),
        ("Fri, 01 January 2016 09:55:60 +0530 (IST)", "2016-01-01T09:55:59+05:30"),
        ("Fri, 1-JAN-2016 9:55:06 (PDT)", "2016-01-01T09:55:06-07:00"),
        ("Fri, 1 Jan 2016 09:55:06", "2016-01-01T09:55:06+00:00"),
        ("Fri, 1 Jan 2016 09:55:06 -0000", "2016-01-01T09:55:06+00:00"),
        ("Fri, 1 Jan 2016 09.55.06 +01:00", "2016-01-01T09:55:06+01:00"),
        ("Fri Jan  1 09:55:06 2016", "2016-01-01T09:55:06+00:00"),
        ("Fri Jan  1 09:55:06 EDT 2016", "2016-01-01T09:55:06-04:00"),
        ("2016-01-01T09:55:06.123+01:00", "2016-01-01T09:55:06+01:00"),
        ("2016-01-01 09:55:06", "2016-01-01T09:55:06+00:00"),
        ("Fri, 32 Jan 2016 09:55:06 +0000", None),
        ("Fri, 1 Foo 2016 09:55:06 +0000", None),
        ("Fri, 1 Jan 2016 25:55:06 +0000", None),
        ("Fri, 1 Jan 2016 09:55:06 +9999", None),
        ("Fri, 1 Jan 0016 09:55:06 +0000", None),
        ("Fri, 1 Jan 9999 09:55:06 +0000", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_dates(text: str, expected: str | None) -> None:
    """The standard, the obsolete forms of RFC 5322 4.3, asctime and ISO 8601; else None."""
    assert parse_date(text.encode()) == (at(expected) if expected else None)


def test_a_bad_date_is_told() -> None:
    """None, and a line that says why."""
    found = parse_envelope(b"Date: soon\n")
    assert (found.date, found.defects) == (None, ("the Date header cannot be understood",))


@given(st.datetimes(min_value=datetime(1900, 1, 2), max_value=datetime(9990, 1, 1)), st.integers(-1439, 1439))  # noqa: DTZ001
def test_every_date_comes_back(when: datetime, minutes: int) -> None:
    """Whatever the zone, to the second."""
    when = when.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=minutes)))
    sign = "-" if minutes < 0 else "+"
    zone = f"{sign}{abs(minutes) // 60:02}{abs(minutes) % 60:02}"
    month = "JanFebMarAprMayJunJulAugSepOctNovDec"[when.month * 3 - 3 : when.month * 3]
    assert parse_date(f"{when.day} {month} {when.year} {when:%H:%M:%S} {zone}".encode()) == when


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        (b"", ()),
        (b"<a@b>", ("<a@b>",)),
        (b"<a@b><c@d>\t<e@f>", ("<a@b>", "<c@d>", "<e@f>")),
        (b"Your mail of Monday <a@b>", ("<a@b>",)),
        (b"<a\tb@c>", ("<ab@c>",)),
        (b"a@b, c@d", ("<a@b>", "<c@d>")),
        (b"no id", ()),
        (b"<>", ()),
        (b"<" * 5000, ()),
        ("<ü@b>".encode(), ("<ü@b>",)),
    ],
)
def test_ids(value: bytes, ids: tuple[str, ...]) -> None:
    """In order, with brackets, without white space."""
    assert parse_ids(value) == ids


def test_ids_have_a_limit() -> None:
    """A References header can be made as long as anybody likes."""
    assert len(parse_ids(b"<a@b>" * 5000)) == envelope.MAX_IDS


@given(st.binary() | st.text(alphabet="FromTDate: <@>,\n", max_size=80).map(str.encode))
def test_any_bytes_give_an_envelope(block: bytes) -> None:
    """Never raises."""
    parse_envelope(block)
    parse_date(block)
