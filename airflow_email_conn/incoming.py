"""An answer over https that comes in while it is read, by a thread of its own."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from airflow_email_conn.errors import NetworkError, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_email_conn.deadline import Deadline

__all__ = ["END", "Head", "Incoming", "TooLongError"]

_AHEAD: Final = 4  # pieces of an answer (16 kB, a TLS record) that are read before somebody takes them
END: Final = b""  # of an answer: httpx never gives an empty piece


class TooLongError(ProtocolError):
    """An answer has more bytes than anybody would want."""


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of an answer."""

    status_code: int
    headers: Mapping[str, str]


class Incoming:
    """An answer that comes in, by a thread of its own.

    :param deadline: for each step of it.
    :param where: host and port, for messages.
    :ivar headers: names in lower case.
    :ivar is_over: nothing more comes.
    """

    def __init__(self, deadline: Deadline, where: str) -> None:
        self._deadline, self.where = deadline, where
        self._arrived: queue.SimpleQueue[Head | bytes | Exception] = queue.SimpleQueue()
        self._room = threading.Semaphore(_AHEAD)
        self._is_abandoned = False
        self.is_over = False
        self.status_code = 0
        self.headers: Mapping[str, str] = {}

    def pieces(self) -> Iterator[bytes]:
        """The body, as it comes; once. :raises DeadlineError, NetworkError:"""
        while not self.is_over:
            self._deadline.resume()
            piece = self._next()
            self._deadline.pause()
            if isinstance(piece, bytes) and piece:
                self._deadline.moved(len(piece))
                self._room.release()
                yield piece

    def read(self, limit: int) -> bytes:
        """The rest of the body. Raises as `pieces`. :raises TooLongError: it has more bytes than `limit`."""
        body = bytearray()
        for piece in self.pieces():
            body += piece
            if len(body) > limit:
                raise TooLongError(f"{self.where} sent more than {limit} bytes")
        return bytes(body)

    def text(self, limit: int) -> str:
        """The rest of the body, which is UTF-8. Raises as `read`."""
        return self.read(limit).decode("utf-8", "replace")

    def begin(self) -> None:
        """Wait for the status and the headers. :raises DeadlineError, NetworkError:"""
        head = self._next()
        self._deadline.pause()
        if isinstance(head, Head):
            self.status_code, self.headers = head.status_code, head.headers

    def put(self, item: Head | bytes | Exception) -> None:
        """Called by the thread that asks; waits until the caller has taken what came before."""
        if isinstance(item, bytes) and item:
            self._room.acquire()
            if self._is_abandoned:
                raise NetworkError("the answer was given up")
        self._arrived.put(item)

    def abandon(self) -> None:
        """Let the thread end."""
        self._is_abandoned = True
        self._room.release()

    def _next(self) -> Head | bytes:
        while True:
            try:
                item = self._arrived.get(timeout=self._deadline.remaining())
            except queue.Empty:
                continue  # while the request is sent, the other thread renews the deadline
            self.is_over = item == END or isinstance(item, Exception)
            if isinstance(item, Exception):
                raise item
            return item
