"""A local directory that takes files under names that senders chose."""

from __future__ import annotations

import logging
import os
import stat
from itertools import count
from pathlib import Path, PurePath
from secrets import token_hex
from typing import IO, TYPE_CHECKING

from airflow_email_conn.model.filename import safe_file_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["Downloads"]

_log = logging.getLogger(__name__)

_MAX_BYTES = 240  # of a name that is kept as it is: file systems take 255, and `_1` may be added


class Downloads:
    """Files that appear in a directory together, when all of them are complete; after an error, none.

    Nothing is written outside the directory or through a link. A name that is a path, or that no file can
    have, becomes a safe one: the file is kept, and the log says how it is called now. What is no regular file
    (a link, a directory) stays where it is, and the new file gets a number.

    :param directory: it exists.
    :param overwrite: replace files of the same name; False numbers the new ones: `a.csv`, `a_1.csv` ...
    """

    def __init__(self, directory: str | os.PathLike[str], *, overwrite: bool) -> None:
        self._directory = Path(directory)
        self._overwrite = overwrite
        self._complete: list[tuple[str, Path]] = []  # the sender's name, and where the file is meanwhile
        self._placed: set[str] = set()

    def add(self, name: str, fill: Callable[[IO[bytes]], object]) -> None:
        """Take a file.

        :param name: as the sender wrote it.
        :param fill: writes the content; what it raises passes, and the file is gone.
        :raises OSError: the directory is missing, full, not ours to write ...
        """
        # Beside its later place, since only a rename within one file system is atomic.
        part = self._directory / f".{token_hex(8)}.part"
        try:
            with part.open("xb") as file:  # x: follows no link; not tempfile, whose files only we may read
                fill(file)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        self._complete.append((name, part))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            while self._complete and kind is None:
                name, part = self._complete[0]
                part.replace(self._place(name))
                del self._complete[0]
        finally:
            for _, part in self._complete:
                part.unlink(missing_ok=True)

    def _place(self, name: str) -> Path:
        """The path for a file; nothing that must stay lies there."""
        safe = name if _is_plain(name) else safe_file_name(name)
        # A file under a name that is not its own never replaces another of the same mails.
        kept = self._placed if safe != name else frozenset[str]()
        is_free = _is_replaceable if self._overwrite else _is_created
        stored = next(c for c in _numbered(safe) if c not in kept and is_free(self._directory / c))
        if stored != name:
            _log.warning("The attachment %r is saved as %r", name, stored)
        if stored in self._placed:
            _log.warning(
                "%r replaces another attachment of that name; latest_only=True takes the newest alone, "
                "overwrite=False keeps them all",
                stored,
            )
        self._placed.add(stored)
        return self._directory / stored


def _is_plain(name: str) -> bool:
    """Whether a file can have this name, in the directory and nowhere else."""
    if name in {"", ".", ".."} or any(mark in name for mark in (os.sep, os.altsep, "\0") if mark):
        return False
    try:
        return len(os.fsencode(name)) <= _MAX_BYTES
    except UnicodeEncodeError:
        return False


def _numbered(name: str) -> Iterator[str]:
    """`a.csv`, `a_1.csv`, `a_2.csv` ..."""
    yield name
    path = PurePath(name)
    yield from (f"{path.stem}_{number}{path.suffix}" for number in count(1))


def _is_replaceable(path: Path) -> bool:
    """Whether there is a regular file or nothing."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return True


def _is_created(path: Path) -> bool:
    """Make an empty file that is ours alone; False when there is anything, a broken link too."""
    try:
        path.open("xb").close()
    except FileExistsError:
        return False
    return True
