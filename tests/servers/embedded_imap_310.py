"""The IMAP half of the embedded servers on Python 3.10, where pymap ends with 0.27.0.

The same as ``embedded_imap``, in the words of the older pymap; goes when Python 3.10 goes.
"""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from pymap.backend.dict import Config, Identity, Login
from pymap.concurrent import Subsystem
from pymap.exceptions import InvalidAuth
from pymap.imap import IMAPServer
from pymap.parsing.message import AppendMessage
from pymap.user import UserMetadata

from tests.servers.base import HOST
from tests.servers.embedded_streams import StreamPorts

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from pysasl.creds import AuthenticationCredentials

__all__ = ["ImapStore"]


class _Config(Config):
    """pymap's settings, without a look-up of this host's name for each greeting."""

    @property
    def greeting(self) -> bytes:
        """The text of the first line."""
        return b"test server ready"


class _User(UserMetadata):
    """A user; pysasl's Cleartext, which is fixed here, cannot compare passwords that are not ASCII."""

    async def check_password(
        self, creds: AuthenticationCredentials, *, token_key: bytes | None = None
    ) -> None:
        """Compare the passwords.

        :raises InvalidAuth: they differ.
        """
        if not creds.has_secret or creds.secret != self.password:
            raise InvalidAuth


class ImapStore:
    """The mailboxes, and the two ports that show them."""

    def __init__(self, users: Mapping[str, str], context: ssl.SSLContext) -> None:
        """Make empty mailboxes.

        :param users: password by login.
        """
        self._context = context
        self._login = Login(self._config(starttls=True))
        self._login.users_dict.update(
            (login, _User(self._login.config, password=password)) for login, password in users.items()
        )
        self._ports = StreamPorts()

    async def start(self) -> tuple[int, int]:
        """Begin to listen and return the port with STARTTLS and the one with implicit TLS."""
        plain = await self._ports.listen(IMAPServer(self._login, self._login.config), None)
        implicit = IMAPServer(self._login, self._config(starttls=False))
        return plain, await self._ports.listen(implicit, self._context)

    async def stop(self) -> None:
        """Stop listening and drop all clients, whatever they are doing."""
        self._ports.close()

    async def deliver(self, login: str, raw: bytes) -> None:
        """Put a message into a user's INBOX; clients in IDLE hear of it."""
        async with Identity(login, self._login, None).new_session() as session:
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
            cpu_subsystem=Subsystem.for_asyncio(),
        )
