"""One IMAP response's text into nested Python values (RFC 9051 9, as far as clients need it).

Atoms and strings become bytes, numbers stay bytes too, NIL becomes None, a parenthesised list a Python list.
Written for speed: listing 10,000 mails goes through here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from airflow_email_conn.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Pieces", "Streamed", "Value", "parse"]

# Lists inside lists. A body structure nests two levels for each multipart in a multipart; what lies deeper
# is left out, so that one hostile mail does not hide the others.
_MAX_DEPTH = 200


class Streamed:
    """Stands where a literal stood that was handed out in pieces.

    :param size: its length in octets.
    """

    __slots__ = ("size",)

    def __init__(self, size: int) -> None:
        self.size = size


Literal: TypeAlias = "bytes | Streamed"
# Text, literal, text, literal, ..., text: always an odd number of items.
Pieces: TypeAlias = "tuple[bytes | Streamed, ...]"
Value: TypeAlias = "bytes | Streamed | list[Value] | None"

# An atom may hold a section in brackets with spaces in it, BODY[HEADER.FIELDS (FROM TO)]<0>, and servers put
# brackets and quotes in the middle of atoms, so everything up to a space or parenthesis belongs to it. Every
# octet is looked at once or twice, whatever is left open: this runs on 32 MB of anything without a deadline.
# The bound limits the memory that escapes take in the matcher; long strings come as literals.
_TOKEN = re.compile(
    rb"""
    [()]
    | "[^"\\]*(?:\\.[^"\\]*){0,10000}"
    | [^\s()"\[]+(?:\[[^\]\[]*\][^\s()]*)? | \[(?:[^\]\[]*\][^\s()]*)?
    | "(?:.*[^"])?  # does not end: takes the rest, or it would be searched again from every quote in it
    """,
    re.VERBOSE | re.DOTALL,
)
_OPEN, _CLOSE, _QUOTE = b'()"'
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)


def parse(pieces: Iterable[bytes | Streamed]) -> list[Value]:
    """All values of a response. :raises ProtocolError: a list or a string has no end."""
    top: list[Value] = []
    stack: list[list[Value]] = [top]
    for index, piece in enumerate(pieces):
        if index % 2:
            stack[-1].append(piece)
        else:
            assert isinstance(piece, bytes)
            _parse_text(piece, stack)
    if len(stack) != 1:
        raise ProtocolError("the server sent a list that does not end")
    return top


def _parse_text(text: bytes, stack: list[list[Value]]) -> None:
    current = stack[-1]
    for token in _TOKEN.findall(text):
        first = token[0]
        if first == _QUOTE:
            if token[-1] != _QUOTE or len(token) == 1:
                raise ProtocolError("the server sent a string that does not end")
            quoted = token[1:-1]
            current.append(_ESCAPED.sub(rb"\1", quoted) if b"\\" in quoted else quoted)
        elif first == _OPEN:
            # What lies too deep goes into one list that is let go, since millions of them may come.
            inner: list[Value] = current if len(stack) > _MAX_DEPTH + 1 else []
            if len(stack) <= _MAX_DEPTH:
                current.append(inner)
            stack.append(inner)
            current = inner
        elif first == _CLOSE:
            if len(stack) == 1:
                raise ProtocolError("the server sent a list that never began")
            stack.pop()
            current = stack[-1]
        else:
            current.append(None if len(token) == 3 and token.upper() == b"NIL" else token)
