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

__all__ = ["Pieces", "Streamed", "Value", "parse", "unquote"]

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
_TOKEN = re.compile(
    rb"""
    (?P<open>\() | (?P<close>\))
    | "(?P<quoted>(?:[^"\\]|\\.)*)(?P<ended>"?)
    | (?P<atom>[^\s()"\[]+(?:\[[^\]\[]*\][^\s()]*)? | \[(?:[^\]\[]*\][^\s()]*)?)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)


def unquote(quoted: bytes) -> bytes:
    """The content of a quoted string."""
    return _ESCAPED.sub(rb"\1", quoted) if b"\\" in quoted else quoted


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
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "ended":
            if not match["ended"]:
                raise ProtocolError("the server sent a string that does not end")
            current.append(unquote(match["quoted"]))
        elif kind == "atom":
            atom = match["atom"]
            current.append(None if len(atom) == 3 and atom.upper() == b"NIL" else atom)
        elif kind == "open":
            inner: list[Value] = []
            if len(stack) <= _MAX_DEPTH:
                current.append(inner)
            stack.append(inner)
            current = inner
        else:
            if len(stack) == 1:
                raise ProtocolError("the server sent a list that never began")
            stack.pop()
            current = stack[-1]
