"""The fault proxy, between the standard library's clients and the embedded servers."""

from __future__ import annotations

import contextlib
import imaplib
import smtplib
import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.servers.certificates import client_context
from tests.servers.faultproxy import Fault, FaultProxy

if TYPE_CHECKING:
    from tests.servers.base import MailServers
    from tests.servers.certificates import Certificate

_TIMEOUT = 10


def test_proxy_passes_and_remembers(embedded: MailServers) -> None:
    """Without a fault the proxy is not noticed, but sees all."""
    with FaultProxy(embedded.smtp_port) as proxy:
        with smtplib.SMTP("127.0.0.1", proxy.port, timeout=_TIMEOUT) as smtp:
            smtp.ehlo("me")
        assert proxy.connections == 1
        assert proxy.seen_from_client == b"ehlo me\r\nQUIT\r\n"
        assert proxy.seen_from_server.startswith(b"220 ")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("cut", when=rb"NOOP"), imaplib.IMAP4.abort),
        (Fault("reset", when=rb"NOOP", pass_on=False), OSError),
        (Fault("stall", when=rb"NOOP"), TimeoutError),
        (Fault("halfopen", when=rb"NOOP"), TimeoutError),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_proxy_breaks(embedded: MailServers, fault: Fault, error: type[Exception]) -> None:
    """Each way to break a connection looks to the client as it should; once healed, the proxy works again."""
    with FaultProxy(embedded.imap_port) as proxy:
        proxy.fault = fault
        imap = imaplib.IMAP4("127.0.0.1", proxy.port, timeout=0.5)
        with pytest.raises(error):
            imap.noop()
        imap.shutdown()
        assert fault.hits == 1
        proxy.fault = None
        with imaplib.IMAP4("127.0.0.1", proxy.port, timeout=_TIMEOUT) as healed:
            assert healed.noop()[0] == "OK"
        assert proxy.connections == 2


def test_proxy_hurts(embedded: MailServers, certificate: Certificate) -> None:
    """Slow, late, wrong, cut after a number of bytes, refused; and all that inside TLS."""
    trust = client_context(certificate.chain.with_name("ca.pem"))
    with FaultProxy(embedded.smtp_port, certificate=certificate) as proxy:

        def greeting() -> bytes:
            with socket.create_connection(("127.0.0.1", proxy.port), _TIMEOUT) as plain:
                connection = trust.wrap_socket(plain, server_hostname="localhost")
                with connection, connection.makefile("rb") as lines:
                    return lines.readline()

        whole = greeting()
        begin = time.monotonic()
        for fault in (Fault("slow", rate=200), Fault("delay", seconds=0.1)):
            proxy.fault = fault
            assert greeting() == whole
        assert time.monotonic() - begin > 0.2
        proxy.fault = Fault("corrupt", side="server", once=True)
        assert greeting() != whole == greeting()
        proxy.fault = Fault("cut", side="server", after=3)
        assert greeting() == whole[:3]
        proxy.fault = Fault("refuse")
        with contextlib.suppress(OSError):  # Python's ssl shows an RST as an end (b"") now and then
            assert greeting() == b""
        assert proxy.fault.hits == 1
