"""The fake over https, in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from tests.servers.base import HOST
from tests.servers.graph.app import App
from tests.servers.graph.blobs import Blob
from tests.servers.graph.faults import Fault, Faults
from tests.servers.graph.site import Site
from tests.servers.graph.tokens import ALL_PERMISSIONS, Token, Tokens
from tests.servers.loopthread import LoopThread

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from tests.servers.certificates import Certificate
    from tests.servers.graph.behaviours import Behaviour
    from tests.servers.graph.delta import Loss
    from tests.servers.graph.items import Message
    from tests.servers.graph.mailbox import Mailbox
    from tests.servers.graph.mime import Attachment
    from tests.servers.graph.site import Seen, Sent

__all__ = ["GraphServer", "running_graph"]

#: Mails below are read when they are put there, and not when a client waits for its answer.
_READ_AT_ONCE = 64 * 1024


class GraphServer:
    """A running fake; ``running_graph`` makes one.

    :param port: of the service; uploads go to another.
    :param users: password by login, as other servers have them; a login is an address.
    """

    name = "graph"

    def __init__(
        self,
        site: Site,
        faults: Faults,
        port: int,
        users: Mapping[str, str],
        ca: Path,
        certificate: Certificate,
    ) -> None:
        self.site = site
        self.faults = faults
        self.port = port
        self.users = users
        self.ca = ca
        self.certificate = certificate
        #: The service root, for ``graph_url`` of a connection: without ``/v1.0``.
        self.url = f"https://localhost:{port}"

    # ------------------------------------------------------------- tokens

    def token(
        self,
        login: str | None = None,
        permissions: Collection[str] = ALL_PERMISSIONS,
        seconds: float = 3600,
    ) -> str:
        """An access token.

        :param login: whose; None for an application's, which opens every mailbox.
        :param seconds: when it ends, from now; a negative one has ended.
        """
        return self.site.tokens.issue(login, permissions, seconds)

    def challenge(self, login: str = "") -> None:
        """From now on, tokens that were handed out before meet a claims challenge.

        :param login: whose tokens; empty for all.
        """
        self.site.tokens.challenged[login] = time.time()

    # ---------------------------------------------------------- mailboxes

    def mailbox(self, login: str) -> Mailbox:
        """The state of a mailbox; hold ``site.lock`` to change it."""
        with self.site.lock:
            self.site.do_what_is_due()
            return self.site.mailboxes[login.casefold()]

    def append(
        self,
        login: str,
        raw: bytes,
        folder: str | list[str] = "INBOX",
        flags: str = "",
        when: datetime | None = None,
    ) -> Message:
        r"""Put a mail into a folder, which is made when it is missing.

        :param folder: a path with ``/``, or its names as a list; the first may be well-known.
        :param flags: of IMAP: ``\Seen`` and ``\Flagged``; others mean nothing here.
        :param when: receivedDateTime, with a time zone; None for now.
        """
        with self.site.lock:
            mailbox = self.mailbox(login)
            message = mailbox.add(mailbox.folder_at(folder), Blob([raw]), when)
            message.is_read = "\\seen" in flags.lower()
            if len(raw) < _READ_AT_ONCE:
                message.read()
            message.flag = "flagged" if "\\flagged" in flags.lower() else "notFlagged"
            return message

    def attach(self, login: str, message: Message, attachment: Attachment) -> None:
        """Add an attachment to a mail: one that is large, or an item, or a reference."""
        with self.site.lock:
            message.added.append(attachment)
            self.mailbox(login).changed(message)

    def empty(self, login: str) -> None:
        """Delete all mails and all folders of a user but the well-known ones."""
        with self.site.lock:
            self.mailbox(login).empty()

    def messages(self, login: str, folder: str = "INBOX") -> list[Message]:
        """The mails of a folder, in the order in which they came into it."""
        with self.site.lock:
            return list(self.mailbox(login).folder_at(folder).messages.values())

    # ------------------------------------------------- what came, and went

    @property
    def requests(self) -> Sequence[Seen]:
        """What came since the last reset."""
        return self.site.requests

    @property
    def sent(self) -> Sequence[Sent]:
        """What was accepted for sending since the last reset."""
        return self.site.sent

    @property
    def violations(self) -> list[str]:
        """What broke the schema since the last reset."""
        return self.site.violations

    def peak(self, login: str) -> int:
        """The most requests that were in flight at one time for a mailbox, since the last reset."""
        return self.site.peak[login.casefold()]

    # --------------------------------------------------------- misbehaving

    def fault(self, match: str, **how: object) -> Fault:
        """Let something go wrong; see `Fault`."""
        return self.faults.add(Fault(match, **how))  # type: ignore[arg-type]

    @contextlib.contextmanager
    def without(self, *behaviours: Behaviour) -> Iterator[None]:
        """Take behaviours out for a while."""
        before = set(self.site.off)
        self.site.off |= set(behaviours)
        try:
            yield
        finally:
            self.site.off = before

    def lose_delta_tokens(self, how: Loss = "410") -> None:
        """All links of delta that were given out are lost."""
        with self.site.lock:
            for started in self.site.rounds.values():
                started.lost = how

    def reset(self) -> None:
        """Begin anew: empty mailboxes, nothing switched off, no faults, nothing seen. Tokens stay."""
        with self.site.lock:
            self.faults.clear()
            self.site.reset()


@contextlib.contextmanager
def running_graph(
    users: Mapping[str, str],
    certificate: Certificate,
    ca: Path,
    ask: Callable[[str], Token | None] | None = None,
) -> Iterator[GraphServer]:
    """Start the fake; in the end stop it.

    :param certificate: good for ``localhost`` and ``127.0.0.1``.
    :param ask: tells of tokens that the fake has not handed out.
    """
    site, faults = Site(users, Tokens(ask)), Faults()
    with LoopThread.running("graph") as loop:
        app = App(site, faults)
        servers = [_Listening(app, certificate) for _ in range(2)]
        app.transports = lambda: {
            address: transport for server in servers for address, transport in server.transports()
        }
        loop.call(_start(servers))
        site.upload_base = f"https://{HOST}:{servers[1].port}"
        try:
            yield GraphServer(site, faults, servers[0].port, users, ca, certificate)
        finally:
            loop.call(_stop(servers))


class _Listening:
    """One port of the fake."""

    def __init__(self, app: App, certificate: Certificate) -> None:
        self._socket = socket.create_server((HOST, 0), backlog=128)
        # asyncio does so only for sockets that say their protocol: else each answer waits 40 ms for an ACK.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = int(self._socket.getsockname()[1])
        config = uvicorn.Config(
            app,
            ssl_certfile=certificate.chain,
            ssl_keyfile=certificate.key,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)

    def transports(self) -> Iterator[tuple[Any, asyncio.Transport]]:
        """Those of the connections, by the client's address."""
        for connection in self._server.server_state.connections:
            assert isinstance(connection, H11Protocol)
            yield connection.client, connection.transport

    async def start(self) -> None:
        """Begin to answer."""
        self._task = asyncio.create_task(self._server.serve([self._socket]))
        while not self._server.started and not self._task.done():  # noqa: ASYNC110 - uvicorn has no event
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """End; whoever is still connected is cut off."""
        for _, transport in list(self.transports()):
            transport.abort()
        self._server.should_exit = True
        await asyncio.wait([self._task], timeout=5)
        self._socket.close()


async def _start(servers: Sequence[_Listening]) -> None:
    for server in servers:
        await server.start()


async def _stop(servers: Sequence[_Listening]) -> None:
    for server in servers:
        await server.stop()
