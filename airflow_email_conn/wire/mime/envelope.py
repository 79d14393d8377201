"""The header of a mail as values: who, to whom, when, about what, in answer to what (RFC 5322 3.6)."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airflow_email_conn.wire.mime import headers, words
from airflow_email_conn.wire.mime.addresses import MAX_ADDRESS_BYTES, MAX_ADDRESSES, parse_addresses

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_email_conn.model.message import Address

__all__ = [
    "FIELDS",
    "MAX_DEFECTS",
    "Envelope",
    "envelope",
    "named",
    "parse_date",
    "parse_envelope",
    "parse_ids",
]

# What an Envelope is made of: the names to ask an IMAP server for.
FIELDS = (
    "From",
    "To",
    "Cc",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Auto-Submitted",
    "Precedence",
)
_KEYS = frozenset(name.lower() for name in FIELDS)

MAX_DEFECTS = 50  # lines about one mail; nobody reads more
MAX_IDS = 1_000  # Message-IDs of one header; the first ones
_DATE_LIMIT = 100  # bytes of a Date header that are looked at

_ID = re.compile(r"<[ ]{0,9}[^<> ][^<>]{0,998}>")  # 998: the longest line a mail may have (RFC 5322 2.1.1)
_MONTHS = {
    name: number
    for number, word in enumerate(b"jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)
    for name in (word, word.title())
}
_CLOCK = rb"(?P<hour>\d{1,2})[:.](?P<minute>\d{2})(?:[:.](?P<second>\d{2}))?(?:[.,]\d+)?"
_ZONE = rb"[ \t(]*(?P<zone>[+-]\d{2}:?\d{2}|[A-Za-z]{1,5})?"
_DATES = (
    re.compile(  # Fri, 21 Nov 1997 09:55:06 -0600
        rb"(?:[A-Za-z]{2,9}\.?,?[ \t]*)?(?P<day>\d{1,2})[ \t-]+(?P<month>[A-Za-z]{3})[A-Za-z]{0,6}\.?[ \t,-]+"
        rb"(?P<year>\d{4}|\d{2})[ \t,]+" + _CLOCK + _ZONE
    ),
    re.compile(  # Fri Nov 21 09:55:06 1997, as asctime writes it; the zone may stand before the year
        rb"(?:[A-Za-z]{3,9},?[ \t]+)?(?P<month>[A-Za-z]{3})[A-Za-z]{0,6}[ \t]+(?P<day>\d{1,2}),?[ \t]+"
        + _CLOCK
        + rb"[ \t]+(?:(?P<zone>[+-]\d{4}|[A-Za-z]{1,5})[ \t]+)?(?P<year>\d{4})"
    ),
    re.compile(  # 1997-11-21T09:55:06-06:00
        rb"(?P<year>\d{4})[-/](?P<month>\d{1,2})[-/](?P<day>\d{1,2})[T \t]+" + _CLOCK + _ZONE
    ),
)
_PARTS = ("year", "month", "day", "hour", "minute", "second", "zone")
# RFC 5322 4.3; every other name, military letters included, means UTC there, for want of better knowledge.
_ZONES = {b"EST": -5, b"EDT": -4, b"CST": -6, b"CDT": -5, b"MST": -7, b"MDT": -6, b"PST": -8, b"PDT": -7}


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the header says about the mail; the names and meanings are those of MailSummary.

    :param sender: the first address of the first From header: with several, a defect says so.
    :param defects: what was wrong and how it was read nevertheless, one line each.
    """

    subject: str = ""
    sender: Address | None = None
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    date: datetime | None = None
    message_id: str | None = None
    in_reply_to: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    automatic: bool = False
    defects: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """What goes into a MailSummary as it is: all but the Message-ID and the defects."""
        return {name: getattr(self, name) for name in _IN_SUMMARY}


_IN_SUMMARY = tuple(f.name for f in fields(Envelope) if f.name not in {"message_id", "defects"})


def parse_envelope(block: bytes) -> Envelope:
    """Envelope of a header block, such as the answer to BODY[HEADER.FIELDS (...)]. Never raises."""
    fields, defects = headers.split(block)
    return envelope(fields, defects)


def envelope(fields: Iterable[tuple[str, bytes]], defects: Iterable[str] = ()) -> Envelope:
    """Envelope of fields that `headers.split` gave.

    :param defects: what is already known to be wrong; comes first in the result.
    """
    found: dict[str, bytes] = {}
    noted = list(defects)
    for name, value in fields:
        key = name.lower()
        if key in _KEYS:
            if key in found:
                _repeated(found, key, value, noted)
            else:
                found[key] = value
    get = found.get
    ids = parse_ids(get("message-id", b""))
    return Envelope(
        words.decode(get("subject", b"")),
        _sender(get("from", b""), noted),
        _addresses(get("to", b""), "To", noted),
        _addresses(get("cc", b""), "Cc", noted),
        _addresses(get("reply-to", b""), "Reply-To", noted),
        _date(get("date", b""), noted),
        ids[0] if ids else None,
        parse_ids(get("in-reply-to", b"")),
        parse_ids(get("references", b"")),
        _is_automatic(get("auto-submitted", b""), get("precedence", b"")),
        tuple(noted),
    )


