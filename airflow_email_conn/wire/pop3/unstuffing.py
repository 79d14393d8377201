"""The body of an answer out of the stream: where it ends, and without the dots that protect it."""

from __future__ import annotations

__all__ = ["Unstuffer"]

_CRLF = b"\r\n"


class Unstuffer:
    """Bytes of a multi-line answer in, its body out (RFC 1939 3); cut anywhere, in pieces of the same size.

    Only CR and LF together end a line. Where a server lets a bare LF through, a mail could otherwise end its
    own answer by LF, dot, LF, and go on with answers to commands that were not given yet.
    """

    __slots__ = ("_held", "_virtual", "ended", "rest")

    def __init__(self) -> None:
        # The first line begins as every other does, behind a line end, though this one is not of the body.
        self._held = _CRLF
        self._virtual = len(_CRLF)
        self.ended = False
        self.rest = b""  # what came behind the end

    def feed(self, data: bytes) -> bytes:
        """The next piece of the body; not to be called after the end."""
        data = self._held + data
        self._held = b""
        pieces: list[bytes] = []
        start = 0
        while (found := data.find(b"\r\n.", start)) >= 0:
            behind = data[found + 3 : found + 5]
            if behind == _CRLF:
                pieces.append(data[start : found + 2])
                self.ended = True
                self.rest = data[found + 5 :]
                return self._body(pieces)
            if _CRLF.startswith(behind):  # the end or not: the next piece tells
                self._held = data[found:]
                pieces.append(data[start:found])
                return self._body(pieces)
            pieces.append(data[start : found + 2])
            start = found + 3
        end = len(data)
        if data.endswith(_CRLF):
            end -= 2
        elif data.endswith(b"\r"):
            end -= 1
        self._held = data[end:]
        pieces.append(data[start:end] if start else data[:end])
        return self._body(pieces)

    def _body(self, pieces: list[bytes]) -> bytes:
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self._virtual and body:
            body = body[self._virtual :]
            self._virtual = 0
        return body
