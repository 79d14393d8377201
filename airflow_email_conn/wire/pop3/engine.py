"""The state of one POP3 connection without its socket: bytes in, answers and bodies out."""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_email_conn.errors import ProtocolError
from airflow_email_conn.wire.pop3.unstuffing import Unstuffer

__all__ = ["Answer", "Pop3Engine"]

# Octets of a body at a time: what decodes them is fastest so, and of the short answers that came together
# each would else be copied as often as there are answers before it.
_PIECE = 32 * 1024
_MAX_LINE = 4096  # octets of an answer's first line; RFC 2449 4 allows 512
# RFC 2449 8: codes in brackets, with levels between slashes; the text is for people.
_ANSWER = re.compile(
    rb"(?P<kind>\+OK|-ERR|\+)(?:[ \t]+|$)(?:\[(?P<code>[A-Za-z0-9/_.-]{1,60})\][ \t]*)?(?P<text>.*)",
    re.DOTALL,
)
_KINDS = {b"+OK": "OK", b"-ERR": "ERR", b"+": "+"}


@dataclass(frozen=True, slots=True)
class Answer:
    """The first line of an answer.

    :param kind: `OK`, `ERR`, or `+` where the server asks for more (RFC 5034 4).
    :param code: response code in upper case, such as `IN-USE` or `SYS/TEMP`; or empty.
    :param text: for people.
    """

    kind: str
    code: str = ""
    text: str = ""

    @property
    def ok(self) -> bool:
        """Whether the server did it."""
        return self.kind == "OK"


class Pop3Engine:
    """One connection's parser. Bounded by the longest first line, plus what was received in one go."""

    __slots__ = ("_body", "_buffer", "_hidden")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._body: Unstuffer | None = None
        self._hidden: tuple[str, ...] = ()

    @property
    def pending(self) -> bool:
        """Whether there are octets that belong to no answer yet."""
        return bool(self._buffer)

    def hide(self, *texts: str) -> None:
        """Show `***` for these in the texts of answers: some servers echo the command they refuse."""
        self._hidden = tuple(sorted(filter(None, texts), key=len, reverse=True))

    def receive(self, data: bytes) -> None:
        """Take what the socket gave."""
        self._buffer += data

    def answer(self) -> Answer | None:
        """The next answer's first line; None when more octets are needed.

        :raises ProtocolError: not POP3, or too long.
        """
        end = self._buffer.find(b"\n", 0, _MAX_LINE)
        if end < 0:
            if len(self._buffer) >= _MAX_LINE:
                raise ProtocolError(f"the server sent a line of more than {_MAX_LINE} octets")
            return None
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        match = _ANSWER.fullmatch(line)
        if match is None:
            raise ProtocolError("this is not a POP3 answer", self._shown(line))
        code = (match["code"] or b"").decode("ascii").upper()
        return Answer(_KINDS[match["kind"]], code, self._shown(match["text"]))

    def body(self) -> tuple[bytes, bool]:
        """The next piece of the body that follows an answer, maybe empty, and whether it was the last."""
        if self._body is None:
            self._body = Unstuffer()
        data = bytes(self._buffer[:_PIECE])
        del self._buffer[:_PIECE]
        piece = self._body.feed(data)
        if not self._body.ended:
            return piece, False
        self._buffer[:0] = self._body.rest
        self._body = None
        return piece, True

    def _shown(self, line: bytes) -> str:
        text = line.decode("utf-8", "replace")
        for hidden in self._hidden:
            text = text.replace(hidden, "***")
        return text
