"""Marks of mails: which are known, and what becomes of them where there are too many."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow_email_conn.wire.graph.marks import MAX_MARKS, Known, mark

NOON = datetime(2026, 3, 14, 12, tzinfo=timezone.utc)


def marks(count: int) -> list[str]:
    """Of mails that came a second after one another."""
    return [mark(f"id{number}", NOON + timedelta(seconds=number)) for number in range(count)]


def test_a_mail_is_known_by_its_id() -> None:
    """Whatever time Graph tells of it, or none."""
    known = Known([mark("a", NOON)])
    assert known.has(mark("a", NOON))
    assert known.has(mark("a", None))
    assert not known.has(mark("A", NOON))


def test_the_newest_are_kept() -> None:
    """In order of arrival, as long as a trigger's arguments can hold them."""
    kept = Known(marks(MAX_MARKS)).and_also([mark("late", NOON + timedelta(days=1)), mark("old", None)])
    late = mark("late", NOON + timedelta(days=1))
    assert sorted(kept) == sorted(["-", *marks(MAX_MARKS)[1:], late])  # and a sign that there were more
    again = Known(kept).and_also([late])
    assert again == kept


def test_what_came_before_all_of_them() -> None:
    """An old mail, if more were known than are kept; else one that was moved here."""
    old = mark("old", NOON - timedelta(seconds=1))
    assert not Known(marks(10)).is_before(old)
    assert not Known(marks(MAX_MARKS)).is_before(old)
    full = Known(Known(marks(MAX_MARKS)).and_also([mark("older", NOON - timedelta(seconds=2))]))
    assert full.is_before(old)
    assert not full.is_before(mark("same second", NOON))


def test_times_out_of_range() -> None:
    """They are the first or the last."""
    assert mark("a", datetime(1601, 1, 1, tzinfo=timezone.utc))[:8] == "0" * 8
    assert mark("a", datetime(2999, 1, 1, tzinfo=timezone.utc))[:8] == "f" * 8
