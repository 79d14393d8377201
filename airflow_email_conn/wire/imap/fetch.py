"""One FETCH answer: what was asked for, and what it says about a mail (RFC 9051 7.5.2)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_email_conn.errors import ProtocolError, QueryError
from airflow_email_conn.model.keywords import MAX_KEYWORDS
from airflow_email_conn.model.message import MailRef, MailSummary
from airflow_email_conn.wire.imap import bodystructure, grammar
from airflow_email_conn.wire.imap.sets import MAX_DIGITS
from airflow_email_conn.wire.mime import headers, structure
from airflow_email_conn.wire.mime.envelope import FIELDS, envelope, named

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_email_conn.model.message import Attachment
    from airflow_email_conn.wire.imap.engine import Data
    from airflow_email_conn.wire.imap.grammar import Value

__all__ = [
    "MAX_HEADER",
    "SIZE",
    "STRUCTURE",
    "UNDESCRIBED",
    "Items",
    "body",
    "describes_parts",
    "flags",
    "is_salvaged",
    "is_whole",
    "items",
    "leading_uid",
    "received",
    "section",
    "size",
    "structure_summary",
    "summary",
    "summary_items",
    "uid",
]

STRUCTURE = b"(UID BODYSTRUCTURE)"
UNDESCRIBED = "the server did not describe the parts of the mail"  # a defect of its summary
SIZE = b"(UID RFC822.SIZE)"
MAX_HEADER = 256 * 1024  # octets of a mail's envelope headers that are looked at
Items: TypeAlias = "dict[bytes, Value]"

_SALVAGED = b""  # no item has this name
_SIZE_DIGITS = 19  # of a mail's size, which has 63 bits (RFC 9051 9: number64)
# What needs no quotes in a command, and hides no other one (RFC 9051 9: ATOM-CHAR).
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_UID = re.compile(rb"[( ]UID (\d{1,10})[ )]")
_LEADING_UID = re.compile(rb"(?:\* \d{1,10} FETCH )?\(UID (\d{1,10})[ )]", re.IGNORECASE)
_SECTION = re.compile(rb"BODY\[([^\]]*)\](?:<\d+>)? $")
_MONTHS = {
    name: number
    for number, name in enumerate(
        (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"), 1
    )
}


def summary_items(names: Iterable[str] = (), *, structure: bool = True) -> bytes:
    """The items that `summary` reads.

    Header fields, not ENVELOPE: servers differ in how they parse broken headers, and our parser reads the
    same mail the same way wherever it lies.

    :param names: header fields to be in `MailSummary.headers`.
    :param structure: with the attachments; without, when `STRUCTURE` was fetched before.
    :raises QueryError: a name that could end the command.
    """
    wanted = list(dict.fromkeys(name.upper() for name in (*FIELDS, *names)))
    for name in wanted:
        if not _NAME.fullmatch(name):
            raise QueryError(f"header: {name!r:.80} cannot be asked for")
    return (
        b"(UID FLAGS INTERNALDATE RFC822.SIZE "
        + (b"BODYSTRUCTURE " if structure else b"")
        + b"BODY.PEEK[HEADER.FIELDS ("
        + " ".join(wanted).encode("ascii")
        + b")])"
    )


def items(data: Data) -> Items:
    """Item name in upper case to value; a body section goes by `BODY[` and the rest of its name."""
    try:
        values = grammar.parse(data.pieces)
    except ProtocolError:
        return _salvaged(data)
    pairs = values[0] if values and isinstance(values[0], list) else []
    return {
        name.upper(): value
        for name, value in zip(pairs[::2], pairs[1::2], strict=False)
        if isinstance(name, bytes)
    }


def _salvaged(data: Data) -> Items:
    """What can be read for sure of an answer that breaks the grammar: which mail it is about.

    Servers quote badly what a sender wrote, a file name say: such a mail must not hide the others.
    """
    first = data.pieces[0]
    match = _UID.search(first) if isinstance(first, bytes) else None
    return {b"UID": match[1], _SALVAGED: None} if match else {}


def is_salvaged(found: Items) -> bool:
    """Whether an answer about the mail broke the grammar: nothing in it but the UID could be read."""
    return _SALVAGED in found


def describes_parts(found: Items) -> bool:
    """Whether the server says which parts a mail has."""
    return bodystructure.tree(found.get(b"BODYSTRUCTURE")) is not None


def uid(found: Items) -> int | None:
    """The UID of an answer; None when the server left it out: then nobody knows which mail it is about."""
    value = found.get(b"UID")
    return int(value) if isinstance(value, bytes) and value.isdigit() and len(value) <= MAX_DIGITS else None


def body(found: Items, part: str | None = None) -> bytes | None:
    """The body section of an answer; None without one.

    :param part: the part number that it must have, empty for a whole mail; None: whichever it is.
    """
    prefix = b"BODY[" if part is None else b"BODY[" + part.encode("ascii") + b"]"
    for name, value in found.items():
        if name.startswith(prefix) and isinstance(value, bytes):
            return value
    return None


def size(found: Items) -> int:
    """RFC822.SIZE; 0 when it makes no sense."""
    value = found.get(b"RFC822.SIZE")
    return int(value) if isinstance(value, bytes) and value.isdigit() and len(value) <= _SIZE_DIGITS else 0


def leading_uid(text: bytes) -> int | None:
    """The UID at the beginning of an answer, where it stands when it is asked for first; else None.

    Further on it could be part of what a sender wrote, a file name say.
    """
    match = _LEADING_UID.match(text)
    return int(match[1]) if match else None


def section(before: bytes) -> str:
    """The section of a literal by what comes before it in its answer; empty for a whole mail."""
    match = _SECTION.search(before)
    return match[1].decode("ascii", "replace") if match else ""


def flags(found: Items) -> dict[str, Any]:
    """The flags and keywords that a mail has, by the names of MailSummary's fields."""
    value = found.get(b"FLAGS")
    told = [flag for flag in value if isinstance(flag, bytes)] if isinstance(value, list) else []
    names = {flag.lower() for flag in told}
    keywords = [flag.decode("utf-8", "replace") for flag in told if flag and not flag.startswith(b"\\")]
    return {
        **{name: b"\\" + name.encode("ascii") in names for name in ("seen", "flagged", "answered")},
        "keywords": tuple(keywords[:MAX_KEYWORDS]),
    }


