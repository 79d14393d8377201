"""One FETCH answer: what was asked for, and what it says about a mail (RFC 9051 7.5.2)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, TypeAlias

from airflow_email_conn.errors import ProtocolError
from airflow_email_conn.model.message import MailRef, MailSummary
from airflow_email_conn.wire.imap import bodystructure, grammar
from airflow_email_conn.wire.imap.sets import MAX_DIGITS
from airflow_email_conn.wire.mime import structure
from airflow_email_conn.wire.mime.envelope import FIELDS, parse_envelope

if TYPE_CHECKING:
    from airflow_email_conn.model.message import Attachment
    from airflow_email_conn.wire.imap.engine import Data
    from airflow_email_conn.wire.imap.grammar import Value

__all__ = [
    "MAX_HEADER",
    "SUMMARY",
    "Items",
    "body",
    "flags",
    "is_summary",
    "items",
    "received",
    "summary",
    "uid",
]

MAX_HEADER = 256 * 1024  # octets of a mail's envelope headers that are looked at
# Header fields, not ENVELOPE: servers differ in how they parse broken headers, and our parser reads the same
# mail the same way wherever it lies.
SUMMARY = (
    b"(UID FLAGS INTERNALDATE RFC822.SIZE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS ("
    + " ".join(FIELDS).upper().encode("ascii")
    + b")])"
)
Items: TypeAlias = "dict[bytes, Value]"

_SIZE_DIGITS = 19  # of a mail's size, which has 63 bits (RFC 9051 9: number64)
_UID = re.compile(rb"[( ]UID (\d{1,10})[ )]")
_MONTHS = {
    name: number
    for number, name in enumerate(
        (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"), 1
    )
}


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
    return {b"UID": match[1], b"RFC822.SIZE": b"0"} if match else {}


def uid(found: Items) -> int | None:
    """The UID of an answer; None when the server left it out: then nobody knows which mail it is about."""
    value = found.get(b"UID")
    return int(value) if isinstance(value, bytes) and value.isdigit() and len(value) <= MAX_DIGITS else None


def body(found: Items) -> bytes | None:
    """The body section of an answer, whichever it is; None without one."""
    for name, value in found.items():
        if name.startswith(b"BODY[") and isinstance(value, bytes):
            return value
    return None


def flags(found: Items) -> tuple[bool, bool]:
    r"""Whether `\Seen` and `\Flagged` are set."""
    value = found.get(b"FLAGS")
    names = {flag.lower() for flag in value if isinstance(flag, bytes)} if isinstance(value, list) else set()
    return b"\\seen" in names, b"\\flagged" in names


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


def is_summary(found: Items) -> bool:
    """Whether answers about a mail hold its summary; not so when it vanished after the search."""
    return b"RFC822.SIZE" in found


def summary(found: Items, folder: str, validity: str) -> MailSummary:
    """The summary of a mail; what cannot be read is a defect of the mail, never an error."""
    header = body(found) or b""
    envelope = parse_envelope(header)
    ref = MailRef(folder, str(uid(found)), validity, envelope.message_id)
    attachments, defects = _attachments(found.get(b"BODYSTRUCTURE"), ref)
    seen, flagged = flags(found)
    size = found.get(b"RFC822.SIZE")
    return MailSummary(
        ref=ref,
        **envelope.summary(),
        received=received(found),
        size=int(size) if isinstance(size, bytes) and size.isdigit() and len(size) <= _SIZE_DIGITS else 0,
        seen=seen,
        flagged=flagged,
        attachments=attachments,
        defects=(*envelope.defects, *defects),
    )


def _attachments(value: Value, ref: MailRef) -> tuple[tuple[Attachment, ...], tuple[str, ...]]:
    root = bodystructure.tree(value)
    if root is None:
        return (), ("the server did not describe the parts of the mail",)
    return structure.attachments(root, ref), ()
