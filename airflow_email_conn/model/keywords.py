"""Keywords of a mail, where they are kept as a list: Outlook's categories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_email_conn.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MAX_KEYWORDS", "KeywordChange"]

#: Of a mail; Dovecot and Cyrus keep some hundred in a folder at most.
MAX_KEYWORDS: Final = 1000

_LONGEST: Final = 255  # characters, in Outlook


class KeywordChange:
    """What is to be added to lists, and taken from them.

    :raises QueryError: no keyword: empty, too long, a flag, or with control characters.
    """

    def __init__(self, add: Iterable[str], remove: Iterable[str]) -> None:
        self._add = [_checked(keyword) for keyword in add]
        self._remove = {_checked(keyword).casefold() for keyword in remove}

    def of(self, keywords: Iterable[str]) -> tuple[str, ...]:
        """The list as it is then. Case does not tell two apart; the one that is there stays."""
        changed: dict[str, str] = {}
        for keyword in (*keywords, *self._add):
            changed.setdefault(keyword.casefold(), keyword)
        return tuple(keyword for key, keyword in changed.items() if key not in self._remove)


def _checked(keyword: str) -> str:
    """The keyword. A comma would be two to Outlook, a backslash begins IMAP's flags."""
    if not keyword.strip():
        raise QueryError("keywords: one is empty")
    if len(keyword) > _LONGEST or not keyword.isprintable() or "," in keyword or keyword.startswith("\\"):
        raise QueryError(
            f"keywords: {keyword!r:.120} is none: up to {_LONGEST} characters without comma, line break or"
            " a backslash in front"
        )
    return keyword.strip()
