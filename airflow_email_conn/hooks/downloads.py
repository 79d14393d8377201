"""A local directory that takes files under names that senders chose."""

from __future__ import annotations

import logging
import os
import stat
from contextlib import suppress
from functools import cached_property
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
    """Files that come under hidden names, and are placed in a directory together.

    Nothing is placed before all files are complete; an error of the file system while placing may leave
    those that were placed already.

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
        self._untried: dict[str, Iterator[str]] = {}  # for each name, since many mails may share one

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
            _remove(part)
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
                self._place(name, part)
                del self._complete[0]
        finally:
            for _, part in self._complete:
                _remove(part)

    def _place(self, name: str, part: Path) -> None:
        """Give a complete file its name."""
        stored = self._free_name(name)
        try:
            part.replace(self._directory / stored)
        except BaseException:
            if not self._overwrite:  # the empty file, which the next run would take for a real one
                _remove(self._directory / stored)
            raise
        if stored != name:
            _log.warning("The attachment %r is saved as %r", name, stored)
        if stored in self._placed:
            _log.warning(
                "%r replaces another attachment of that name; latest_only=True takes the newest alone, "
                "overwrite=False keeps them all",
                stored,
            )
        self._placed.add(stored)

    def _free_name(self, name: str) -> str:
        """A name under which nothing lies that must stay; with overwrite=False, an empty file of ours."""
        is_plain = _is_plain(name)
        if is_plain and self._overwrite:
            return next(c for c in _numbered(name) if _is_replaceable(self._directory / c))
        # Whatever comes next must not replace these either, so each number is tried once.
        safe = name if is_plain else safe_file_name(name)
        untried = self._untried.setdefault(safe, _numbered(safe))
        return next(c for c in untried if self._is_free(c))

    def _is_free(self, name: str) -> bool:
        """Whether a file can have this name, and replaces none that came with the same mails."""
        if self._overwrite:
            return name not in self._placed and _is_replaceable(self._directory / name)
        return name not in self._listed and _is_created(self._directory / name)

    @cached_property
    def _listed(self) -> frozenset[str]:
        """What lay here when placing began: a hint, to be asked before the file system is."""
        try:
            return frozenset(path.name for path in self._directory.iterdir())
        except PermissionError:  # a drop box, to be written only
            return frozenset()


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


def _remove(path: Path) -> None:
    """Remove a file after an error, which passes on whether this works or not."""
    with suppress(OSError):
        path.unlink()


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
