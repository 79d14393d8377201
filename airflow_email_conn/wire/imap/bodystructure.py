"""A BODYSTRUCTURE into the tree of parts (RFC 9051 7.5.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_email_conn.wire.mime import words
from airflow_email_conn.wire.mime.parameters import decode_parameters, parse_parameters
from airflow_email_conn.wire.mime.structure import Part
from airflow_email_conn.wire.mime.transfer import normalise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_email_conn.wire.imap.grammar import Value

__all__ = ["tree"]

_MAX_DEPTH = 100  # multiparts in each other, as in `wire/mime/cutter.py`; deeper ones are left out
_ABSENT = (None,) * 8  # for what a short one leaves out


def tree(value: Value) -> Part | None:
    """The root part; None when the value is no body structure. What is odd is read as far as it goes."""
    if not isinstance(value, list) or not value:
        return None
    return _part(value, "", 0)


def _part(value: list[Value], number: str, depth: int) -> Part:
    if isinstance(value[0], list):
        return _multipart(value, number, depth)
    return _single(value, number or "1")


def _multipart(value: list[Value], number: str, depth: int) -> Part:
    bodies = [item for item in value if isinstance(item, list)]
    count = next((index for index, item in enumerate(value) if not isinstance(item, list)), len(value))
    children = tuple(
        _part(body, f"{number}.{index}" if number else str(index), depth + 1)
        for index, body in enumerate(bodies[:count], 1)
        if body and depth < _MAX_DEPTH
    )
    subtype = _text(_item(value, count)).lower() or "mixed"
    disposition, disposition_params = _disposition(_item(value, count + 2))
    return Part(
        number=number,
        content_type=f"multipart/{subtype}",
        params=_params(_item(value, count + 1)),
        disposition=disposition,
        disposition_params=disposition_params,
        children=children,
    )


def _single(value: list[Value], number: str) -> Part:
    main, subtype, params, content_id, _, encoding, octets, envelope = (*value, *_ABSENT)[:8]
    content_type = f"{_text(main)}/{_text(subtype)}".lower()
    size = _text(octets)
    # What follows the size: a text has its lines, a mail its envelope, structure and lines, then come the
    # extension data of any part, the MD5 first.
    extension = 7 + (1 if content_type.startswith("text/") else 0)
    subject = ""
    if content_type == "message/rfc822" and isinstance(envelope, list):
        extension = 10
        subject = words.decode(_bytes(_item(envelope, 1)))
    disposition, disposition_params = _disposition(_item(value, extension + 1))
    return Part(
        number=number,
        content_type=content_type if content_type != "/" else "text/plain",
        params=_params(params),
        disposition=disposition,
        disposition_params=disposition_params,
        content_id=words.decode(_bytes(content_id)).strip(" <>") if content_id else "",
        encoding=normalise(_text(encoding)),
        size=int(size) if size.isascii() and size.isdigit() and len(size) < 20 else 0,
        inner_subject=subject,
    )


def _item(value: list[Value], index: int) -> Value:
    return value[index] if index < len(value) else None


def _bytes(value: Value) -> bytes:
    return value if isinstance(value, bytes) else b""


def _text(value: Value) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else ""


def _params(value: Value) -> Mapping[str, str]:
    if not isinstance(value, list):
        return {}
    pairs = zip(value[::2], value[1::2], strict=False)
    # One without a value is none.
    return decode_parameters([(n, v) for n, v in pairs if isinstance(n, bytes) and isinstance(v, bytes)])


def _disposition(value: Value) -> tuple[str, Mapping[str, str]]:
    if isinstance(value, list) and value:
        return _text(value[0]).lower(), _params(_item(value, 1))
    # pymap sends the whole header as one string.
    return parse_parameters(value) if isinstance(value, bytes) else ("", {})
