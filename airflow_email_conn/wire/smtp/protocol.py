"""SMTP without a socket (RFC 5321): bytes to replies, commands to bytes, a mail to what DATA carries."""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_email_conn.errors import DraftError, ProtocolError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CANCEL",
    "DATA",
    "NOOP",
    "QUIT",
    "RSET",
    "STARTTLS",
    "DotStuffer",
    "Extensions",
    "Reply",
    "ReplyParser",
    "auth",
    "auth_answer",
    "ehlo",
    "helo",
    "mail",
    "rcpt",
]

DATA, NOOP, QUIT, RSET, STARTTLS = b"DATA\r\n", b"NOOP\r\n", b"QUIT\r\n", b"RSET\r\n", b"STARTTLS\r\n"
CANCEL = b"*\r\n"  # gives up an AUTH exchange (RFC 4954 4)

# RFC 5321 4.5.3.1.5 allows 512 octets for a line; Exchange and Gmail stay below 1000.
_MAX_LINE = 4096
_MAX_LINES = 200
_MAX_COMMAND = 512  # octets of a command with its CRLF (RFC 5321 4.5.3.1.4)

_REPLY_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
_STATUS = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?: |$)")  # RFC 2034 4
_HELLO_NAME = re.compile(r"[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f.:IPv]{2,60}\]")
_PATH = re.compile(r"(?:[^\s\"<>@]+|\"(?:[^\"\\<>]|\\.)+\")@[^\s\"<>@]+")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_BARE = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply of the server (RFC 5321 4.2).

    :param code: three digits.
    :param lines: the texts behind the code, one per line.
    :param status: enhanced status code such as `5.7.8` (RFC 3463); or empty.
    """

    code: int
    lines: tuple[str, ...]
    status: str = ""

    @property
    def text(self) -> str:
        """All lines in one, each without the status code that repeats in it (RFC 2034 4)."""
        return " ".join(
            [self.status, *(line.removeprefix(self.status).strip() for line in self.lines)]
        ).strip()

    @property
    def positive(self) -> bool:
        """Done (2xx)."""
        return self.code // 100 == 2

    @property
    def temporary(self) -> bool:
        """Refused for now (4xx): the same may work later."""
        return self.code // 100 == 4


class ReplyParser:
    """Bytes in, replies out.

    Bounded by what one reply may have, plus what was fed in one go.
    """

    __slots__ = ("_buffer", "_code", "_hidden", "_lines")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._lines: list[str] = []
        self._code = 0
        self._hidden: tuple[str, ...] = ()

    def hide(self, *texts: str) -> None:
        """Replace these texts by `***` in everything the server says from now on: some servers echo."""
        self._hidden = tuple(sorted((t for t in (*self._hidden, *texts) if t), key=len, reverse=True))

    @property
    def pending(self) -> bool:
        """Whether there are bytes that no reply has used."""
        return bool(self._buffer or self._lines)

    def feed(self, data: bytes) -> None:
        """Take what the server sent."""
        self._buffer += data

    def next(self) -> Reply | None:
        """The next reply; None when more bytes are needed.

        :raises ProtocolError: not SMTP, or beyond the limits.
        """
        while True:
            end = self._buffer.find(b"\n", 0, _MAX_LINE)
            if end < 0:
                if len(self._buffer) >= _MAX_LINE:
                    raise ProtocolError(f"the server sent a line of more than {_MAX_LINE} bytes")
                return None
            line = bytes(self._buffer[:end]).removesuffix(b"\r")
            del self._buffer[: end + 1]
            if self._take(line):
                return self._complete()

    def _take(self, line: bytes) -> bool:
        """Add a line; returns whether it was the reply's last."""
        match = _REPLY_LINE.fullmatch(line)
        if match is None:
            raise ProtocolError("this is not an SMTP reply", self._shown(line))
        code = int(match[1])
        if self._lines and code != self._code:  # RFC 5321 4.2.1: the same in every line
            raise ProtocolError(f"the server changed its code from {self._code} to {code} within a reply")
        self._code = code
        self._lines.append(self._shown(match[3] or b""))
        if len(self._lines) > _MAX_LINES:
            raise ProtocolError(f"the server sent a reply of more than {_MAX_LINES} lines")
        return match[2] != b"-"

    def _complete(self) -> Reply:
        lines, self._lines = tuple(self._lines), []
        status = _STATUS.match(lines[0])
        fits = status is not None and status[1][0] == str(self._code)[0]
        return Reply(self._code, lines, status[1] if status is not None and fits else "")

    def _shown(self, line: bytes) -> str:
        text = line.decode("utf-8", "replace")
        for hidden in self._hidden:
            text = text.replace(hidden, "***")
        return text


