"""The bytes of a mail or a file, once, though the download breaks off and begins anew."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from airflow_email_conn.errors import NetworkError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_email_conn.backends.graph.session import GraphSession

__all__ = ["pieces_of"]

_TRIES: Final = 4  # of one download that breaks off in the middle


def pieces_of(session: GraphSession, path: str) -> Iterator[bytes]:
    """What is there, once, even where it takes several tries.

    :param path: below the mailbox, such as /messages/AAMk.../$value.
    :raises NetworkError, UnavailableError: it breaks off again and again, or comes in another form.
    """
    passed = _Passed()
    for _ in range(_TRIES - 1):
        try:
            yield from _try(session, path, passed)
        except NetworkError:
            continue
        return
    yield from _try(session, path, passed)


def _try(session: GraphSession, path: str, passed: _Passed) -> Iterator[bytes]:
    again = passed.again()
    with session.stream(path) as pieces:
        for piece in pieces:
            new = again.skip(piece)
            if new:
                passed.add(new)
                yield new
    again.finish()


class _Passed:
    """What was passed on before a download broke off. It has no place in the middle to begin again at."""

    def __init__(self) -> None:
        self._count = 0
        self._digest = hashlib.sha256()

    def add(self, piece: bytes) -> None:
        self._count += len(piece)
        self._digest.update(piece)

    def again(self) -> _Again:
        return _Again(self._count, self._digest.digest())


class _Again:
    """Passes over what is known. Exchange makes the MIME form anew each time, and may make another one."""

    def __init__(self, count: int, digest: bytes) -> None:
        self._left = count
        self._expected = digest
        self._digest = hashlib.sha256()

    def skip(self, piece: bytes) -> bytes:
        """What of a piece is new. :raises UnavailableError: the old begins in another way."""
        if not self._left:
            return piece
        known, new = piece[: self._left], piece[self._left :]
        self._digest.update(known)
        self._left -= len(known)
        if not self._left and self._digest.digest() != self._expected:
            raise _changed()
        return new

    def finish(self) -> None:
        """All has come. :raises UnavailableError: that is less than what was passed on before."""
        if self._left:
            raise _changed()


def _changed() -> UnavailableError:
    return UnavailableError("a download that broke off begins in another way than before")
