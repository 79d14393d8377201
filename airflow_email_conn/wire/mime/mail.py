"""Any bytes to a Mail: never raises, bounded in time and memory, and says what it had to guess."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_email_conn.errors import ProtocolError
from airflow_email_conn.model.message import Mail, MailRef
from airflow_email_conn.wire.mime import charsets, words
from airflow_email_conn.wire.mime.envelope import MAX_DEFECTS, envelope
from airflow_email_conn.wire.mime.parts import scan_parts
from airflow_email_conn.wire.mime.sizes import measure
from airflow_email_conn.wire.mime.structure import Part, attachments, find, readable
from airflow_email_conn.wire.mime.transfer import CHUNK, TransferDecoder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

__all__ = ["MAX_TEXT_BYTES", "attachment_bytes", "attachment_pieces", "parse", "scan"]

MAX_TEXT_BYTES = 16 * 1024 * 1024  # decoded, for text and for html each; a novel has one


def parse(
    raw: bytes,
    *,
    ref: MailRef | None = None,
    received: datetime | None = None,
    seen: bool = False,
    flagged: bool = False,
    answered: bool = False,
    keywords: tuple[str, ...] = (),
) -> Mail:
    """The mail that the bytes are, or the nearest to it. Never raises.

    :param ref: where it lies; its `message_id` is filled in from the header when it has none.
    :param received: when the server took it in; aware.
    """
    scanned = scan_parts(raw)
    head = envelope(scanned.fields, scanned.defects)
    where = ref or MailRef(folder="", uid="")
    if where.message_id is None and head.message_id is not None:
        where = MailRef(where.folder, where.uid, where.validity, head.message_id)
    plain, html = readable(scanned.root)
    defects = dict.fromkeys(head.defects)
    return Mail(
        ref=where,
        **head.summary(),
        received=received,
        size=len(raw),
        seen=seen,
        flagged=flagged,
        answered=answered,
        keywords=keywords,
        attachments=attachments(scanned.root, where, lambda part: _decoded_size(raw, part)),
        headers=tuple([(name, words.decode(value)) for name, value in scanned.fields]),
        text=_text(raw, plain, defects),
        html=_text(raw, html, defects),
        defects=tuple(defects)[:MAX_DEFECTS],
    )


def scan(raw: bytes) -> Part:
    """The parts of a mail, with their places in its bytes. Never raises."""
    return scan_parts(raw).root


def attachment_bytes(raw: bytes, number: str) -> bytes:
    """The decoded bytes of one part. :raises ProtocolError: the mail has no part of that number."""
    return b"".join(attachment_pieces(raw, number))


def attachment_pieces(raw: bytes, number: str) -> Iterator[bytes]:
    """As `attachment_bytes`, in pieces of about 64 kB.

    :param number: the part number of an Attachment.
    :raises ProtocolError: the mail has no part of that number; at once, not with the first piece.
    """
    part = find(scan(raw), number) if number else None
    if part is None:
        raise ProtocolError(f"the mail has no part {number}")
    return _pieces(raw, part)


def _pieces(raw: bytes, part: Part) -> Iterator[bytes]:
    """The decoded body of a part, in pieces."""
    # A multipart has no encoding of its own that could be undone (RFC 2045 6.4).
    decoder = TransferDecoder("binary" if part.children else part.encoding)
    for at in range(part.start, part.end, CHUNK):
        piece = decoder.feed(raw[at : min(at + CHUNK, part.end)])
        if piece:
            yield piece
    last = decoder.finish()
    if last:
        yield last


def _decoded_size(raw: bytes, part: Part) -> int:
    """Bytes of the decoded file."""
    count = measure(part.encoding)
    count.feed(raw, part.start, part.end)
    return count.size()


def _text(raw: bytes, parts: tuple[Part, ...], defects: dict[str, None]) -> str:
    """The text of several parts one after the other, lines ended by LF."""
    texts: list[str] = []
    left = MAX_TEXT_BYTES
    for part in parts:
        data, complete = _start_of(raw, part, left)
        left -= len(data)
        charset = part.params.get("charset", "")
        text, guessed = charsets.decode_checked(data, charset)
        if guessed:
            label = words.clean(charset)[:40] or "none"
            defects[f"part {part.number}: the charset ({label}) does not fit, so it was guessed"] = None
        if texts and not texts[-1].endswith("\n"):
            texts.append("\n")
        texts.append(text.removeprefix("\ufeff").replace("\r\n", "\n"))
        if not complete:
            defects[f"the text is longer than {MAX_TEXT_BYTES} bytes: cut there"] = None
            break
    return "".join(texts)


def _start_of(raw: bytes, part: Part, limit: int) -> tuple[bytes, bool]:
    """At most `limit` decoded bytes of a part, and whether that is all of it."""
    found: list[bytes] = []
    left = limit
    for piece in _pieces(raw, part):
        found.append(piece[:left])
        if len(piece) > left:
            return b"".join(found), False
        left -= len(piece)
    return b"".join(found), True
