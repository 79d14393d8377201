"""Ports of the embedded servers whose connections are pairs of asyncio streams."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.servers.base import HOST

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable
    from typing import TypeAlias

    Serve: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

__all__ = ["StreamPorts"]


class StreamPorts:
    """Ports that are opened one by one and closed together, with their clients."""

    def __init__(self) -> None:
        """Begin without ports."""
        self._writers: set[asyncio.StreamWriter] = set()
        self._servers: list[asyncio.Server] = []

    async def listen(self, serve: Serve, context: ssl.SSLContext | None) -> int:
        """Open a port and return its number.

        :param serve: called for each client.
        :param context: for TLS from the start; None listens in plain text.
        """

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._writers.add(writer)
            try:
                await serve(reader, writer)
            except ConnectionError:
                pass  # a client that went away; pymap lets it through in a few places
            finally:
                self._writers.discard(writer)

        # By address, not by a socket of our own: asyncio only sets TCP_NODELAY when the socket names its
        # protocol, and answers in several pieces would each wait 40 ms for the client's delayed ACK.
        server = await asyncio.start_server(connected, HOST, 0, ssl=context)
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    def close(self) -> None:
        """Stop listening and drop all clients, whatever they are doing."""
        for server in self._servers:
            server.close()
        for writer in self._writers:
            writer.transport.abort()
