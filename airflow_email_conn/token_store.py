"""Where tokens rest: the protocol of a store, one in memory, and one in files."""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ComparesAndSets", "FileTokenStore", "MemoryTokenStore", "TokenStore"]

# A lock is held while two small files are read and written; on a network it may be lost with its holder.
_LOCKED: Final = 10.0  # seconds that a call waits for one
_LOCK_POLL: Final = 0.02  # seconds between two tries: flock itself knows no time-out


class TokenStore(Protocol):
    """Texts by key, for every process that uses a connection.

    The texts are secrets: a store keeps them from whoever may not read the connection. Calls block, for as
    long as the store's own time limits allow, and raise what they like: the caller makes it an EmailError.
    What one process has set, every other one gets from then on.
    """

    def get(self, key: str) -> str | None:
        """The text, None if there is none."""
        ...

    def set(self, key: str, value: str) -> None:
        """Keep a text, in the place of any before."""
        ...

    def delete(self, key: str) -> None:
        """Forget a text, if there is one."""
        ...


@runtime_checkable
class ComparesAndSets(Protocol):
    """What a TokenStore may have beside: of two that write at once, one is told that it came too late."""

    def compare_and_set(self, key: str, expected: str | None, value: str) -> bool:
        """Keep a text if what is there is `expected` (None: nothing). :returns: whether it was."""
        ...


class MemoryTokenStore:
    """For one process: tests, scripts, and connections that need no sign-in of a person."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._lock = threading.Lock()

    def get(self, key: str) -> str | None:
        """See `TokenStore.get`."""
        with self._lock:
            return self._values.get(key)

    def set(self, key: str, value: str) -> None:
        """See `TokenStore.set`."""
        with self._lock:
            self._values[key] = value

    def delete(self, key: str) -> None:
        """See `TokenStore.delete`."""
        with self._lock:
            self._values.pop(key, None)

    def compare_and_set(self, key: str, expected: str | None, value: str) -> bool:
        """See `ComparesAndSets.compare_and_set`."""
        with self._lock:
            if self._values.get(key) != expected:
                return False
            self._values[key] = value
            return True


class FileTokenStore:
    """One file for each text, in a directory that only its owner may read: for one machine, or a file system
    with locks (flock) and atomic renames that all machines share.

    :param directory: made, with mode 0700, when the first text is set.
    :raises TimeoutError: of what writes: somebody else has held the file's lock for 10 seconds.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._directory = Path(directory)

    def get(self, key: str) -> str | None:
        """See `TokenStore.get`. :raises OSError:"""
        try:
            return self._file(key).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def set(self, key: str, value: str) -> None:
        """See `TokenStore.set`. :raises OSError:"""
        with self._locked(key):
            self._write(key, value)

    def delete(self, key: str) -> None:
        """See `TokenStore.delete`. :raises OSError:"""
        with self._locked(key):
            self._file(key).unlink(missing_ok=True)

    def compare_and_set(self, key: str, expected: str | None, value: str) -> bool:
        """See `ComparesAndSets.compare_and_set`. :raises OSError:"""
        with self._locked(key):
            if self.get(key) != expected:
                return False
            self._write(key, value)
            return True

    def _file(self, key: str) -> Path:
        # Not the key itself: it may hold anything, and be longer than a file's name.
        return self._directory / hashlib.sha256(key.encode()).hexdigest()

    def _write(self, key: str, value: str) -> None:
        """Replace the file by a complete one. Only who holds the lock of the key comes here."""
        part = self._file(key).with_suffix(".part")
        part.unlink(missing_ok=True)  # of a process that was killed
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(value)
            file.flush()
            os.fsync(descriptor)  # a rotated refresh token that is lost is a sign-in that is lost
        part.replace(self._file(key))

    @contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._file(key).with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(lock)
            yield
        finally:
            os.close(lock)


def _lock(descriptor: int) -> None:
    end = time.monotonic() + _LOCKED
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise TimeoutError("the file's lock is held by another process") from None
        time.sleep(_LOCK_POLL)
