"""Uuencoded data undone, in pieces of any size: older than MIME, and still sent (POSIX `uuencode`)."""

from __future__ import annotations

import binascii
import re

__all__ = ["UuDecoder"]

_BEGIN = re.compile(rb"begin [0-7]{3,4} ")
_LINE_LIMIT = 1_000  # bytes; a line of data has 62: what is longer is none
_BEGIN_LIMIT = 64 * 1024  # bytes to look for the `begin` line in, before taking the data as it is


class UuDecoder:
    """Decodes the lines between `begin` and `end`; data without a `begin` is left as it is."""

    def __init__(self) -> None:
        self._held: list[bytes] = []  # a line as far as it came
        self._holding = 0  # bytes of it
        self._skipped: list[bytes] | None = []  # lines before `begin`; None behind it
        self._seen = 0
        self._plain = False
        self._ended = False

    def feed(self, data: bytes) -> bytes:
        """The bytes that can be told after this piece."""
        if self._plain or self._ended or b"\n" not in data:
            return self._rest(data)
        *lines, rest = b"".join([*self._held, data]).split(b"\n")
        self._held, self._holding = [], 0
        return self._lines(lines) + self._rest(rest)

    def _rest(self, data: bytes) -> bytes:
        """What is no whole line: no more of it is held than tells what it is."""
        if self._plain or self._ended:
            return data if self._plain else b""
        if self._holding > _LINE_LIMIT and self._skipped is None:
            return b""
        self._held.append(data)
        self._holding += len(data)
        if self._skipped is None or self._seen + self._holding <= _BEGIN_LIMIT:
            return b""
        line = b"".join(self._held)
        self._held = [line]
        if _BEGIN.match(line):
            self._skipped = None
            return b""
        self._plain = True
        return self._as_it_is([])

    def _lines(self, lines: list[bytes]) -> bytes:
        out = []
        for index, line in enumerate(lines):
            if self._skipped is not None:
                self._before(line, self._skipped)
                if self._plain:
                    return self._as_it_is(lines[index + 1 :])
            elif _is_end(line):
                self._ended = True
                break
            else:
                out.append(_decoded(line))
        return b"".join(out)

    def _before(self, line: bytes, skipped: list[bytes]) -> None:
        """A line that may be the first."""
        if _BEGIN.match(line):
            self._skipped = None
        else:
            skipped.append(line + b"\n")
            self._seen += len(line) + 1
            self._plain = self._seen > _BEGIN_LIMIT

    def _as_it_is(self, lines: list[bytes]) -> bytes:
        """Everything so far, untouched: it was no uuencoded data."""
        out = b"".join([*(self._skipped or []), *(line + b"\n" for line in lines), *self._held])
        self._skipped, self._held = [], []
        return out

    def finish(self) -> bytes:
        """The last line, if no line end closed it."""
        last = b"".join(self._held)
        if self._plain or self._ended:
            return b""
        if self._skipped is None:
            return b"" if _is_end(last) else _decoded(last)
        return b"" if _BEGIN.match(last) else b"".join([*self._skipped, last])


def _is_end(line: bytes) -> bool:
    return line[: _LINE_LIMIT + 1].strip() == b"end"


def _decoded(line: bytes) -> bytes:
    """One line; what cannot be read is left out."""
    line = line[: _LINE_LIMIT + 1].rstrip(b"\r")
    if not line or len(line) > _LINE_LIMIT:
        return b""
    try:
        return binascii.a2b_uu(line)
    except binascii.Error:
        pass
    told = (((line[0] - 32) & 63) * 4 + 5) // 3  # characters, as the first one says
    return _decoded(line[:told]) if told < len(line) else b""  # without the junk behind them
