"""A web proxy as HTTPS_PROXY names one (CONNECT, RFC 9110 9.3.6), which leads wherever the test wants."""

from __future__ import annotations

import contextlib
import select
import socket
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import TYPE_CHECKING, Any

from tests.servers.base import HOST
from tests.servers.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["ConnectProxy", "running_connect_proxy"]

_TIMEOUT = 10


class ConnectProxy(ThreadingTCPServer):
    """The proxy; ``running_connect_proxy`` makes one.

    :param leads: the local port by ``host:port``; there is no way to any other, which is answered by 502.
    """

    daemon_threads = True

    def __init__(self, leads: Mapping[str, int]) -> None:
        self.leads = leads
        #: ``host:port`` of each connection that was asked for, in order.
        self.asked: list[str] = []
        super().__init__((HOST, 0), _Handler)
        #: For HTTPS_PROXY.
        self.url = f"http://{HOST}:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a side that leaves is no error."""


class _Handler(StreamRequestHandler):
    server: ConnectProxy
    timeout = _TIMEOUT
    rbufsize = 0  # what follows the request is for the other side

    def handle(self) -> None:
        """Take one CONNECT, and carry bytes until one side ends."""
        _, place, _ = self.rfile.readline(1000).decode("ascii").split()
        while self.rfile.readline(1000).strip():
            pass
        self.server.asked.append(place)
        port = self.server.leads.get(place)
        if port is None:
            self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection((HOST, port), _TIMEOUT) as target:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            others = {self.connection: target, target: self.connection}
            while readable := select.select(list(others), [], [], _TIMEOUT)[0]:
                for side in readable:
                    piece = side.recv(65536)
                    if not piece:
                        return
                    others[side].sendall(piece)


@contextlib.contextmanager
def running_connect_proxy(leads: Mapping[str, int]) -> Iterator[ConnectProxy]:
    """Run a proxy. :param leads: see `ConnectProxy`."""
    with serving(ConnectProxy(leads)) as proxy:
        yield proxy
