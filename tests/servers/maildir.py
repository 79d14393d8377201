"""Putting mails into a new folder of Dovecot without a connection, as files of its Maildir."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["make_folder"]

_ARRIVED = 1_790_000_000  # seconds since 1970, in a file's name; the order of the names is that of the mails
_OWNER = "mail"


def make_folder(mail: Path, login: str, folder: str, raws: Iterable[bytes] = ()) -> None:
    """Make a folder with these mails, in this order, all unread.

    :param mail: where the server keeps the users' Maildirs; the user's own may be missing.
    :param folder: INBOX, or an ASCII name without dots, which separate levels there.
    """
    home = mail / login
    place = home if folder == "INBOX" else home / f".{folder}"
    for name in ("cur", "new", "tmp"):
        (place / name).mkdir(parents=True)
    for number, raw in enumerate(raws):
        # They stay root's: the server needs to write into their folder only.
        (place / "cur" / f"{_ARRIVED}.M{number}.test:2,").write_bytes(raw.replace(b"\r\n", b"\n"))
    for directory in {home, place, *(place / name for name in ("cur", "new", "tmp"))}:
        shutil.chown(directory, _OWNER, _OWNER)
