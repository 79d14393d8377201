"""The state of one IMAP connection without its socket: bytes in, events out; commands in, bytes out.

    engine.receive(data)          what the socket gave; b"" for the end of the stream
    engine.next_event()           the next event, or None: more bytes are needed
    tag = engine.start(command)   queue a command
    engine.outgoing()             what may be sent now: all of it, up to a literal the server must ask for

However the stream is cut into pieces, the events are the same, but for where a long literal is cut.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from airflow_email_conn.errors import ProtocolError
from airflow_email_conn.wire.imap.grammar import Pieces, Streamed

if TYPE_CHECKING:
    from airflow_email_conn.wire.imap.commands import Command

__all__ = [
    "MAX_RESPONSE",
    "Continuation",
    "Data",
    "EndOfStream",
    "Event",
    "ImapEngine",
    "LiteralPiece",
    "LiteralStart",
    "Status",
]

INLINE_LITERAL = 64 * 1024  # octets; a longer literal is handed out in pieces instead of being gathered
MAX_RESPONSE = 32 * 1024 * 1024  # octets of one response without its streamed literals: 4 million found UIDs
_MAX_STATUS = 1024 * 1024  # octets of a status: its COPYUID names what one command of ours can
_MAX_EMPTY_LINES = 1000  # between two responses
_LITERAL = re.compile(rb"~?\{(\d{1,20})\+?\}$")
_MAX_LITERAL = 2**32  # RFC 9051 9: number
# RFC 9051 7.1: text in these is free, so that a {3} at its end announces nothing.
_STATUS = re.compile(
    rb"(?P<tag>[^\s]+) (?P<kind>OK|NO|BAD|PREAUTH|BYE)(?: |$)"
    rb"(?:\[(?P<code>[^\s\]]+)(?: (?P<args>(?:[^\]\"]|\"(?:[^\"\\]|\\.)*\")*))?\] ?)?(?P<text>.*)",
    re.IGNORECASE | re.DOTALL,
)
_NUMBERED = re.compile(rb"\* (?:(\d{1,10}) )?([^\s(]+) ?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Status:
    """A status response (RFC 9051 7.1): the end of a command, or, with tag `*`, the server's own word.

    :param tag: of the command, or `*`.
    :param kind: OK, NO, BAD, PREAUTH or BYE.
    :param code: response code in upper case, or empty.
    :param args: that code's arguments, as sent.
    :param text: for people.
    """

    tag: str
    kind: str
    code: str = ""
    args: bytes = b""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Data:
    """Any other untagged response.

    :param kind: upper case: FETCH, SEARCH, LIST, EXISTS ...
    :param number: what came before the kind, or None.
    :param pieces: what comes after the kind, for `grammar.parse`.
    """

    kind: str
    number: int | None
    pieces: Pieces


@dataclass(frozen=True, slots=True)
class LiteralStart:
    """A long literal begins; LiteralPieces of `size` octets in all follow, then the Data it belongs to.

    :param before: text of the response before it, such as `* 3 FETCH (UID 7 BODY[2] `.
    """

    size: int
    before: bytes


@dataclass(frozen=True, slots=True)
class LiteralPiece:
    """The next octets of a long literal."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Continuation:
    """The server waits for more (RFC 9051 7.6); not seen when it was a literal it asked for."""

    text: bytes


@dataclass(frozen=True, slots=True)
class EndOfStream:
    """The server closed the connection; it comes once."""


Event: TypeAlias = "Status | Data | LiteralStart | LiteralPiece | Continuation | EndOfStream"


