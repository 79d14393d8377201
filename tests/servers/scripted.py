r"""A server that says what a test tells it to say: for hostile, broken and silent servers.

::

    def greet_and_vanish(conversation: Conversation) -> None:
        conversation.send(b"* OK ready\r\n")
        conversation.readline()

    with ScriptedServer(greet_and_vanish) as server:
        ...  # connect to 127.0.0.1, server.port
    assert server.received.startswith(b"a1 CAPABILITY")
    assert server.errors == []
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

from tests.servers.base import HOST

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from tests.servers.certificates import Certificate

__all__ = ["Conversation", "ScriptedServer"]


class Conversation:
    """One client, as the handler sees it. Every wait ends with the handler's time limit, by TimeoutError."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        """Begin; the time limit runs from now.

        :param seconds: the limit.
        """
        #: What the client sent, decrypted; also what the handler has not read.
        self.received = bytearray()
        #: Whether the client has hung up, as far as was read, or this side has.
        self.closed = False
        #: The name the client asked for in its TLS handshake (SNI, RFC 6066 3); None for none.
        self.server_name: str | None = None
        self._clear: int | None = None
        self._connection = connection
        self._deadline = time.monotonic() + seconds
        self._unread = bytearray()

    @property
    def received_in_clear(self) -> bytes:
        """What the client sent before TLS was up."""
        return bytes(self.received[: self._clear])

    @property
    def received_in_tls(self) -> bytes:
        """What the client sent encrypted."""
        return b"" if self._clear is None else bytes(self.received[self._clear :])

    def send(self, data: bytes) -> None:
        """Send bytes as they are.

        :raises ConnectionError: the client has gone.
        """
        self._wait_no_longer()
        self._connection.sendall(data)

    def readline(self) -> bytes:
        """Return the next line with its end, or what there is when the client hung up."""
        while b"\n" not in self._unread and self._receive():
            pass
        return self._take(self._unread.find(b"\n") + 1 or len(self._unread))

    def read(self, count: int) -> bytes:
        """Return exactly this number of bytes, fewer when the client hung up."""
        while len(self._unread) < count and self._receive():
            pass
        return self._take(count)

    def read_to_end(self) -> bytes:
        """Say nothing until the client hangs up, and return what it sent."""
        while self._receive():
            pass
        return self._take(len(self._unread))

    def start_tls(self, certificate: Certificate, version: ssl.TLSVersion | None = None) -> None:
        """Turn the connection into TLS; say so to the client before.

        :param version: the only one to speak, however old; None for all that are usual.
        :raises ssl.SSLError: the client does not like it.
        """
        self._wait_no_longer()
        context = certificate.server_context(version)
        context.sni_callback = self._asked_for
        self._connection = context.wrap_socket(self._connection, server_side=True)
        self._clear = len(self.received)

    def _asked_for(self, _socket: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        self.server_name = name

    def close(self) -> None:
        """Hang up; within TLS without its closing message, as somebody does who cuts the wire."""
        self.closed = True
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def interrupt(self) -> None:
        """Wake the handler's thread out of whatever it waits for; for ``ScriptedServer``."""
        self._deadline = 0.0
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def _receive(self) -> bool:
        if self.closed:
            return False
        self._wait_no_longer()
        data = self._connection.recv(65536)
        self.received += data
        self._unread += data
        self.closed = not data
        return bool(data)

    def _take(self, count: int) -> bytes:
        taken = bytes(self._unread[:count])
        del self._unread[:count]
        return taken

    def _wait_no_longer(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the handler's time is over")
        self._connection.settimeout(left)


class ScriptedServer:
    """The listener; a context manager. Each client gets a thread with a handler of its own.

    :param handler: holds the conversation; when it returns, the server hangs up.
    :param certificate: begin with TLS.
    :param seconds: how long each handler may take.
    :param host: the address to listen on, IPv4 or IPv6.
    """

    def __init__(
        self,
        handler: Callable[[Conversation], object],
        certificate: Certificate | None = None,
        seconds: float = 10.0,
        host: str = HOST,
    ) -> None:
        """Listen; clients are answered within the context."""
        #: What the handlers raised, but for what came of the end of the context.
        self.errors: list[BaseException] = []
        #: One for each client, in the order of their coming.
        self.conversations: list[Conversation] = []
        self._handler = handler
        self._certificate = certificate
        self._seconds = seconds
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(
            (host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
        #: Where to connect to.
        self.port: int = self._listener.getsockname()[1]

    @property
    def received(self) -> bytes:
        """What all clients sent, one after the other."""
        return b"".join(bytes(conversation.received) for conversation in self.conversations)

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        # close() alone does not wake a thread in accept(); shutdown() does, on Linux.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join(2)
        for conversation in self.conversations:
            conversation.interrupt()
        for thread in self._threads[1:]:
            thread.join(2)

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True, name="scripted")
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._ending.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            conversation = Conversation(connection, self._seconds)
            self.conversations.append(conversation)
            self._start(self._converse, conversation)

    def _converse(self, conversation: Conversation) -> None:
        try:
            if self._certificate is not None:
                conversation.start_tls(self._certificate)
            self._handler(conversation)
        except BaseException as error:  # noqa: BLE001 - kept for the test to look at, whatever it is
            if not self._ending.is_set():
                self.errors.append(error)
        finally:
            conversation.close()
