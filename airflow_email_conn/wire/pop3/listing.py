"""The answers that are lists: CAPA (RFC 2449 5), LIST and UIDL (RFC 1939 5 and 7). Pieces in, values out."""

from __future__ import annotations

import re

from airflow_email_conn.errors import ProtocolError

__all__ = ["MAX_MAILS", "CapabilityList", "SizeList", "UniqueIdList"]

MAX_MAILS = 500_000  # of one mailbox; each takes about 300 bytes of memory
_MAX_LINE = 4096  # octets; RFC 1939 3 allows 512
_MAX_CAPABILITIES = 200
# However many spaces or tabs: servers differ. An id is what is left, and should have 1 to 70 characters.
_SIZE = re.compile(rb"[ \t]*(\d{1,10})[ \t]+(\d{1,19})(?:[ \t].*)?\r?", re.DOTALL)
_UNIQUE_ID = re.compile(rb"[ \t]*(\d{1,10})[ \t]+([!-~\x80-\xff](?:.*[^ \t\r])?)[ \t\r]*", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class _Lines:
    """Cuts pieces of a body into lines.

    :param most: lines that it may have.
    """

    def __init__(self, most: int) -> None:
        self._held = b""
        self._left = most

    def take(self, piece: bytes) -> list[bytes]:
        """The lines that this piece completes, without the LF of their end."""
        *lines, self._held = (self._held + piece).split(b"\n")
        self._left -= len(lines)
        if self._left < 0:
            raise ProtocolError("the POP3 server sent a list that does not end")
        if len(self._held) > _MAX_LINE:
            raise ProtocolError(f"the POP3 server sent a line of more than {_MAX_LINE} octets in a list")
        return lines


class CapabilityList:
    """Capabilities by name in upper case, each with its arguments, in upper case too."""

    def __init__(self) -> None:
        self.found: dict[str, frozenset[str]] = {}
        self._lines = _Lines(_MAX_CAPABILITIES)

    def take(self, piece: bytes) -> None:
        """Take the next piece of the answer."""
        for line in self._lines.take(piece):
            name, *arguments = line.decode("ascii", "replace").upper().split() or [""]
            if name:
                self.found[name] = frozenset(arguments)


class SizeList:
    """Octets of each mail by its number."""

    def __init__(self) -> None:
        self.found: dict[int, int] = {}
        self._lines = _Lines(MAX_MAILS)

    def take(self, piece: bytes) -> None:
        """Take the next piece of the answer; a line that makes no sense is passed over."""
        for line in self._lines.take(piece):
            match = _SIZE.fullmatch(line)
            if match:
                self.found.setdefault(int(match[1]), int(match[2]))


class UniqueIdList:
    """The server's id of each mail by its number; a mail whose line makes no sense has none."""

    def __init__(self) -> None:
        self.found: dict[int, str] = {}
        self._lines = _Lines(MAX_MAILS)

    def take(self, piece: bytes) -> None:
        """Take the next piece of the answer."""
        for line in self._lines.take(piece):
            match = _UNIQUE_ID.fullmatch(line)
            if match:
                text = match[2].decode("utf-8", "backslashreplace")
                if not _CONTROL.search(text):
                    self.found.setdefault(int(match[1]), text)
