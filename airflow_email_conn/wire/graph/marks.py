"""Marks of mails that are known: short, in order of arrival, and kept in a Position.

A delta query may tell of a mail again, and begins from nothing when its link has become too old (Graph: "Use
delta query to track changes in Microsoft Graph data", replays and synchronization reset).
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

__all__ = ["MAX_MARKS", "Known", "mark"]

#: Of the newest mails, so that a Position has 5,000 of them: 110 kB in a trigger's arguments.
MAX_MARKS: Final = 4999
_AND_OLDER: Final = "-"  # stands among them where there were more
_TIME: Final = 8  # hex digits: seconds since 1970, until 2106
_DIGEST: Final = 9  # bytes: two of a million mails are alike once in ten thousand million mailboxes


def mark(identity: str, received: datetime | None) -> str:
    """The mark of a mail: when it came, and a digest of its id."""
    digest = hashlib.sha256(identity.encode("utf-8", "replace")).digest()[:_DIGEST]
    return _time(received) + base64.urlsafe_b64encode(digest).decode("ascii")


def _time(received: datetime | None) -> str:
    seconds = int(received.timestamp()) if received else 0
    return f"{min(max(seconds, 0), 0xFFFFFFFF):0{_TIME}x}"


class Known:
    """The mails that a position knows."""

    def __init__(self, marks: Iterable[str]) -> None:
        self.marks = frozenset(marks)
        kept = self.marks - {_AND_OLDER}
        self._digests = {one[_TIME:] for one in kept}
        self._has_older = _AND_OLDER in self.marks
        self._first = min(kept)[:_TIME] if kept and self._has_older else ""

    def has(self, one: str) -> bool:
        """Whether it is among them."""
        return one[_TIME:] in self._digests

    def is_before(self, one: str) -> bool:
        """Whether it came before all of them, and there were more than are kept: then it is an old one.

        One of the same second may be old or new. It counts as new: twice is better than never.
        """
        return one[:_TIME] < self._first

    def and_also(self, more: Iterable[str]) -> frozenset[str]:
        """The newest of these and others."""
        both = self.marks.union(more) - {_AND_OLDER}
        if len(both) <= MAX_MARKS and not self._has_older:
            return both
        return frozenset([_AND_OLDER, *sorted(both)[-MAX_MARKS:]])
