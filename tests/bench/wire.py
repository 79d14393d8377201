"""A plain socket to a server, and its drain: the same sent again, with the answers thrown away."""

from __future__ import annotations

import socket
from io import BufferedReader
from typing import TYPE_CHECKING

from tests.servers.base import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["Exchange", "Wire", "drain"]

_BUFFER = 256 * 1024
_TAIL = 1_000  # bytes; the last line of an answer is shorter

# What is sent at once, and how the last line of its answers begins; empty where nobody waits for one.
Exchange = tuple[bytes, bytes]


class Wire:
    """A connection that notes its exchanges; a context manager."""

    def __init__(self, port: int) -> None:
        self._socket = _connected(port)
        self._file = BufferedReader(self._socket.makefile("rb", 0), _BUFFER)
        self._last = b""
        self.exchanges: list[Exchange] = []

    def send(self, data: bytes, last: bytes) -> None:
        """Write; `lines` then ends with the line that begins with `last`."""
        self._socket.sendall(data)
        self._last = last
        self.exchanges.append((data, last))

    def lines(self) -> Iterator[bytes]:
        """The lines of the answers, except for the last one. Literals have to be read meanwhile."""
        while not (line := self._file.readline()).startswith(self._last):
            if not line:
                raise ConnectionError("the server closed the connection")
            yield line

    def line(self) -> bytes:
        """One line."""
        return self._file.readline()

    def rest(self) -> Iterator[bytes]:
        """What is left of the answers, as it comes."""
        tail = b""
        while not _ends(tail, self._last):
            piece = self._file.read1(_BUFFER)
            tail = (tail + piece[-_TAIL:])[-_TAIL:]
            yield piece

    def read(self, size: int) -> bytes:
        """Exactly so many bytes."""
        return self._file.read(size)

    def pieces(self, size: int) -> Iterator[bytes]:
        """So many bytes, as they come."""
        while size > 0:
            piece = self._file.read1(min(size, _BUFFER))
            size -= len(piece)
            yield piece

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._socket.close()


def drain(port: int, exchanges: Sequence[Exchange]) -> None:
    """Send the same again, and throw the answers away: the speed of the server and the link."""
    buffer = bytearray(_BUFFER)
    with _connected(port) as connection:
        for data, last in exchanges:
            connection.sendall(data)
            tail = b""
            while last and not _ends(tail, last):
                size = connection.recv_into(buffer)
                if not size:
                    raise ConnectionError("the server closed the connection")
                tail = (tail + bytes(buffer[max(0, size - _TAIL) : size]))[-_TAIL:]


def _ends(tail: bytes, last: bytes) -> bool:
    """Whether the last line is there, and whole."""
    start = tail.rfind(b"\r\n", 0, -2)
    return tail.endswith(b"\r\n") and tail[start + 2 if start >= 0 else 0 :].startswith(last)


def _connected(port: int) -> socket.socket:
    connection = socket.create_connection((HOST, port), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