@dataclass(frozen=True, slots=True)
class Extensions:
    """What the server offers (RFC 5321 4.1.1.1).

    :param offered: keyword in upper case to its parameters.
    """

    offered: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, reply: Reply) -> Extensions:
        """From the reply to EHLO; its first line is a greeting."""
        offered: dict[str, tuple[str, ...]] = {}
        for line in reply.lines[1:]:
            # "AUTH=LOGIN PLAIN": from before the standard, still sent for old Outlooks beside the right line
            keyword, *parameters = re.sub(r"(?i)^AUTH=", "AUTH ", line).split() or [""]
            known = offered.get(keyword.upper(), ())
            offered[keyword.upper()] = known + tuple(p for p in parameters if p not in known)
        offered.pop("", None)
        return cls(offered)

    def __contains__(self, keyword: str) -> bool:
        return keyword in self.offered

    @property
    def auth(self) -> frozenset[str]:
        """SASL mechanisms, upper case."""
        return frozenset(mechanism.upper() for mechanism in self.offered.get("AUTH", ()))


class DotStuffer:
    """Turns a mail into what follows DATA (RFC 5321 4.5.2), in pieces cut anywhere.

    A bare CR or LF becomes CRLF: servers that disagree about them let one mail smuggle in another
    (CVE-2023-51764 and its kin).
    """

    __slots__ = ("_held", "_line_start")

    def __init__(self) -> None:
        self._held = b""
        self._line_start = True

    def feed(self, data: bytes) -> bytes:
        """The next piece, ready to be sent."""
        data = self._held + data if self._held else data
        self._held = b""
        if data.endswith(b"\r"):  # its LF may come with the next piece
            data, self._held = data[:-1], b"\r"
        return self._stuff(data) if data else b""

    def finish(self) -> bytes:
        """The end: the last line's end where it is missing, and the single dot."""
        return (b"\r\n" if self._held or not self._line_start else b"") + b".\r\n"

    def _stuff(self, data: bytes) -> bytes:
        if not data.count(b"\r\n") == data.count(b"\n") == data.count(b"\r"):
            data = _BARE.sub(b"\r\n", data)
        first = b"." if self._line_start and data.startswith(b".") else b""
        self._line_start = data.endswith(b"\n")
        # base64 has no dots: looking for one first spares a third of the time for an attachment
        return first + data.replace(b"\n.", b"\n..") if b"." in data else data


def ehlo(name: str) -> bytes:
    """EHLO. :param name: a domain, or an address literal such as `[192.0.2.1]`. :raises SettingsError:"""
    return f"EHLO {_hello_name(name)}\r\n".encode()


def helo(name: str) -> bytes:
    """HELO, for servers from before 1995. :raises SettingsError:"""
    return f"HELO {_hello_name(name)}\r\n".encode()


def mail(address: str, *, size: int | None = None, utf8: bool = False, eight_bit: bool = False) -> bytes:
    """MAIL FROM.

    :param size: bytes of the mail, for a server that offers SIZE (RFC 1870).
    :param utf8: the mail needs SMTPUTF8 (RFC 6531 3.4).
    :param eight_bit: it holds bytes above 127 (RFC 6152).
    :raises DraftError: not an address for the wire.
    """
    options = [
        f" SIZE={size}" if size is not None else "",
        " BODY=8BITMIME" if eight_bit else "",
        " SMTPUTF8" if utf8 else "",
    ]
    return f"MAIL FROM:<{_path('sender', address, utf8)}>{''.join(options)}\r\n".encode()


def rcpt(address: str, *, utf8: bool = False) -> bytes:
    """RCPT TO. :raises DraftError: not an address for the wire."""
    return f"RCPT TO:<{_path('to', address, utf8)}>\r\n".encode()


def auth(mechanism: str, initial: bytes | None = None) -> tuple[bytes, bool]:
    """AUTH (RFC 4954 4), and whether the first answer is in it: one that is too long waits to be asked for.

    :param mechanism: one of ours, never the server's text.
    :param initial: the first answer when the mechanism begins with the client; not yet in base64.
    """
    begin = b"AUTH " + mechanism.encode()
    if initial is not None:
        line = begin + b" " + auth_answer(initial)
        if len(line) <= _MAX_COMMAND:
            return line, True
    return begin + b"\r\n", False


def auth_answer(answer: bytes) -> bytes:
    """A line of an AUTH exchange (RFC 4954 4)."""
    return binascii.b2a_base64(answer, newline=False) + b"\r\n"


def _hello_name(name: str) -> str:
    if not _HELLO_NAME.fullmatch(name):
        raise SettingsError(f"from_address: {name!a} cannot be this client's name in EHLO")
    return name


def _path(name: str, address: str, utf8: bool) -> str:
    """An address that cannot end its command or add a parameter to it."""
    if _CONTROL.search(address) or not _PATH.fullmatch(address):
        raise DraftError(f"{name}: {address!a} is not an address that SMTP can carry")
    if not utf8 and not address.isascii():
        raise DraftError(f"{name}: {address!a} needs SMTPUTF8 (RFC 6531)")
    return address
