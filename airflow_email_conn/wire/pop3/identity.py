"""What a mail is known by: the server's unique-id (UIDL), or a digest of its header where there is none.

Never its number, which is another mail's after the next deletion. So mails that have one id cannot be told
apart for long: they get names for one session, which say that they are such.
"""

from __future__ import annotations

import re
from collections import Counter
from hashlib import sha256
from typing import TYPE_CHECKING

from airflow_email_conn.wire.mime import headers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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

    def uid(self, size: int = 0) -> str:
        """The id: the same for the same header and size, whatever a server notes in the header.

        :param size: octets of the mail, with those notes; 0 when the server does not say.
        """
        header = self.header
        kept = _VOLATILE.sub(b"", header)
        own = size - (len(header) - len(kept)) if size else 0
        return _PREFIX + sha256(b"%b\n%d" % (kept, own)).hexdigest()


def told_apart(mails: Sequence[tuple[str, int]]) -> Iterator[tuple[str, bool]]:
    """A name for each mail, the only one of its kind, and whether its id is another mail's too.

    Then the name is the id with the size behind it, and a number from the second of the same size on: a space
    should be in no unique-id. RFC 1939 7 lets identical copies of a mail have one id; some servers give one
    to different mails.

    :param mails: id and size of each, in order.
    """
    counts = Counter(uid for uid, _ in mails)
    used = {uid for uid, count in counts.items() if count == 1}
    numbers: Counter[str] = Counter()
    for uid, size in mails:
        name = uid
        while counts[uid] > 1 and (name == uid or name in used):
            sized = f"{uid} {size}"
            numbers[sized] += 1
            name = sized if numbers[sized] == 1 else f"{sized} {numbers[sized]}"
        used.add(name)
        yield name, counts[uid] > 1
