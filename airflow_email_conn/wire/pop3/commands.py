"""POP3 commands, made only here: every argument is a number, base64, or checked."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field

from airflow_email_conn.errors import SettingsError

__all__ = [
    "CANCEL",
    "CAPA",
    "LIST",
    "QUIT",
    "RETR",
    "RSET",
    "STLS",
    "UIDL",
    "UTF8",
    "Command",
    "answer",
    "auth",
    "dele",
    "password",
    "retr",
    "top",
    "user",
]

_MAX_LINE = 255  # octets of a command with its CRLF (RFC 2449 4)
_FORBIDDEN = re.compile(r"[\0\r\n]")


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    :param name: for messages, without its arguments.
    :param line: what is sent, with its CRLF.
    :param has_body: a positive answer goes on after its first line, up to a line with a dot.
    """

    name: str
    line: bytes = field(repr=False)
    has_body: bool = False


CAPA = Command("CAPA", b"CAPA\r\n", has_body=True)  # RFC 2449 5
STLS = Command("STLS", b"STLS\r\n")  # RFC 2595 4
UTF8 = Command("UTF8", b"UTF8\r\n")  # RFC 6856 2.1
LIST = Command("LIST", b"LIST\r\n", has_body=True)
UIDL = Command("UIDL", b"UIDL\r\n", has_body=True)
RSET = Command("RSET", b"RSET\r\n")
QUIT = Command("QUIT", b"QUIT\r\n")
RETR = "RETR"
CANCEL = b"*\r\n"  # gives up an AUTH exchange (RFC 5034 4)


def user(name: str) -> Command:
    """USER (RFC 1939 7). :raises SettingsError: it cannot be sent; names the field."""
    return _with_text("USER", "user", name)


def password(secret: str) -> Command:
    """PASS (RFC 1939 7), which may have spaces. :raises SettingsError: it cannot be sent; names the field."""
    return _with_text("PASS", "secret", secret)


def _with_text(verb: str, name: str, value: str) -> Command:
    if not value:
        raise SettingsError(f"{name}: is empty, but the credential needs it to sign in")
    if _FORBIDDEN.search(value):
        raise SettingsError(f"{name}: contains NUL, CR or LF, which no command can carry")
    try:
        line = f"{verb} {value}\r\n".encode()
    except UnicodeEncodeError:  # not chained: that exception holds the whole text, which may be the secret
        raise SettingsError(f"{name}: contains half a surrogate pair, which is no character") from None
    if len(line) > _MAX_LINE:
        raise SettingsError(f"{name}: is longer than the command {verb} of this server can carry")
    return Command(verb, line)


def auth(mechanism: str, message: bytes) -> Command:
    """AUTH with its message, or without it where the line would be too long (RFC 5034 4).

    Exchange takes XOAUTH2 in two lines only.

    :param mechanism: one of ours, never the server's text.
    """
    begin = b"AUTH " + mechanism.encode()
    line = begin + b" " + answer(message)
    in_one = len(line) <= _MAX_LINE and mechanism != "XOAUTH2"
    return Command("AUTH", line if in_one else begin + b"\r\n")


def answer(message: bytes) -> bytes:
    """A line of an AUTH exchange."""
    return b64encode(message) + b"\r\n"


def top(number: int) -> Command:
    """The header of a mail, and no line of its body (RFC 1939 7)."""
    return Command("TOP", b"TOP %d 0\r\n" % number, has_body=True)


def retr(number: int) -> Command:
    """A whole mail."""
    return Command(RETR, b"RETR %d\r\n" % number, has_body=True)


def dele(number: int) -> Command:
    """Mark a mail to be deleted by QUIT."""
    return Command("DELE", b"DELE %d\r\n" % number)
