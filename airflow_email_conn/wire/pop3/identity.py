"""What a mail is known by: the server's unique-id (UIDL), or a digest of its header where there is none.

Never its number, which is another mail's after the next deletion.
"""

from __future__ import annotations

import re
from collections import Counter
from hashlib import sha256
from typing import TYPE_CHECKING

from airflow_email_conn.wire.mime import headers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["MAX_HEADER", "HeaderDigest", "told_apart"]

MAX_HEADER = 256 * 1024  # octets of a mail's header that are looked at, as with IMAP
# 71 characters with its 64 digits, where an id of a server has 70 at most (RFC 1939 7): never the same.
_PREFIX = "sha256:"
# What servers that keep mails in mbox files change when a mail is read (c-client, qpopper).
_VOLATILE = re.compile(
    rb"^(?:X-)?(?:Status|Keywords|UIDL?|IMAP|IMAPbase|Content-Length|Lines):.*\n(?:[ \t].*\n)*",
    re.MULTILINE | re.IGNORECASE,
)


class HeaderDigest:
    """The header at the beginning of a mail, and an id made of it. Takes what TOP or RETR gives, in pieces.

    :param size: octets that are kept.
    """

    def __init__(self, size: int = MAX_HEADER) -> None:
        self._size = size
        self._held = bytearray()

    def take(self, piece: bytes) -> None:
        """Take the next piece; what comes behind the header is dropped."""
        if len(self._held) < self._size:
            self._held += piece[: self._size - len(self._held)]

    @property
    def header(self) -> bytes:
        """The header, with the line end of its last line; a mail that has no body may not end it."""
        held = bytes(self._held)
        found = headers.end_of_headers(held, 0, len(held))
        return held[: found[0]] if found else held

    @property
    def uid(self) -> str:
        """The id: the same for the same header, whatever a server notes in it."""
        return _PREFIX + sha256(_VOLATILE.sub(b"", self.header)).hexdigest()


def told_apart(uids: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Each id, in the order of the mails, and whether it had to be changed to be the only one of its kind.

    Identical copies of a mail may have the same unique-id (RFC 1939 7). The second of them gets ` 2` behind
    it: a space should be in no unique-id.
    """
    counts: Counter[str] = Counter()
    used: set[str] = set()
    for uid in uids:
        only = uid
        while only in used:
            counts[uid] += 1
            only = f"{uid} {counts[uid] + 1}"
        used.add(only)
        yield only, only != uid
