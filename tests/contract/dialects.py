"""What the suites of TLS and of attacks know of a protocol: how it is used, and a server that speaks it well.

Such a server goes through the protocol's states one by one. A test replaces what it does in one of them by a
deed of its own, which is given the right answer to spoil.
"""

from __future__ import annotations

import contextlib
import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from airflow_email_conn.model.server import Credential, Server
from airflow_email_conn.model.settings import EmailSettings
from tests.servers.base import HOST
from tests.servers.scripted import Conversation

if TYPE_CHECKING:
    import ssl

    from airflow_email_conn.backends.base import Mailbox, Sender
    from tests.servers.base import MailServers
    from tests.servers.certificates import Certificate

__all__ = [
    "SECRET",
    "USER",
    "Deed",
    "Dialect",
    "Manners",
    "Script",
    "before_tls",
    "forms_of",
    "handler_of",
    "settings_of",
]

USER, SECRET = "robot@example.test", "hunter2-secret"

#: Given the conversation and the right answer. Unless it returns True, the server says nothing more.
Deed: TypeAlias = Callable[[Conversation, bytes], object]

#: A TLS record of the handshake (RFC 8446 5.1): where the clear text ends on a wire.
_HANDSHAKE = re.compile(rb"\x16\x03[\x00-\x04]")


@dataclass(frozen=True)
class Manners:
    """How a server differs from a good one.

    :param certificate: for TLS; none for a server that is only to speak in clear.
    :param security: `tls` to begin with TLS, `starttls` to offer it, `none`.
    :param deeds: by state, what is done there instead of the right answer.
    :param offers: by phase (`clear`, `tls`, `signed in`), the capabilities announced there; one line each
        where the protocol has it so.
    :param version: the only version of TLS to speak.
    """

    certificate: Certificate | None = None
    security: str = "none"
    deeds: Mapping[str, Deed] = field(default_factory=dict)
    offers: Mapping[str, bytes] = field(default_factory=dict)
    version: ssl.TLSVersion | None = None


class ScriptOver(Exception):  # noqa: N818 - not an error: the deed was done
    """A deed has ended the script."""


class Script:
    """One session of a server, state by state."""

    def __init__(self, conversation: Conversation, manners: Manners) -> None:
        """Begin, with TLS where the manners have it so."""
        self.conversation = conversation
        #: `clear`, `tls`, `signed in`.
        self.phase = "clear"
        self._manners = manners
        if manners.security == "tls":
            self.start_tls()

    def say(self, state: str, answer: bytes) -> None:
        """Give the right answer, or do the deed. :raises ScriptOver: that was all."""
        deed = self._manners.deeds.get(state)
        if deed is None:
            self.conversation.send(answer)
        elif deed(self.conversation, answer) is not True:
            raise ScriptOver

    def start_tls(self) -> None:
        """Shake hands, or do the deed."""
        self.phase = "tls"
        if "handshake" in self._manners.deeds:
            self.conversation.read(1)  # it comes when the client has taken the go-ahead
            self.say("handshake", b"")
        elif self._manners.certificate:
            self.conversation.start_tls(self._manners.certificate, self._manners.version)

    def offer(self, usual: Mapping[str, bytes]) -> bytes:
        """The capabilities of this phase."""
        return self._manners.offers.get(self.phase, usual[self.phase])


class Dialect(Protocol):
    """One protocol."""

    #: As in `Server.protocol`.
    name: str
    #: The states of a session by STARTTLS that does one job, in order.
    states: tuple[str, ...]
    #: Those of them before the one in which the credential goes out, and those that are in clear.
    opening: tuple[str, ...]
    #: What a client may say before TLS, as a pattern for all of it.
    clear: re.Pattern[bytes]
    #: The server ends the session.
    goodbye: bytes

    def port(self, servers: MailServers, security: str) -> int:
        """Return where these servers speak it with this security."""
        ...

    def open(self, settings: EmailSettings) -> Mailbox | Sender:
        """Open a mailbox or a sender."""
        ...

    def job(self, opened: Mailbox | Sender) -> None:
        """Do the usual: list the mails, or send one."""
        ...

    def calls(self, opened: Mailbox | Sender) -> Sequence[Callable[[], object]]:
        """Everything that can be asked of it."""
        ...

    def serve(self, script: Script) -> None:
        """Be the server of one session, from the greeting on."""
        ...


def settings_of(dialect: Dialect, port: int, **changes: object) -> EmailSettings:
    """Settings with one server of the protocol; `changes` are fields of `Server`."""
    credential = Credential("secret", USER, SECRET)
    values = {"protocol": dialect.name, "host": HOST, "port": port, "credential": credential, "timeout": 5.0}
    server = Server(**{**values, **changes})  # type: ignore[arg-type]
    sends = dialect.name == "smtp"
    return EmailSettings(
        "standard", None if sends else server, server if sends else None, USER, timeout=server.timeout
    )


def handler_of(dialect: Dialect, manners: Manners) -> Callable[[Conversation], None]:
    """The handler of a `ScriptedServer`."""

    def handler(conversation: Conversation) -> None:
        with contextlib.suppress(ScriptOver):
            dialect.serve(Script(conversation, manners))
        conversation.read_to_end()

    return handler


def before_tls(seen: bytes) -> bytes:
    """What of the bytes on a wire is in clear."""
    start = _HANDSHAKE.search(seen)
    return seen[: start.start()] if start else seen


def forms_of(user: str, secret: str) -> tuple[bytes, ...]:
    """A credential as it may stand on a wire."""
    plain = f"\0{user}\0{secret}"
    return tuple(f(text.encode()) for text in (user, secret, plain) for f in (bytes, b64encode))
