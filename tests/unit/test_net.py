"""Sockets: addresses that cannot be used do not hide those that can, and closing ends every wait."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from airflow_email_conn.errors import ConnectError, NetworkError
from airflow_email_conn.net import Stream
from airflow_email_conn.trust import Trust


def test_a_family_that_the_kernel_lacks_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """IPv6 in the DNS, and none in the kernel."""
    real = socket.socket

    def without_ipv6(family: int = socket.AF_INET, *arguments: Any, **keywords: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return real(family, *arguments, **keywords)

    with real() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        addresses = [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: addresses)
        monkeypatch.setattr(socket, "socket", without_ipv6)
        Stream.connect("both.test", port, 2.0, lambda _step: None).close()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: addresses[:1])
        with pytest.raises(ConnectError, match=r"cannot connect to both\.test"):
            Stream.connect("both.test", port, 2.0, lambda _step: None)


def test_close_ends_a_handshake_that_another_thread_waits_in() -> None:
    """A task that is cancelled meanwhile need not wait for the timeout."""
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes the connection and says nothing
        port = server.getsockname()[1]
        stream = Stream.connect("127.0.0.1", port, 30.0, lambda _step: None)
        closing = threading.Timer(0.2, stream.close)
        closing.start()
        started = time.monotonic()
        with pytest.raises(NetworkError):
            stream.start_tls(Trust(check_identity=False))
        closing.join()
    assert time.monotonic() - started < 5
