"""An authority that misbehaves: a proxy in front of the real one that answers some requests itself.

::

    with FaultyAuthority(authority) as faulty:  # a client's authority is faulty.issuer
        faulty.answers["token"] = Answer(503, headers={"Retry-After": "7"})
        ...
        del faulty.answers["token"]  # heal
"""

from __future__ import annotations

import contextlib
import http.client
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs

from tests.servers.authority import ISSUER_PATH, issuer
from tests.servers.base import HOST
from tests.servers.certificates import client_context

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

    from tests.servers.authority import Authority

__all__ = ["Answer", "FaultyAuthority", "Request", "Step"]

#: What a client asks for, by path.
Step = Literal["discovery", "device_authorization", "token", "introspection", "revocation"]
_STEPS: dict[str, Step] = {
    f"{ISSUER_PATH}/.well-known/openid-configuration": "discovery",
    f"{ISSUER_PATH}/device/auth": "device_authorization",
    f"{ISSUER_PATH}/token": "token",
    f"{ISSUER_PATH}/token/introspection": "introspection",
    f"{ISSUER_PATH}/token/revocation": "revocation",
}
_TIMEOUT = 10
#: Headers that belong to one connection, and the length, which the proxy counts itself.
_OWN_HEADERS = {"connection", "keep-alive", "transfer-encoding", "content-length"}
_STEP_SECONDS = 0.05


@dataclass(frozen=True)
class Answer:
    """What a client gets instead of the authority's answer."""

    status: int = 200
    body: bytes = b""
    #: ``Content-Type`` is JSON unless it stands here.
    headers: Mapping[str, str] = field(default_factory=dict)
    #: ``answer``: status, headers, body. ``close``: the connection ends. ``hang``: nothing comes.
    kind: Literal["answer", "close", "hang"] = "answer"
    #: Bytes a second for the body; None: all at once.
    rate: int | None = None
    #: Whether the authority gets the request all the same; its answer is lost.
    pass_on: bool = False


@dataclass(frozen=True)
class Request:
    """What a client asked for."""

    step: Step
    #: The form of a POST, its first value by name.
    form: Mapping[str, str] = field(repr=False)


class FaultyAuthority:
    """The proxy; a context manager. What it does not answer itself goes to the authority and back.

    Addresses of the authority in what it passes back become its own. It has the authority's certificate.
    """

    def __init__(self, authority: Authority) -> None:
        """Prepare it; entering the context begins to listen."""
        #: What it answers itself, by step.
        self.answers: dict[Step, Answer] = {}
        #: What was asked for, in order.
        self.requests: list[Request] = []
        self.ca = authority.ca
        #: The real authority.
        self.authority = authority
        self._server = _Server(self)
        self.port = int(self._server.server_address[1])
        #: For ``authority`` of a connection, and for MSAL's ``oidc_authority``.
        self.issuer = issuer(self.port)
        #: Ends what hangs or is slow.
        self.ended = threading.Event()

    def count(self, step: Step) -> int:
        """Return how many requests of a kind have come."""
        return sum(request.step == step for request in self.requests)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, faulty: FaultyAuthority) -> None:
        self.faulty = faulty
        super().__init__((HOST, 0), _Handler)
        # Each connection's thread shakes hands, not the one that accepts.
        self.socket = faulty.authority.certificate.server_context().wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that leave are what this is for."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _TIMEOUT

    def do_GET(self) -> None:
        """Answer, or pass on."""
        self._handle()

    def do_POST(self) -> None:
        """Answer, or pass on."""
        self._handle()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def _handle(self) -> None:
        faulty = self.server.faulty
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        step = _STEPS.get(self.path)
        answer = None
        if step is not None:
            form = {name: values[0] for name, values in parse_qs(body.decode("latin-1")).items()}
            faulty.requests.append(Request(step, form))
            answer = faulty.answers.get(step)
        if answer is None:
            self._pass(body)
            return
        if answer.pass_on:
            self._ask(body)
        if answer.kind == "hang":
            faulty.ended.wait()
        elif answer.kind == "answer":
            self._say(
                answer.status,
                {"Content-Type": "application/json", **answer.headers},
                answer.body,
                answer.rate,
            )

    def _pass(self, body: bytes) -> None:
        with contextlib.suppress(OSError):  # it is down: the connection ends without an answer
            status, headers, answer = self._ask(body)
            own, real = (
                f"localhost:{port}".encode()
                for port in (self.server.faulty.port, self.server.faulty.authority.port)
            )
            self._say(status, headers, answer.replace(real, own))

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        # With the client's own Host header: by it the authority makes the addresses in its answers, and knows
        # the audience of assertions.
        authority = self.server.faulty.authority
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _OWN_HEADERS}
        connection = http.client.HTTPSConnection(
            "localhost", authority.port, timeout=_TIMEOUT, context=client_context(authority.ca)
        )
        with contextlib.closing(connection):
            connection.request(self.command, self.path, body if self.command == "POST" else None, headers)
            response = connection.getresponse()
            return response.status, dict(response.headers.items()), response.read()

    def _say(self, status: int, headers: Mapping[str, str], body: bytes, rate: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in _OWN_HEADERS:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        step = len(body) if rate is None else max(1, int(rate * _STEP_SECONDS))
        for start in range(0, len(body), max(1, step)):
            self.wfile.write(body[start : start + step])
            if rate is not None and self.server.faulty.ended.wait(_STEP_SECONDS):
                return
