"""Which bytes of an upload come next (Graph: "Attach large files to Outlook messages or events")."""

from __future__ import annotations

import json
import re
from typing import Final

from airflow_email_conn.errors import ProtocolError

__all__ = ["content_range", "next_start"]

_RANGE: Final = re.compile(r"([0-9]{1,15})(?:-[0-9]{0,15})?")


def content_range(start: int, length: int, size: int) -> str:
    """The header field Content-Range (RFC 9110 14.4). :param size: of the whole file."""
    return f"bytes {start}-{start + length - 1}/{size}"


def next_start(state: str, size: int) -> int:
    """Where the server wants to go on, by the JSON of an upload session.

    :param size: of the whole file.
    :raises ProtocolError: it does not say so, or beyond the end.
    """
    try:
        found = json.loads(state)["nextExpectedRanges"]
        match = _RANGE.fullmatch(found[0])
    except (ValueError, RecursionError, TypeError, KeyError, IndexError):
        match = None
    start = int(match[1]) if match else size
    if start >= size:
        raise ProtocolError("the server does not say which bytes of an upload it expects next")
    return start
