r"""Names of folders: paths of display names, and special uses.

A slash stands between two names; one that belongs to a name is written twice: `Invoices//2026` is one
folder. Three in a row are a name that ends in a slash, and a delimiter. `INBOX` and the special uses of
RFC 6154, such as `\Archive`, are Graph's well-known names (Graph: "mailFolder resource type"), whatever they
are called.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from airflow_email_conn.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["DELIMITER", "INBOX", "MAX_DEPTH", "SPECIAL_USES", "joined", "split", "well_known"]

DELIMITER: Final = "/"
INBOX: Final = "INBOX"
#: Special use to well-known name.
SPECIAL_USES: Final = {
    "\\Archive": "archive",
    "\\Drafts": "drafts",
    "\\Junk": "junkemail",
    "\\Sent": "sentitems",
    "\\Trash": "deleteditems",
}
_WELL_KNOWN: Final = {use.lower(): name for use, name in SPECIAL_USES.items()}
#: Folders below one another in Exchange, at most.
MAX_DEPTH: Final = 300
_MAX_NAME: Final = 10_000  # characters of a path
_LONGEST_NAME: Final = 255  # characters of a display name, in Exchange
_NAME: Final = re.compile(r"(?:[^/]|//)+")


def well_known(folder: str) -> str:
    """Graph's own name of a special use; empty where it has none."""
    return _WELL_KNOWN.get(folder.lower(), "")


def split(folder: str) -> tuple[str, ...]:
    """The display names of a path.

    :raises QueryError: an empty name, NUL, CR or LF, or too long.
    """
    if any(c in folder for c in "\0\r\n"):
        raise QueryError("folder: must not contain NUL, CR or LF")
    if len(folder) > _MAX_NAME:
        raise QueryError(f"folder: longer than {_MAX_NAME} characters")
    pieces = _NAME.findall(folder)
    if not pieces or DELIMITER.join(pieces) != folder:
        raise QueryError(f"folder: {folder!r:.100} holds an empty name; a slash in a name is written twice")
    if len(pieces) > MAX_DEPTH:
        raise QueryError(f"folder: more than {MAX_DEPTH} names below one another")
    names = tuple(piece.replace("//", "/") for piece in pieces)
    if any(len(name) > _LONGEST_NAME for name in names):
        raise QueryError(f"folder: a name has {_LONGEST_NAME} characters at most")
    return names


def joined(names: Iterable[str]) -> str:
    """The path of display names: the inverse of `split`, but for a name that begins with a slash."""
    return DELIMITER.join(name.replace("/", "//") for name in names)