class ImapEngine:
    """One connection's parser and command queue.

    :raises ProtocolError: from `next_event`: what came can not be understood, or is too much.
    """

    __slots__ = (
        "_buffer",
        "_counter",
        "_empty_lines",
        "_ended",
        "_hidden",
        "_left",
        "_pieces",
        "_queue",
        "_scanned",
        "_size",
        "_streaming",
        "_waiting",
        "_whole",
        "literal_plus",
        "max_response",
    )

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._whole = b""  # received within a streamed literal: handed on without a copy
        self._scanned = 0  # octets of the buffer that are known to hold no line end
        self._pieces: list[bytes | Streamed] = []  # of the response so far
        self._size = 0  # octets in _pieces
        self._left = 0  # octets of the current literal that have not come
        self._streaming = False  # the current literal is handed out in pieces
        self._ended: bool | None = False  # None once EndOfStream was given
        self._hidden: tuple[str, ...] = ()
        self._counter = 0
        # (tag, octets) to be sent; None: wait here until the server asks for the literal that follows
        self._queue: deque[tuple[str, bytes | None]] = deque()
        self._waiting = False  # such a literal is what the server is expected to ask for
        self.literal_plus = False  # the server takes literals unasked (RFC 7888)
        self.max_response = MAX_RESPONSE  # octets of one response without its streamed literals
        self._empty_lines = 0  # since the last response

    @property
    def expected(self) -> int:
        """Octets that are sure to come: what is missing of a literal."""
        return max(0, self._left - self.buffered)

    @property
    def buffered(self) -> int:
        """Octets received and not yet part of an event."""
        return len(self._whole) + len(self._buffer)

    def hide(self, *texts: str) -> None:
        """Show `***` for these in the texts of statuses: some servers echo the command they refuse."""
        self._hidden = texts

    # ------------------------------------------------------------ out

    def start(self, command: Command) -> str:
        """Queue a command; returns its tag."""
        self._counter += 1
        tag = f"A{self._counter}"
        line = bytearray(tag.encode() + b" ")
        for part in command.parts:
            if isinstance(part, bytes):
                line += part
                continue
            line += b"{%d%s}\r\n" % (len(part.data), b"+" if self.literal_plus else b"")
            if not self.literal_plus:
                self._queue += ((tag, bytes(line)), (tag, None))
                line.clear()
            line += part.data
        self._queue.append((tag, bytes(line) + b"\r\n"))
        return tag

    def outgoing(self) -> bytes:
        """Octets to send now."""
        out = bytearray()
        while self._queue and not self._waiting:
            _, octets = self._queue.popleft()
            if octets is None:
                self._waiting = True
            else:
                out += octets
        return bytes(out)

    # ------------------------------------------------------------ in

    def receive(self, data: bytes) -> None:
        """Take what the socket gave; nothing means that the server closed."""
        if self._streaming and 0 < len(data) <= self._left and not self.buffered:
            self._whole = data
        elif data:
            self._buffer += data
        elif self._ended is False:
            self._ended = True

    def next_event(self) -> Event | None:
        """The next event; None when more octets are needed."""
        while True:
            if self._left:
                event = self._take_literal()
                if event is not None:
                    return event
                if self._left:
                    return self._end_of_stream()
            line = self._take_line()
            if line is None:
                return self._end_of_stream()
            event = self._take_text(line)
            if event is not None:
                return event

    def _end_of_stream(self) -> Event | None:
        if not self._ended:
            return None
        self._ended = None
        self._buffer.clear()
        self._left = 0
        return EndOfStream()

    def _take_literal(self) -> Event | None:
        if self._whole:
            whole, self._whole = self._whole, b""
            self._left -= len(whole)
            return LiteralPiece(whole)
        available = min(self._left, len(self._buffer))
        if self._streaming and available:
            data = bytes(self._buffer[:available])
            del self._buffer[:available]
            self._left -= available
            return LiteralPiece(data)
        if not self._streaming and available == self._left:
            self._pieces.append(bytes(self._buffer[:available]))
            del self._buffer[:available]
            self._left = 0
        return None

    def _take_line(self) -> bytes | None:
        end = self._buffer.find(b"\n", self._scanned)
        if end < 0:
            self._scanned = len(self._buffer)
            self._check_size(self._scanned)
            return None
        self._check_size(end)
        with memoryview(self._buffer) as octets:  # a slice of the bytearray would be one more copy
            line = bytes(octets[:end])
        del self._buffer[: end + 1]
        self._scanned = 0
        return line[:-1] if line.endswith(b"\r") else line

    def _check_size(self, more: int) -> None:
        if self._size + more > self.max_response:
            raise ProtocolError(f"the server sent a response of more than {self.max_response} octets")

    def _take_text(self, line: bytes) -> Event | None:
        """Add a line to the response; an event when it is complete or a long literal begins."""
        if not self._pieces:
            if line.startswith(b"+"):
                return self._continuation(line[1:].lstrip(b" "))
            status = _STATUS.match(line)
            if status and len(line) <= _MAX_STATUS:
                return self._end_of_command(_status(status))
            if status:
                raise ProtocolError(f"the server sent a status of more than {_MAX_STATUS} octets")
            if not line:
                self._count_empty_line()
                return None
            self._empty_lines = 0
        self._size += len(line)
        literal = _LITERAL.search(line)
        if literal is None:
            self._pieces.append(line)
            return self._complete()
        size = int(literal[1])
        if size >= _MAX_LITERAL:
            raise ProtocolError(f"the server announced a literal of {size} octets")
        return self._begin_literal(line[: literal.start()], size)

    def _count_empty_line(self) -> None:
        """Some servers send one now and then, and none sends nothing else."""
        self._empty_lines += 1
        if self._empty_lines > _MAX_EMPTY_LINES:
            raise ProtocolError("the server sends nothing but empty lines")

    def _begin_literal(self, text: bytes, size: int) -> Event | None:
        self._pieces.append(text)
        self._streaming = size > INLINE_LITERAL
        self._left = size
        if self._streaming:
            self._pieces.append(Streamed(size))
            return LiteralStart(size, text if len(self._pieces) == 2 else b"".join(self._texts()))
        self._size += size
        self._check_size(0)
        if not size:
            self._pieces.append(b"")
        return None

    def _texts(self) -> list[bytes]:
        """The text pieces of the response so far, literals left out."""
        return [piece for piece in self._pieces[::2] if isinstance(piece, bytes)]

    def _complete(self) -> Event:
        pieces, self._pieces, self._size = self._pieces, [], 0
        first = pieces[0]
        assert isinstance(first, bytes)
        match = _NUMBERED.match(first)
        if not match:
            raise ProtocolError("the server sent a line that is no IMAP response")
        number = int(match[1]) if match[1] else None
        kind = match[2].decode("ascii", "replace").upper()
        return Data(kind, number, (first[match.end() :], *pieces[1:]))

    def _end_of_command(self, status: Status) -> Status:
        for hidden in self._hidden:
            if hidden in status.text:
                status = replace(status, text=status.text.replace(hidden, "***"))
        # A command refused before its literal was asked for: what is left of it must not be sent.
        if self._waiting and self._queue and self._queue[0][0] == status.tag:
            self._waiting = False
            while self._queue and self._queue[0][0] == status.tag:
                self._queue.popleft()
        return status

    def _continuation(self, text: bytes) -> Event | None:
        if self._waiting:
            self._waiting = False
            return None
        return Continuation(text)


def _status(match: re.Match[bytes]) -> Status:
    def text(name: str) -> str:
        return (match[name] or b"").decode("utf-8", "replace")

    return Status(text("tag"), text("kind").upper(), text("code").upper(), match["args"] or b"", text("text"))
