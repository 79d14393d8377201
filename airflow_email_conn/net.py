"""Sockets with a deadline on every step, encrypted or not."""

from __future__ import annotations

import queue
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from airflow_email_conn.deadline import Deadline
from airflow_email_conn.errors import (
    ConnectError,
    DeadlineError,
    EmailError,
    NetworkError,
    TLSError,
)
from airflow_email_conn.lifeline import on_cut
from airflow_email_conn.trust import tls_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_email_conn.trust import Trust

__all__ = ["Stream"]

# Below 128 kB, from where on C libraries ask the kernel for each buffer anew: a download over TLS took half
# as long again.
_READ_SIZE = 64 * 1024
_WRITE_SIZE = 256 * 1024
_TLS_RECORD = 16 * 1024  # the most that one read of TLS gives
# Linux only. Cyrus (Nagle's algorithm) waits with the end of an answer for an acknowledgement that the kernel
# holds back for 40 ms; the kernel forgets the option again, so it is set before each read of a short answer.
_QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)
# Not SSLSocket's own, after which a thread that is about to write would do so in clear.
_SHUT_DOWN = socket.socket.shutdown

# family, type, protocol, canonical name, socket address: as socket.getaddrinfo gives it
_AddressInfo: TypeAlias = "tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]"


class Stream:
    """A TCP connection, encrypted or not yet, whose every operation ends by a deadline.

    :param host: name or address to connect to; also the name that the certificate must carry.
    :param timeout: seconds for each step.
    """

    __slots__ = ("_socket", "encrypted", "host", "port", "timeout")

    def __init__(self, connected: socket.socket, host: str, port: int, timeout: float) -> None:
        self._socket = connected
        self.host, self.port, self.timeout = host, port, timeout
        self.encrypted = False

    @classmethod
    def connect(cls, host: str, port: int, timeout: float, on_step: Callable[[str], None]) -> Stream:
        """Resolve the name and connect to the first of its addresses that answers.

        :param timeout: seconds for resolving, and again for connecting to all addresses together.
        :raises ConnectError, DeadlineError:
        """
        on_step("resolve")
        addresses = _resolve(host, port, Deadline(timeout, f"resolve {host}"))
        on_step("connect")
        deadline = Deadline(timeout, f"connect to {host} port {port}")
        failure: OSError | None = None
        for tried, (family, kind, protocol, _, address) in enumerate(addresses):
            sock = None
            try:
                # Fails where the kernel knows no IPv6 and the DNS does; another address may still do.
                sock = socket.socket(family, kind, protocol)
                on_cut(partial(_shut_down, sock))
                # A dead first address (an unrouted IPv6 one, say) must leave time for the others.
                sock.settimeout(deadline.remaining() / (len(addresses) - tried))
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as exc:  # DeadlineError is one too: no time is left for the other addresses
                if sock:
                    sock.close()
                failure = exc
                if isinstance(exc, EmailError):
                    raise
            else:
                stream = cls(sock, host, port, timeout)
                on_cut(stream.interrupt)
                return stream
        if isinstance(failure, TimeoutError):
            raise deadline.error() from failure
        reason = (failure.strerror if failure else None) or "no address"
        raise ConnectError(f"cannot connect to {host} port {port}: {reason}") from failure

    @property
    def local_address(self) -> str:
        """This side's IP address; empty when the connection is gone."""
        try:
            return str(self._socket.getsockname()[0])
        except OSError:
            return ""

    def deadline(self, step: str, *, renewable: bool = False) -> Deadline:
        """A deadline of the stream's timeout for one step. :param renewable: see `Deadline`."""
        return Deadline(self.timeout, f"{step} at {self.host} port {self.port}", renewable=renewable)

    @contextmanager
    def greeting(self, tls_port: int) -> Iterator[None]:
        """Around the wait for a server's first word. :raises DeadlineError: in clear text with the mend."""
        try:
            yield
        except DeadlineError as exc:
            if self.encrypted:
                raise
            raise DeadlineError(
                f"{exc.message}: the server is silent, as a port is that wants security 'tls' "
                f"(mostly {tls_port})"
            ) from exc

    def start_tls(self, trust: Trust, *, agreed: bool = False) -> None:
        """Encrypt from here on.

        :param agreed: the server has said in clear text that it will (STARTTLS).
        :raises TLSError: no TLS, too old a one, or a certificate that is not to be trusted.
        :raises DeadlineError, NetworkError, SettingsError:
        """
        deadline = self.deadline("TLS handshake")
        context = trust.context()
        try:
            self._socket.settimeout(deadline.remaining())
            # The handshake is a step of its own, so that close() finds the socket that it waits on.
            encrypting = context.wrap_socket(
                self._socket, server_hostname=self.host, do_handshake_on_connect=False
            )
            self._socket = encrypting
            on_cut(self.interrupt)  # what came between the two sockets would be lost
            encrypting.do_handshake()
        except TimeoutError as exc:
            raise deadline.error() from exc
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as exc:
            raise self._handshake_broken() from exc
        except ssl.SSLError as exc:
            raise TLSError(tls_problem(exc, f"{self.host} port {self.port}", agreed)) from exc
        except OSError as exc:
            raise self._handshake_broken() from exc
        self.encrypted = True

    def _handshake_broken(self) -> NetworkError:
        return NetworkError(f"the TLS handshake with {self.host} port {self.port} broke off")

    def read(self, deadline: Deadline, expected: int = 0) -> bytes:
        """What has come, at least one byte; none at the end of the stream.

        :param expected: bytes that are sure to come: up to 64 kB of them are gathered first. Dovecot cuts
            its TLS records as small as 4 kB, and whoever takes the pieces has some work with each.
        """
        data = self._receive(deadline, flowing=bool(expected))
        missing = min(expected, _READ_SIZE) - len(data)
        if missing <= 0 or not data:
            return data
        pieces = [data]
        while missing > 0 and pieces[-1]:
            pieces.append(self._receive(deadline, flowing=True))
            missing -= len(pieces[-1])
        return b"".join(pieces)

    def _receive(self, deadline: Deadline, *, flowing: bool) -> bytes:
        try:
            if _QUICK_ACK is not None and not flowing:
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
            self._socket.settimeout(deadline.remaining())
            data = self._socket.recv(_READ_SIZE)
        except TimeoutError as exc:
            raise deadline.error() from exc
        except OSError as exc:
            raise NetworkError(f"{deadline.step}: the connection broke") from exc
        deadline.moved(len(data))
        return data

    def write(self, data: bytes, deadline: Deadline) -> None:
        """Hand all of `data` to the network."""
        view = memoryview(data)
        try:
            while view:
                self._socket.settimeout(deadline.remaining())
                sent = self._socket.send(view[:_WRITE_SIZE])
                deadline.moved(sent)
                view = view[sent:]
        except TimeoutError as exc:
            raise deadline.error() from exc
        except OSError as exc:
            raise NetworkError(f"{deadline.step}: the connection broke") from exc

    def fileno(self) -> int:
        """The socket's number, for an event loop to watch."""
        return self._socket.fileno()

    def read_now(self) -> bytes | None:
        """What has come, without waiting; None when nothing has, nothing (b"") at the end of the stream."""
        try:
            self._socket.settimeout(0)
            data = self._socket.recv(_TLS_RECORD)
            # What is decrypted already makes no socket readable. A record of TLS fits into one read, so that
            # this finds something only where that should ever change.
            while isinstance(self._socket, ssl.SSLSocket) and (pending := self._socket.pending()):
                data += self._socket.recv(pending)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None  # also half a record of TLS
        except OSError as exc:
            raise NetworkError(f"the connection to {self.host} port {self.port} broke") from exc
        return data

    def write_now(self, data: bytes) -> None:
        """Hand a few bytes to the network if it takes them without waiting; never raises."""
        with suppress(OSError):
            self._socket.settimeout(0)
            self._socket.send(data)

    def interrupt(self) -> None:
        """End the connection but keep its socket, from any thread; a call that waits in another one ends."""
        _shut_down(self._socket)

    def close(self) -> None:
        """Close at once, from any thread; a call that waits in another one ends."""
        self.interrupt()
        self._socket.close()


def _shut_down(sock: socket.socket) -> None:
    with suppress(OSError):  # the other side was faster
        _SHUT_DOWN(sock, socket.SHUT_RDWR)


def _resolve(host: str, port: int, deadline: Deadline) -> list[_AddressInfo]:
    """Addresses of a host. getaddrinfo knows no time-out, so it waits in a thread of its own."""
    answer: queue.SimpleQueue[list[_AddressInfo] | OSError | UnicodeError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))  # type: ignore[arg-type]
        except (OSError, UnicodeError) as exc:
            answer.put(exc)

    threading.Thread(target=ask, name=f"resolve {host}", daemon=True).start()
    on_cut(lambda: answer.put(OSError("cut")))
    try:
        result = answer.get(timeout=deadline.remaining())
    except queue.Empty:
        raise deadline.error() from None
    if isinstance(result, Exception):
        raise ConnectError(f"no address found for host {host!r}: check its spelling and the DNS") from result
    return result
