"""A MailQuery in Graph's words: `$filter` and `$orderby` of a list of messages.

Graph: "List messages" (what is ordered by must be filtered by as well, and first) and "Use the $filter query
parameter". Exchange finds a superset, which `MailQuery.matches` decides again. Left out is what it cannot
filter by (recipients, other header fields), or not in our meaning: `hasAttachments` says nothing of pictures
in the text, and counts links; extended properties (size, answered) make it look at every mail. Never
`$search`: it looks into an index that knows mails late, and ends at 1,000.

To Exchange, as to other servers, ß and ss are different; and the address of a sender within the organisation
is the one that its directory knows, whatever the From field says. A Message-ID is found as it was written,
with angle brackets or without; not one with a comment or spaces around it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_email_conn.model.query import MailQuery

__all__ = ["Span", "in_order", "quoted", "span_of"]

_SECOND: Final = timedelta(seconds=1)
# A bound is always given, since the order is by time. Exchange knows no mail before.
_FIRST: Final = datetime(1900, 1, 1, tzinfo=timezone.utc)
# The last that a second more can be added to.
_LAST: Final = datetime.max.replace(tzinfo=timezone.utc) - 2 * _SECOND
_MAX_ALTERNATIVES: Final = 10  # of one criterion; more make the filter "too complex", or the address too long
_MAX_VALUE: Final = 200  # characters of one value
_MAX_FILTER: Final = 2500  # characters of all of it, quoted; the whole address has to stay below 4,000
_WORD: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Span:
    """From one time on until before another, both in UTC and in whole seconds.

    :param end: None: no end.
    """

    start: datetime = _FIRST
    end: datetime | None = None

    def from_second(self, when: datetime) -> Span:
        """The part from this second on, the second included."""
        return Span(max(self.start, when), self.end)

    def to_second(self, when: datetime) -> Span:
        """The part up to this second, the second included."""
        if when > _LAST:
            return self
        end = when + _SECOND
        return Span(self.start, end if self.end is None else min(self.end, end))


def span_of(query: MailQuery) -> Span:
    """When a mail must have come; a second wider where the query's times are finer."""
    since, before = _in_utc(query.time("since")), _in_utc(query.time("before"))
    start = since.replace(microsecond=0) if since else _FIRST
    end = before.replace(microsecond=0) + _SECOND if before else None
    return Span(max(start, _FIRST), end and max(end, _FIRST))


def _in_utc(when: datetime | None) -> datetime | None:
    try:
        return when and when.astimezone(timezone.utc) + _SECOND - _SECOND
    except OverflowError:  # the first or last day that datetime knows
        return None


def in_order(
    query: MailQuery, span: Span, *, newest_first: bool, by_time_only: bool = False
) -> dict[str, str]:
    """The parameters of a list in order of arrival.

    :param by_time_only: for a server that says `InefficientFilter` of the rest.
    """
    clauses = [f"receivedDateTime ge {_written(span.start)}"]
    if span.end:
        clauses.append(f"receivedDateTime lt {_written(span.end)}")
    if not by_time_only:
        clauses += _states(query)
        for name, write in _TEXTS.items():
            clause = _any_of(query, name, write)
            if clause and _length([*clauses, clause]) <= _MAX_FILTER:
                clauses.append(clause)
    order = "receivedDateTime desc" if newest_first else "receivedDateTime"
    return {"$filter": " and ".join(clauses), "$orderby": order}


def quoted(text: str) -> str:
    """A text as OData writes it (OData 4.01 URL conventions, 5.1.1.6.1)."""
    return "'" + text.replace("'", "''") + "'"


def _written(when: datetime) -> str:
    return when.replace(tzinfo=None).isoformat() + "Z"


def _length(clauses: list[str]) -> int:
    return len(quote(" and ".join(clauses), errors="replace"))


def _states(query: MailQuery) -> Iterable[str]:
    if query.unseen is not None:
        yield f"isRead eq {'false' if query.unseen else 'true'}"
    if query.flagged:
        yield "flag/flagStatus eq 'flagged'"


def _any_of(query: MailQuery, name: str, write: Callable[[str], str]) -> str:
    """A criterion's values, any of which may hold; empty where only the client can decide."""
    values = query.texts(name)
    if not values or len(values) > _MAX_ALTERNATIVES:
        return ""
    clauses = [
        write(value) if isinstance(value, str) and len(value) <= _MAX_VALUE else "" for value in values
    ]
    if not all(clauses):
        return ""
    return clauses[0] if len(clauses) == 1 else f"({' or '.join(clauses)})"


def _sender(value: str) -> str:
    """Exactly this address; a domain is the client's to find, and what Exchange may write in Punycode."""
    if value.startswith("@") or not value.isascii():
        return ""
    return f"from/emailAddress/address eq {quoted(value)}"


def _message_id(value: str) -> str:
    """With angle brackets, as in nearly every mail, or as badly written."""
    bare = value.strip().strip("<>")
    return f"(internetMessageId eq {quoted(f'<{bare}>')} or internetMessageId eq {quoted(bare)})"


def _subject(value: str) -> str:
    """The longest word: what is a space to us may be several, or a folded line. ASCII, to mean the same."""
    words = _WORD.findall(value)
    return f"contains(subject,{quoted(max(words, key=len))})" if words else ""


_TEXTS: Final[dict[str, Callable[[str], str]]] = {
    "sender": _sender,
    "message_id": _message_id,
    "subject": _subject,
}
