"""IMAP commands, made only here: every argument is quoted, sent as a literal, or refused."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from airflow_email_conn.errors import QueryError
from airflow_email_conn.wire.imap import utf7

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "Command",
    "Literal",
    "Part",
    "authenticate",
    "create",
    "folder_name",
    "identify",
    "list_folders",
    "login",
    "section",
    "select",
    "simple",
    "string",
    "uid_copy",
    "uid_expunge",
    "uid_fetch",
    "uid_move",
    "uid_search",
    "uid_store",
    "whole",
]


@dataclass(frozen=True, slots=True)
class Literal:
    """A string that is sent as a literal (RFC 9051 4.3)."""

    data: bytes = field(repr=False)


Part: TypeAlias = "bytes | Literal"


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    :param name: for messages, without its arguments.
    :param parts: what follows the tag, up to the final CRLF.
    """

    name: str
    parts: tuple[Part, ...] = field(repr=False)


_FORBIDDEN = re.compile(r"[\0\r\n]")
_FLAG = re.compile(r"\\?[A-Za-z0-9$_.-]{1,100}")
_PART = re.compile(r"[1-9][0-9]{0,8}(?:\.[1-9][0-9]{0,8}){0,199}")
_MAX_STRING = 16 * 1024  # octets of one argument


def string(text: str, field_name: str) -> Part:
    """A string argument: quoted, or as a literal when it is not ASCII (RFC 9051 4.3).

    :param field_name: whose value it is, for the error.
    :raises QueryError: NUL, CR or LF in it, which could smuggle in another command, or too long.
    """
    if _FORBIDDEN.search(text):
        raise QueryError(f"{field_name}: must not contain NUL, CR or LF")
    if len(text) > _MAX_STRING:
        raise QueryError(f"{field_name}: longer than {_MAX_STRING} characters")
    if text.isascii():
        return b'"' + text.replace("\\", "\\\\").replace('"', '\\"').encode("ascii") + b'"'
    try:
        return Literal(text.encode("utf-8"))
    except UnicodeEncodeError as exc:
        raise QueryError(f"{field_name}: holds half of a character (a lone surrogate)") from exc


def folder_name(name: str) -> Part:
    """A folder as an argument, in modified UTF-7. :raises QueryError: as `string`, or empty."""
    if not name:
        raise QueryError("folder: must not be empty")
    return string(utf7.encode(name) if not _FORBIDDEN.search(name) else name, "folder")


def simple(name: str) -> Command:
    """A command without arguments: CAPABILITY, NOOP, STARTTLS, LOGOUT."""
    return Command(name, (name.encode("ascii"),))


def identify() -> Command:
    """ID (RFC 2971): NetEase (163.com, 126.com) lets nobody into a folder who has not said a name."""
    return Command("ID", (b'ID ("name" "airflow-email-conn" "version" "1")',))


def login(user: str, secret: str) -> Command:
    """LOGIN (RFC 9051 6.2.3)."""
    return Command("LOGIN", (b"LOGIN ", string(user, "user"), b" ", string(secret, "secret")))


def authenticate(mechanism: str, initial: bytes | None) -> Command:
    """AUTHENTICATE, with the initial response where the server takes one (RFC 4959), else None."""
    line = b"AUTHENTICATE " + mechanism.encode("ascii")
    return Command("AUTHENTICATE", (line if initial is None else line + b" " + b64encode(initial),))


def select(name: str, *, write: bool) -> Command:
    """SELECT to change mails, EXAMINE to read only (RFC 9051 6.3.2, 6.3.3)."""
    verb = "SELECT" if write else "EXAMINE"
    return Command(verb, (verb.encode("ascii") + b" ", folder_name(name)))


def list_folders(*, special_use: bool) -> Command:
    """LIST all folders, with their special use where the server can tell it (RFC 6154 5.2)."""
    tail = b" RETURN (SPECIAL-USE)" if special_use else b""
    return Command("LIST", (b'LIST "" "*"' + tail,))


def create(name: str) -> Command:
    """CREATE (RFC 9051 6.3.4)."""
    return Command("CREATE", (b"CREATE ", folder_name(name)))


def uid_search(keys: Iterable[Part], *, returns_set: bool) -> Command:
    """UID SEARCH; with ESEARCH (RFC 4731) found UIDs come back as one compressed set."""
    parts: list[Part] = [b"UID SEARCH", *([b" RETURN (ALL)"] if returns_set else [])]
    keys = list(keys)
    if any(isinstance(key, Literal) for key in keys):
        parts.append(b" CHARSET UTF-8")
    for key in keys:
        parts += (b" ", key)
    return Command("SEARCH", tuple(parts))


def uid_fetch(uid_set: str, items: bytes) -> Command:
    """UID FETCH (RFC 9051 6.4.5); `items` is one of `fetch`'s constants or `section`."""
    return Command("FETCH", (b"UID FETCH " + uid_set.encode("ascii") + b" " + items,))


def whole(*, first_octets: int) -> bytes:
    r"""The items that read a mail, without setting \Seen. :param first_octets: no more than these."""
    return b"(UID FLAGS INTERNALDATE BODY.PEEK[]<0.%d>)" % first_octets


def section(part: str) -> bytes:
    r"""The items that read a part of a mail, the whole for an empty `part`, without setting \Seen.

    :raises QueryError: not a part number.
    """
    if part and not _PART.fullmatch(part):
        raise QueryError(f"part: {part!r:.60} is not a part number such as 2 or 1.2")
    return b"(UID BODY.PEEK[" + part.encode("ascii") + b"])"


def uid_store(uid_set: str, flag: str, *, add: bool) -> Command:
    """UID STORE that adds or removes one flag, silently (RFC 9051 6.4.6)."""
    if not _FLAG.fullmatch(flag):
        raise QueryError(f"flag: {flag!r:.60} is not a flag or keyword")
    line = f"UID STORE {uid_set} {'+' if add else '-'}FLAGS.SILENT ({flag})"
    return Command("STORE", (line.encode("ascii"),))


def check_keyword(keyword: str) -> None:
    """Nothing for a keyword that every server can take. :raises QueryError: another one."""
    if keyword.startswith("\\") or not _FLAG.fullmatch(keyword):
        raise QueryError(
            f"keywords: {keyword!r:.120} is none of IMAP's: up to 100 of A-Z, a-z, 0-9, $, _, . and -"
        )


def uid_copy(uid_set: str, name: str) -> Command:
    """UID COPY (RFC 9051 6.4.7)."""
    return Command("COPY", (b"UID COPY " + uid_set.encode("ascii") + b" ", folder_name(name)))


def uid_move(uid_set: str, name: str) -> Command:
    """UID MOVE (RFC 6851)."""
    return Command("MOVE", (b"UID MOVE " + uid_set.encode("ascii") + b" ", folder_name(name)))


def uid_expunge(uid_set: str) -> Command:
    """UID EXPUNGE (RFC 4315 2.1): these mails only, where a bare EXPUNGE takes other people's as well."""
    return Command("EXPUNGE", (b"UID EXPUNGE " + uid_set.encode("ascii"),))