def named(fields: Iterable[tuple[str, bytes]], names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The fields of these names, in any case of letters: in order, decoded."""
    keys = frozenset(name.lower() for name in names)
    return tuple([(name, words.decode(value)) for name, value in fields if name.lower() in keys])


def _is_automatic(auto_submitted: bytes, precedence: bytes) -> bool:
    """Whether a program sent it (RFC 3834 5), or a list (Precedence: no standard defines it, all use it)."""
    submitted = auto_submitted.partition(b";")[0].strip().lower()
    return submitted not in {b"", b"no"} or precedence.strip().lower() in {b"bulk", b"list", b"junk"}


def _repeated(found: dict[str, bytes], key: str, value: bytes, defects: list[str]) -> None:
    """A second header of a kind that may come once (RFC 5322 3.6)."""
    if key in {"to", "cc"}:  # several are plainly one list that was written in pieces
        if len(found[key]) <= MAX_ADDRESS_BYTES:
            found[key] += b", " + value
        text = f"several {key.title()} headers: put together"
    else:
        text = f"several {key.title()} headers: only the first was read"
    if text not in defects:
        defects.append(text)


def _sender(value: bytes, defects: list[str]) -> Address | None:
    """The first address of a From header."""
    found = _addresses(value, "From", defects)
    if len(found) > 1:
        defects.append(f"{len(found)} addresses in From: the first was taken as the sender")
    if found and not found[0].email:
        defects.append("From holds no address that can be trusted")
    return found[0] if found else None


def _addresses(value: bytes, name: str, defects: list[str]) -> tuple[Address, ...]:
    """The addresses of a header, with a word when there were too many."""
    if not value:
        return ()
    found = parse_addresses(value)
    if len(found) >= MAX_ADDRESSES or len(value) > MAX_ADDRESS_BYTES:
        defects.append(f"too many addresses in {name}: only the first {len(found)} were read")
    return found


def _date(value: bytes, defects: list[str]) -> datetime | None:
    """The Date header, with a word when it makes no sense."""
    if not value:
        return None
    date = parse_date(value)
    if date is None:
        defects.append("the Date header cannot be understood")
    return date


def parse_date(value: bytes) -> datetime | None:
    """An aware time from a Date header (RFC 5322 3.3) or what looks like one; None where nothing does.

    Without a zone, or with one that nobody knows, UTC. Years before 1900 are mistakes, not dates.
    """
    text = value[:_DATE_LIMIT].strip()
    for pattern in _DATES:
        match = pattern.match(text)
        if match:
            try:
                return _time(match)
            except ValueError:  # the 31st of February, 25 o'clock, or a zone a day away
                return None
    return None


def _time(match: re.Match[bytes]) -> datetime:
    """The time that the parts of a date make. :raises ValueError: there is none such."""
    year, month, day, hour, minute, second, zone = match.group(*_PARTS)
    full = int(year)
    if len(year) == 2:
        full += 2000 if full < 50 else 1900  # RFC 5322 4.3
    if not 1900 <= full < 9999:  # conversion to UTC could leave what datetime can hold
        raise ValueError(year)
    # 60 is a leap second (RFC 5322 3.3), which datetime does not know.
    seconds = min(int(second), 59) if second else 0
    return datetime(full, _month(month), int(day), int(hour), int(minute), seconds, 0, _zone(zone or b""))


def _month(text: bytes) -> int:
    """1 to 12. :raises ValueError: an unknown name."""
    return _MONTHS.get(text) or _MONTHS.get(text.lower()) or int(text)


@lru_cache(maxsize=256)
def _zone(text: bytes) -> timezone:
    """The zone of a date. :raises ValueError: a day or more away from UTC."""
    if text[:1] in {b"+", b"-"}:
        hours, minutes = int(text[1:3]), int(text[-2:])
        offset = timedelta(hours=hours, minutes=minutes)
        return timezone(-offset if text[:1] == b"-" else offset)
    return timezone(timedelta(hours=_ZONES.get(text.upper(), 0)))


def parse_ids(value: bytes) -> tuple[str, ...]:
    """Message-IDs in order, with angle brackets (RFC 5322 3.6.4); at most MAX_IDS.

    Folding may have put spaces inside: they are taken out. Without any bracket, each word with an `@` is one.
    """
    if not value:
        return ()
    text = value.decode("ascii") if value.isascii() else value.decode("utf-8", "replace")
    if not text.isprintable():
        text = words.clean(text)
    if "<" in text:
        found = _ID.findall(text)
    else:
        found = [f"<{bare}>" for word in text.split() if "@" in word and (bare := word.strip(",;>"))]
    return tuple([item if " " not in item else item.replace(" ", "") for item in found[:MAX_IDS]])
