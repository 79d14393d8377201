"""The scripted server, seen from a bare socket."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

from tests.servers.certificates import client_context
from tests.servers.scripted import Conversation, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.certificates import Certificate

_TIMEOUT = 10


def test_scripted_server(certificate: Certificate) -> None:
    """A scripted server talks, reads, turns to TLS, and keeps what the client sent."""

    def script(conversation: Conversation) -> None:
        conversation.send(b"+OK hello\r\n")
        assert conversation.readline() == b"STLS\r\n"
        conversation.send(b"+OK go on\r\n")
        conversation.start_tls(certificate)
        conversation.send(conversation.read(4))
        assert conversation.read_to_end() == b""
        assert conversation.closed

    with ScriptedServer(script) as server:
        with socket.create_connection(("127.0.0.1", server.port), _TIMEOUT) as plain:
            assert plain.recv(100) == b"+OK hello\r\n"
            plain.sendall(b"STLS\r\n")
            assert plain.recv(100) == b"+OK go on\r\n"
            trust = client_context(certificate.chain.with_name("ca.pem"))
            with trust.wrap_socket(plain, server_hostname="localhost") as connection:
                connection.sendall(b"ping")
                assert connection.recv(100) == b"ping"
        _wait_for(lambda: server.conversations[0].closed)
    assert server.received == b"STLS\r\nping"
    assert server.errors == []


def test_scripted_server_keeps_errors_and_time() -> None:
    """An exception of the handler is kept, and so is the one that ends a handler that takes too long."""
    with (
        ScriptedServer(Conversation.read_to_end, seconds=0.1) as server,
        socket.create_connection(("127.0.0.1", server.port), _TIMEOUT) as connection,
    ):
        assert connection.recv(1) == b""
        _wait_for(lambda: bool(server.errors))
        assert isinstance(server.errors[0], TimeoutError)


def test_scripted_server_ends_with_a_silent_client() -> None:
    """The end of the context does not wait for a client or a handler, and is not an error."""
    begin = time.monotonic()
    with ScriptedServer(Conversation.read_to_end) as server:
        connection = socket.create_connection(("127.0.0.1", server.port), _TIMEOUT)
        _wait_for(lambda: bool(server.conversations))
    connection.close()
    assert time.monotonic() - begin < 2
    assert server.errors == []
    assert not [thread for thread in threading.enumerate() if thread.name == "scripted"]


def _wait_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + _TIMEOUT
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
