"""Bytes that may be many: small ones in memory, large ones in a file that has no name."""

from __future__ import annotations

import tempfile
import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Blob"]

#: What stays in memory. Tests measure the memory of clients in this very process.
_IN_MEMORY = 1024 * 1024
#: A multiple of 57 and of 3, so that base64 of pieces is base64 of the whole, in lines of 76.
PIECE = 57 * 1024


class Blob:
    """Bytes that are written once, in pieces, and read often.

    :param pieces: the beginning of them.
    """

    def __init__(self, pieces: Iterable[bytes] = ()) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
        # When the blob is forgotten. `__del__` would come too late, where it dies in a cycle with its file.
        weakref.finalize(self, self._file.close)
        self._lock = threading.Lock()
        self.size = 0
        for piece in pieces:
            self.add(piece)

    def add(self, piece: bytes) -> None:
        """Put some more at the end."""
        with self._lock:
            self._file.seek(0, 2)
            self._file.write(piece)
            self.size += len(piece)

    def pieces(self) -> Iterator[bytes]:
        """All of it, in pieces of ``PIECE`` bytes."""
        for start in range(0, self.size, PIECE):
            with self._lock:
                self._file.seek(start)
                piece = self._file.read(PIECE)
            yield piece

    def read(self) -> bytes:
        """All of it at once."""
        return b"".join(self.pieces())
