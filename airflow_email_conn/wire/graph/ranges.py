"""Which bytes of an upload come next (Graph: "Attach large files to Outlook messages or events")."""

from __future__ import annotations

import json
import re
from typing import Final

__all__ = ["content_range", "next_start"]

_NAMES: Final = ("nextExpectedRanges", "NextExpectedRanges")
_RANGE: Final = re.compile(r"([0-9]{1,15})(?:-[0-9]{0,15})?")


def content_range(start: int, length: int, size: int) -> str:
    """The header field Content-Range (RFC 9110 14.4). :param size: of the whole file."""
    return f"bytes {start}-{start + length - 1}/{size}"


def next_start(state: str, size: int) -> int | None:
    """Where the server wants to go on, by the JSON of an upload session; None: it does not say so.

    The page spells the name of the ranges in two ways.

    :param size: of the whole file.
    """
    try:
        told = json.loads(state)
        found = told[next(name for name in _NAMES if name in told)]
        match = _RANGE.fullmatch(found[0])
    except (ValueError, RecursionError, TypeError, StopIteration, IndexError):
        return None
    start = int(match[1]) if match else size
    return start if start < size else None
