"""The IMAP half of the embedded servers: pymap with its in-memory store.

Quirks of pymap 0.36.7 that a client or a contract suite meets are listed in ``embedded``. For Python 3.10
see ``embedded_imap_310``.
"""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING
from uuid import uuid4

from proxyprotocol.result import ProxyResultLocal
from proxyprotocol.sock import SocketInfo
from pymap.backend.dict import Config, Identity, Login
from pymap.concurrent import Subsystem
from pymap.imap import IMAPServer
from pymap.parsing.message import AppendMessage
from pymap.user import Passwords, UserMetadata
from pysasl.hashing import BuiltinHash

from tests.servers.base import HOST
from tests.servers.embedded_streams import StreamPorts

if TYPE_CHECKING:
    import asyncio
    import ssl
    from collections.abc import Mapping

__all__ = ["ImapStore"]


class _Config(Config):
    """pymap's settings, without a look-up of this host's name for each greeting."""

    @property
    def greeting(self) -> bytes:
        """The text of the first line."""
        return b"test server ready"


class ImapStore:
    """The mailboxes, and the two ports that show them."""

    def __init__(self, users: Mapping[str, str], context: ssl.SSLContext) -> None:
        """Make empty mailboxes.

        :param users: password by login.
        """
        self._users = users
        self._context = context
        self._login = Login(self._config(starttls=True))
        self._ports = StreamPorts()

    async def start(self) -> tuple[int, int]:
        """Begin to listen and return the port with STARTTLS and the one with implicit TLS."""
        passwords = Passwords(self._login.config)
        for login, password in self._users.items():
            hashed = await passwords.hash_password(password)
            self._login.users_dict[login] = UserMetadata(self._login.config, login, password=hashed)
        plain = await self._listen(self._login.config, None)
        return plain, await self._listen(self._config(starttls=False), self._context)

    async def stop(self) -> None:
        """Stop listening and drop all clients, whatever they are doing."""
        self._ports.close()

    async def deliver(self, login: str, raw: bytes) -> None:
        """Put a message into a user's INBOX; clients in IDLE hear of it."""
        async with Identity(login, self._login, None, frozenset()).new_session() as session:
            await session.append_messages("INBOX", [AppendMessage(raw)])

    def _config(self, *, starttls: bool) -> _Config:
        return _Config(
            Namespace(passlib_cfg=None, proxy_protocol=None),
            demo_data=False,
            demo_user="",
            demo_password="",
            host=HOST,
            port=0,
            ssl_context=self._context,
            tls_enabled=starttls,
            # Quick and good enough. Not pysasl's Cleartext: it cannot compare passwords that are not ASCII.
            hash_context=BuiltinHash(rounds=1),
            cpu_subsystem=Subsystem.for_asyncio(),
            invalid_user_sleep=0.0,
        )

    async def _listen(self, config: Config, context: ssl.SSLContext | None) -> int:
        imap = IMAPServer(self._login, config)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await imap(reader, writer, SocketInfo.get(writer, ProxyResultLocal(), unique_id=uuid4().bytes))

        return await self._ports.listen(serve, context)
