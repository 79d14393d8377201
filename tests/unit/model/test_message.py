"""Mails as values: through JSON and back, without loss."""

from __future__ import annotations

import json
import pickle
from datetime import timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn import errors
from airflow_email_conn.model.message import Address, Attachment, Mail, MailRef, MailSummary

REFS = st.builds(MailRef, st.text(), st.text(), st.text(), st.none() | st.text())
ADDRESSES = st.builds(Address, st.text(), st.text())
TIMES = st.none() | st.datetimes(timezones=st.just(timezone.utc))
IDS = st.lists(st.text(), max_size=3).map(tuple)
ATTACHMENTS = st.builds(Attachment, REFS, st.text(), st.text(), st.text(), st.integers(0), st.booleans())
FIELDS = {
    "ref": REFS,
    "subject": st.text(),
    "sender": st.none() | ADDRESSES,
    "to": st.lists(ADDRESSES, max_size=2).map(tuple),
    "date": TIMES,
    "received": TIMES,
    "size": st.integers(0),
    "seen": st.booleans(),
    "answered": st.booleans(),
    "headers": st.lists(st.tuples(st.text(), st.text()), max_size=3).map(tuple),
    "references": IDS,
    "attachments": st.lists(ATTACHMENTS, max_size=2).map(tuple),
    "defects": IDS,
}


@given(st.builds(MailSummary, **FIELDS))
def test_summary_survives_xcom(mail: MailSummary) -> None:
    """A dict that JSON can hold, and the same mail again."""
    again = MailSummary.from_dict(json.loads(json.dumps(mail.as_dict())))
    assert again == mail
    assert again.message_id == mail.message_id


@given(st.builds(Mail, text=st.text(), **FIELDS))
def test_mail_survives_json(mail: Mail) -> None:
    """The whole mail too."""
    assert Mail.from_dict(json.loads(json.dumps(mail.as_dict()))) == mail


@pytest.mark.parametrize("data", [{}, {"ref": {}}, {"ref": None}, {"ref": {"folder": "a", "uid": "1"}}])
def test_other_dicts_are_refused(data: dict[str, object]) -> None:
    """Not a mail of ours."""
    with pytest.raises((KeyError, TypeError)):
        MailSummary.from_dict(data)


def test_headers_by_name() -> None:
    """The first of that name, in any case of letters."""
    mail = Mail(ref=MailRef("a", "1"), headers=(("X-A", "1"), ("x-a", "2")))
    assert mail.header("x-A") == "1"
    assert mail.header("y") is None
    assert mail.summary(["X-b", "X-A"]).headers == mail.headers
    assert mail.summary() == MailSummary(ref=mail.ref)


def test_identity_is_where_it_lies() -> None:
    """The Message-ID stands beside it, for people."""
    assert MailRef("a", "1", "2", "<x>") == MailRef("a", "1", "2", "<y>")
    assert MailRef("a", "1", "2") != MailRef("a", "1", "3")
    assert Address("a@B.C").domain == "b.c"
    assert str(Address("a@b.c", "A")) == "A <a@b.c>"


def test_errors_travel_between_processes() -> None:
    """Airflow pickles what a subprocess raised."""
    refused = errors.RefusedError("no", "550 x", refused={"a@b": (550, "x")}, retryable=True)
    for error in (
        errors.SettingsError(["a: b", "c: d"]),
        errors.FolderNotFoundError("x", ("INBOX", "Done")),
        errors.AuthenticationError("no", "said\r\nthis"),
        errors.DeadlineError("late"),
        refused,
    ):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert again.retryable == error.retryable


def test_server_texts_are_cleaned() -> None:
    """One printable line, cut."""
    error = errors.ServerError("no", "a\r\nb\0c\x1b[31m" + "x" * 1000)
    assert "\n" not in str(error)
    assert "\x1b" not in str(error)
    assert len(str(error)) < 400
