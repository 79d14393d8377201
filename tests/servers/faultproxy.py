r"""A TCP proxy on loopback that hurts a connection on purpose, and remembers what passed.

::

    with FaultProxy(servers.smtp_port) as proxy:  # the client connects to proxy.port
        proxy.fault = Fault("cut", when=rb"\r\n\.\r\n$")  # once the client sent the final dot of DATA
        ...
        proxy.fault = None  # heal: new connections, and running ones that were not hit, pass again

Inside TLS a client in Python cannot tell ``reset`` and ``refuse`` from ``cut``: its ssl module mostly reports
the RST as an end of the stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import TYPE_CHECKING

from tests.servers.base import HOST
from tests.servers.faults import Fault, Side
from tests.servers.loopthread import LoopThread

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from tests.servers.certificates import Certificate

__all__ = ["Fault", "FaultProxy"]

#: How much of each direction ``FaultProxy`` remembers, and how far back ``Fault.when`` looks.
_SEEN_LIMIT = 1 << 20
_TAIL = 4096
_STEP_SECONDS = 0.05


class _Link:
    """One connection of a client, and the one to the server that belongs to it."""

    def __init__(self, proxy: FaultProxy, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        #: From then on neither side hears the other.
        self._broken = False
        #: What drags on from then on, in both directions.
        self._lasting: Fault | None = None

    async def pump(self, side: Side, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry the bytes of one direction until its end."""
        count, tail = 0, b""
        try:
            while piece := self._proxy.rewrite(side, await reader.read(65536)):
                self._proxy.remember(side, piece)
                count, tail = count + len(piece), (tail + piece)[-_TAIL:]
                if self._broken:
                    continue
                fault = self._due(side, count, tail)
                if fault is None:
                    await self._send(side, writer, piece)
                else:
                    await self._hurt(fault, side, piece, count, writer)
            if not self._broken:
                self._end(writer)
        except OSError:  # also ENOTCONN, which is no ConnectionError
            if not self._broken:
                self._close()

    def _due(self, side: Side, count: int, tail: bytes) -> Fault | None:
        fault = self._proxy.fault
        if fault is None or self._lasting is fault:
            return fault
        if not fault.due(side, count, tail):
            return None
        if fault.kind in ("slow", "delay"):
            self._lasting = fault
        return fault

    async def _hurt(
        self, fault: Fault, side: Side, piece: bytes, count: int, writer: asyncio.StreamWriter
    ) -> None:
        self._proxy.hit(fault)
        if fault.kind == "slow":
            if fault.after and side == fault.side:
                quick = fault.passed_on(piece, count)
                await self._send(side, writer, quick)
                piece = piece[len(quick) :]
            step = max(1, int(fault.rate * _STEP_SECONDS))
            for start in range(0, len(piece), step):
                await self._send(side, writer, piece[start : start + step])
                await asyncio.sleep(_STEP_SECONDS)
        elif fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
            await self._send(side, writer, piece)
        elif fault.kind == "corrupt":
            middle = len(piece) // 2
            await self._send(
                side, writer, piece[:middle] + bytes([piece[middle] ^ 0xFF]) + piece[middle + 1 :]
            )
        elif fault.kind == "call":
            passed_on = fault.passed_on(piece, count)
            await self._send(side, writer, passed_on)
            if fault.action:
                await asyncio.to_thread(fault.action)
            await self._send(side, writer, piece[len(passed_on) :])
        else:
            await self._break(fault, side, fault.passed_on(piece, count), writer)

    async def _break(self, fault: Fault, side: Side, last: bytes, writer: asyncio.StreamWriter) -> None:
        self._broken = True
        if last:
            await self._send(side, writer, last)
            await asyncio.sleep(_STEP_SECONDS)  # time for the other side to act on it
        if fault.kind == "cut":
            self._close()
        elif fault.kind == "reset":
            self._server.close()
            _reset(self._client)
        elif fault.kind == "halfopen":
            self._server.close()
        elif fault.kind == "say":
            await self._send("server", self._client, fault.text)
            self._close()

    async def _send(self, side: Side, writer: asyncio.StreamWriter, piece: bytes) -> None:
        writer.write(piece)
        await writer.drain()
        self._proxy.passed[side] += len(piece)

    def _end(self, writer: asyncio.StreamWriter) -> None:
        if writer.can_write_eof():
            writer.write_eof()
        else:
            writer.close()  # TLS cannot close one direction

    def _close(self) -> None:
        self._server.close()
        self._client.close()