def received(found: Items) -> datetime | None:
    """INTERNALDATE, such as `17-Jul-1996 02:44:25 -0700`, with its zone; None when it makes no sense."""
    value = found.get(b"INTERNALDATE")
    if not isinstance(value, bytes):
        return None
    try:
        day, clock, zone = value.split()
        date, month, year = day.split(b"-")
        hour, minute, second = clock.split(b":")
        minutes = int(zone[1:3]) * 60 + int(zone[3:5])
        offset = timedelta(minutes=-minutes if zone[:1] == b"-" else minutes)
        return datetime(
            int(year), _MONTHS[month.lower()], int(date), int(hour), int(minute), min(int(second), 59),
            tzinfo=timezone(offset),
        )  # fmt: skip
    except (ValueError, KeyError, OverflowError):
        return None


def is_whole(found: Items, asked: bytes) -> bool:
    """Whether an answer has what takes reading the mail: Dovecot leaves out the rest where it gives up."""
    has_structure = b"BODYSTRUCTURE" not in asked or b"BODYSTRUCTURE" in found
    return has_structure and (b"BODY.PEEK" not in asked or body(found) is not None)


def summary(found: Items, folder: str, validity: str, names: Iterable[str] = ()) -> MailSummary:
    """The summary of a mail; what cannot be read is a defect of the mail, never an error.

    :param names: the header fields that `summary_items` was given.
    """
    fields, problems = headers.split(body(found) or b"")
    head = envelope(fields, problems)
    ref = MailRef(folder, str(uid(found)), validity, head.message_id)
    attachments, defects = _attachments(found.get(b"BODYSTRUCTURE"), ref)
    return MailSummary(
        ref=ref,
        **head.summary(),
        **flags(found),
        received=received(found),
        size=size(found),
        attachments=attachments,
        headers=named(fields, names) if names else (),
        defects=(*head.defects, *defects),
    )


def structure_summary(found: Items, folder: str, validity: str) -> MailSummary:
    """The attachments of a mail and nothing else."""
    ref = MailRef(folder, str(uid(found)), validity)
    return MailSummary(ref=ref, attachments=_attachments(found.get(b"BODYSTRUCTURE"), ref)[0])


def _attachments(value: Value, ref: MailRef) -> tuple[tuple[Attachment, ...], tuple[str, ...]]:
    root = bodystructure.tree(value)
    if root is None:
        return (), (UNDESCRIBED,)
    return structure.attachments(root, ref), ()
