"""Servers that answer too much, too slowly, or something else: each wait ends, and little memory is taken."""

from __future__ import annotations

import gzip
import time
import tracemalloc
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import pytest

from airflow_email_conn.backends.graph.session import GraphSession
from airflow_email_conn.errors import (
    DeadlineError,
    EmailError,
    NetworkError,
    ProtocolError,
    UnavailableError,
)
from airflow_email_conn.model.server import Credential, Server
from tests.graph.opening import MAILBOX
from tests.servers.scripted import Conversation, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.graph.server import GraphServer

_OK: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_GIGABYTE: Final = 1024**3
_SPACES: Final = b" " * 1024 * 1024
_PATH: Final = "/mailFolders/inbox"


@contextmanager
def answering(graph: GraphServer, answer: Callable[[Conversation], object]) -> Iterator[GraphSession]:
    """A session with a server that answers every request in one way."""

    def converse(conversation: Conversation) -> None:
        with suppress(OSError):  # the client has seen enough
            while conversation.readline().strip():
                pass
            answer(conversation)

    with ScriptedServer(converse, graph.certificate, seconds=30.0) as server:
        url = f"https://localhost:{server.port}"
        credential = Credential("bearer", MAILBOX, "t")
        setting = Server(
            "graph",
            "localhost",
            server.port,
            credential=credential,
            url=url,
            ca_certificates=str(graph.ca),
            timeout=1.0,
        )
        session = GraphSession(setting, lambda _: credential)
        yield session
        session.close()


def said(answer: bytes) -> Callable[[Conversation], object]:
    """Says it, and hangs up."""
    return lambda conversation: conversation.send(answer)


def flood(head: bytes, piece: bytes = _SPACES, size: int = _GIGABYTE) -> Callable[[Conversation], object]:
    """Says the same thing again and again."""

    def send(conversation: Conversation) -> None:
        conversation.send(head)
        for _ in range(size // len(piece)):
            conversation.send(piece)

    return send


def drip(head: bytes) -> Callable[[Conversation], object]:
    """Says a byte every 0.3 seconds."""

    def send(conversation: Conversation) -> None:
        conversation.send(head)
        while True:
            conversation.send(b" ")
            time.sleep(0.3)

    return send


#: What is told of a gigabyte: the length of a good answer, or of an error, or none.
FLOODS: Final = {
    "length": flood(_OK + b"Content-Length: %d\r\n\r\n" % _GIGABYTE),
    "no length": flood(_OK + b"\r\n"),
    "chunks": flood(_OK + b"Transfer-Encoding: chunked\r\n\r\n", b"100000\r\n" + _SPACES + b"\r\n"),
    "error": flood(b"HTTP/1.1 400 Bad\r\nContent-Length: %d\r\n\r\n" % _GIGABYTE),
    "fields": flood(_OK, b"X-Field: " + b"x" * 1000 + b"\r\n"),
    "one field": flood(_OK + b"X: ", b"x" * 65536),
    "nothing but interim": flood(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_floods(graph: GraphServer, kind: str) -> None:
    """A gigabyte is not read, still less held."""
    with answering(graph, FLOODS[kind]) as session:
        tracemalloc.start()
        begin = time.monotonic()
        try:
            with pytest.raises((ProtocolError, NetworkError)):
                session.get(_PATH)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert time.monotonic() - begin < 15
    assert peak < 160 * 1024**2  # a JSON answer may have 64 MB
    assert kind in {"length", "no length", "chunks"} or peak < 8 * 1024**2


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200", _OK + b"\r\n", b"HTTP/1.1 503 No\r\nContent-Length: 99\r\n\r\n"]
)
def test_drips(graph: GraphServer, head: bytes) -> None:
    """A byte now and then is no progress: each of the tries ends by the timeout."""
    with answering(graph, drip(head)) as session:
        begin = time.monotonic()
        with pytest.raises(DeadlineError):
            session.get(_PATH)
    assert time.monotonic() - begin < 4 * 1.0 + 5


def test_drip_of_bytes(graph: GraphServer) -> None:
    """Of a file as of an answer; what has come is passed on before."""
    came: list[int] = []

    def read(session: GraphSession) -> None:
        with session.stream(_PATH) as pieces:
            came.extend(map(len, pieces))

    with answering(graph, drip(_OK + b"\r\n" + _SPACES)) as session, pytest.raises(DeadlineError):
        read(session)
    assert len(_SPACES) <= sum(came) < len(_SPACES) + 10


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", NetworkError),
        (b"\x00" * 5000, NetworkError),
        (b"220 mail.example.test ESMTP\r\n", NetworkError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}", NetworkError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", NetworkError),
        (_OK + b"Content-Length: 100\r\n\r\n{}", NetworkError),
        (_OK + b"\r\n{", ProtocolError),
        (_OK + b"\r\n" + b"[" * 100_000, ProtocolError),
        (_OK + b'\r\n{"a": ' + b"1" * 100_000 + b"}", ProtocolError),
        (_OK + b"\r\n\xff\xfe{}", ProtocolError),
        (_OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"{}", mtime=0), ProtocolError),
        (
            b"HTTP/1.1 302 Found\r\nLocation: https://evil.example.test/\r\nContent-Length: 0\r\n\r\n",
            EmailError,
        ),
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", UnavailableError),
        (b"HTTP/1.1 503 No\r\nRetry-After: 99999999999\r\nContent-Length: 0\r\n\r\n", UnavailableError),
        (b"HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n", EmailError),
    ],
)
def test_nonsense(graph: GraphServer, answer: bytes, error: type[EmailError]) -> None:
    """An error of ours, whatever comes; nobody is followed anywhere."""
    with answering(graph, said(answer)) as session, pytest.raises(error) as caught:
        session.get(_PATH)
    assert "evil" not in str(caught.value)
