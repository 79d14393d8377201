"""Filling and emptying mailboxes for a test, by the standard library's IMAP client.

This is deliberately not the package's own client: a bug there must not hide itself in the preparation of
its tests.
"""

from __future__ import annotations

import base64
import contextlib
import imaplib
import re
import socket
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

__all__ = ["Mailboxes"]

_TIMEOUT = 10.0
_LISTED = re.compile(rb'\((?P<flags>[^)]*)\) (?:"(?:[^"\\]|\\.)*"|NIL) (?P<name>.*)', re.DOTALL)
#: The folder roles of RFC 6154 section 2; such folders are the server's own and stay.
_ROLES = frozenset({b"\\all", b"\\archive", b"\\drafts", b"\\flagged", b"\\junk", b"\\sent", b"\\trash"})
_NOT_SELECTABLE = frozenset({b"\\noselect", b"\\nonexistent"})


class Mailboxes:
    """The mailboxes behind one plain-text IMAP port.

    :param users: password by login.
    """

    def __init__(self, host: str, port: int, users: Mapping[str, str]) -> None:
        """Remember where the mailboxes are; nothing is opened yet."""
        self._address = (host, port)
        self._users = users

    def append(
        self, login: str, raw: bytes, folder: str = "INBOX", flags: str = "", when: datetime | None = None
    ) -> None:
        r"""Put a message into a folder, which is made when it is missing.

        :param raw: the message, sent exactly as given; the server may still store other line ends.
        :param flags: as in ``"\\Seen $Done"``, with or without parentheses.
        :param when: the internal date, with a time zone; None leaves it to the server.
        :raises ValueError: ``when`` has no time zone.
        """
        arguments = [_quoted(folder), f"({flags.strip('()')})"]
        if when is not None:
            arguments.append(imaplib.Time2Internaldate(when))
        with self._signed_in(login) as imap:
            if folder.upper() != "INBOX":
                imap.create(_quoted(folder))  # a NO for a folder that is there is fine
            imap.append_exactly(arguments, raw)

    def empty(self, login: str) -> None:
        """Delete every message, and every folder but INBOX and those with a role (RFC 6154)."""
        with self._signed_in(login) as imap:
            for flags, name in imap.folders():
                if not flags & _NOT_SELECTABLE:
                    imap.expunge_all(name)
                if not flags & _ROLES and name.strip('"').upper() != "INBOX":
                    imap.unsubscribe(name)
                    imap.delete(name)

    @contextlib.contextmanager
    def _signed_in(self, login: str) -> Iterator[_Imap]:
        # SASL, because LOGIN as imaplib writes it cannot carry a password or a login that is not ASCII.
        with _Imap(*self._address, timeout=_TIMEOUT) as imap:
            imap.authenticate("PLAIN", lambda _: f"\0{login}\0{self._users[login]}".encode())
            yield imap


_Data = TypeVar("_Data")


class _Imap(imaplib.IMAP4):
    """The standard client with the few things a test's preparation needs."""

    def open(self, host: str = "", port: int = 143, timeout: float | None = None) -> None:
        """Connect; imaplib sends in pieces, which would each wait 40 ms for the server's delayed ACK."""
        super().open(host, port, timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def append_exactly(self, arguments: list[str], raw: bytes) -> None:
        """APPEND without the change of line ends that ``imaplib.IMAP4.append`` makes."""
        self.literal = raw  # type: ignore[assignment]  # typeshed says str; it is bytes
        self._must(self._simple_command("APPEND", *arguments))

    def folders(self) -> list[tuple[frozenset[bytes], str]]:
        """Return flags in lower case and name, ready for a command, of each folder; children come first."""
        found = []
        for line in self._must(self.list()):
            if line is None:
                continue
            if isinstance(line, tuple):  # a name that the server sent as a literal
                line = re.sub(rb"\{\d+\+?\}$", b"", line[0]) + b'"' + line[1] + b'"'  # noqa: PLW2901
            listed = _LISTED.fullmatch(line)
            if listed:
                found.append((frozenset(listed["flags"].lower().split()), listed["name"].decode("ascii")))
        return sorted(found, key=lambda folder: len(folder[1]), reverse=True)

    def expunge_all(self, name: str) -> None:
        """Delete the messages of a folder and leave it unselected, or it could not be deleted itself."""
        count = self._must(self.select(name))[0]
        if count != b"0":
            self._must(self.store("1:*", "+FLAGS.SILENT", r"(\Deleted)"))
        self._must(self.close())

    @staticmethod
    def _must(answer: tuple[str, _Data]) -> _Data:
        status, data = answer
        if status != "OK":
            raise imaplib.IMAP4.error(f"the test's preparation failed: {status} {data!r}")
        return data


def _quoted(folder: str) -> str:
    """Return a folder name as a quoted string in modified UTF-7 (RFC 3501 section 5.1.3)."""

    def shift(run: re.Match[str]) -> str:
        packed = base64.b64encode(run[0].encode("utf-16-be")).rstrip(b"=").decode("ascii")
        return f"&{packed.replace('/', ',')}-"

    encoded = re.sub(r"[^\x20-\x7e]+", shift, folder.replace("&", "&-"))
    return '"' + encoded.replace("\\", "\\\\").replace('"', '\\"') + '"'
