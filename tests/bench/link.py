"""A link to a server that counts what passes and, if wanted, takes its time.

Pieces in flight do not wait for each other: each arrives its delay after it was sent, as on a long wire.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from queue import Queue
from typing import TYPE_CHECKING

from tests.servers.base import HOST

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["Link"]

_PIECE = 64 * 1024
_IN_FLIGHT = 256  # pieces of a direction, 16 MB: more than any delay here fills, and no more than memory has

_Pieces = Queue[tuple[float, bytes]]


class Link:
    """A context manager; clients connect to `port`.

    :param target: port of the server.
    :param delay: seconds that each direction takes. A connection takes three of them until the server
        knows of it, as the handshake of TCP does.
    """

    def __init__(self, target: int, delay: float = 0.0) -> None:
        self._target = target
        self._delay = delay
        self._listener = socket.create_server((HOST, 0))
        self._lock = threading.Lock()
        self.port: int = self._listener.getsockname()[1]
        self.reset()

    def reset(self) -> None:
        """Begin to count."""
        with self._lock:
            #: Bytes to the server, and from it.
            self.up = self.down = 0
            #: How often the client spoke after the server had.
            self.trips = 0
            self._server_spoke = False

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), which close() does not
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        """Carry both directions of one connection."""
        time.sleep(3 * self._delay)
        server = socket.create_connection((HOST, self._target))
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threads = []
        for source, target in ((client, server), (server, client)):
            pieces: _Pieces = Queue(_IN_FLIGHT)
            arguments = (source, pieces, source is client)
            threads.append(threading.Thread(target=self._take, args=arguments, daemon=True))
            threads.append(threading.Thread(target=_hand_on, args=(pieces, target), daemon=True))
        with client, server:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    def _take(self, source: socket.socket, pieces: _Pieces, from_client: bool) -> None:
        piece = b"first"
        while piece:
            try:
                piece = source.recv(_PIECE)
            except OSError:
                piece = b""
            self._count(len(piece), from_client)
            pieces.put((time.monotonic() + self._delay, piece))

    def _count(self, size: int, from_client: bool) -> None:
        if not size:
            return
        with self._lock:
            if from_client:
                self.up += size
                self.trips += self._server_spoke
            else:
                self.down += size
            self._server_spoke = not from_client


def _hand_on(pieces: _Pieces, target: socket.socket) -> None:
    """Send each piece when it is due; an empty one ends the direction."""
    broken = False
    while True:
        due, piece = pieces.get()
        time.sleep(max(0.0, due - time.monotonic()))
        with suppress(OSError):
            if not piece:
                target.shutdown(socket.SHUT_WR)
        if not piece:
            return
        try:
            if not broken:
                target.sendall(piece)
        except OSError:
            broken = True  # go on emptying the queue, or its other end would wait for ever