class FaultProxy:
    """The proxy; a context manager.

    :param target_port: where the server listens.
    :param certificate: end TLS here, so that ``Fault.when`` sees plain text; the target is then a plain port,
    :param target_trust: or begins with TLS, which the proxy speaks with it.
    :param rewrite: gets each piece and the side it comes from, and returns what passes for it.
    """

    def __init__(
        self,
        target_port: int,
        target_host: str = HOST,
        certificate: Certificate | None = None,
        *,
        target_trust: ssl.SSLContext | None = None,
        rewrite: Callable[[Side, bytes], bytes] = lambda _side, piece: piece,
    ) -> None:
        """Prepare; entering the context begins to listen."""
        self.fault: Fault | None = None
        #: How many clients connected so far.
        self.connections = 0
        #: Where to connect to.
        self.port = 0
        #: How many bytes that came from a side went on to the other one.
        self.passed: dict[Side, int] = {"client": 0, "server": 0}
        self._target = (target_host, target_port)
        self._context = certificate.server_context() if certificate else None
        self._target_trust = target_trust
        self.rewrite = rewrite
        self._seen: dict[Side, bytearray] = {"client": bytearray(), "server": bytearray()}
        self._writers: set[asyncio.StreamWriter] = set()
        self._stack = contextlib.ExitStack()

    @property
    def seen_from_client(self) -> bytes:
        """The first mebibyte that came from clients, of all connections one after the other."""
        return bytes(self._seen["client"])

    @property
    def seen_from_server(self) -> bytes:
        """The first mebibyte that came from the server, of all connections one after the other."""
        return bytes(self._seen["server"])

    def __enter__(self) -> Self:
        self._loop = loop = self._stack.enter_context(LoopThread.running("faultproxy"))
        server = loop.call(self._listen())
        self._stack.callback(lambda: loop.call(self._stop(server)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def hang_up(self) -> None:
        """Close all connections that are open now, as servers do with idle ones."""

        async def close() -> None:
            for writer in tuple(self._writers):
                writer.close()

        self._loop.call(close())

    def remember(self, side: Side, piece: bytes) -> None:
        """Keep a piece that came from a side, as long as there is room."""
        seen = self._seen[side]
        seen += piece[: _SEEN_LIMIT - len(seen)]

    def hit(self, fault: Fault) -> None:
        """Count that a fault came true."""
        fault.hits += 1
        if fault.once and self.fault is fault:
            self.fault = None

    async def _listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self._connected, HOST, 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _stop(self, server: asyncio.Server) -> None:
        server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.fault is not None and self.fault.kind == "refuse":
            self.hit(self.fault)
            _reset(writer)
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(
                *self._target, ssl=self._target_trust
            )
        except OSError:
            _reset(writer)
            return
        pair = {writer, server_writer}
        self._writers |= pair
        link = _Link(self, writer, server_writer)
        try:
            # The end of the proxy cancels what waits here, which asyncio would report as an error.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(
                    link.pump("client", reader, server_writer), link.pump("server", server_reader, writer)
                )
        finally:
            self._writers -= pair
            writer.close()
            server_writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    # SO_LINGER of zero seconds turns the close into an RST (socket(7)).
    transport_socket = writer.get_extra_info("socket")
    if transport_socket is not None:
        transport_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
