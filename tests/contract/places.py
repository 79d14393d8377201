"""A mailbox under test, and the way to put mails into it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_email_conn.backends.graph.mailbox import GraphMailbox
from airflow_email_conn.backends.imap.mailbox import ImapMailbox
from airflow_email_conn.backends.memory import MemoryMailbox
from airflow_email_conn.backends.pop3.mailbox import Pop3Mailbox
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.model.server import Credential, Server
from tests.contract.mails import RECEIVED
from tests.contract.signedin import CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from airflow_email_conn.backends.base import Mailbox
    from airflow_email_conn.model.message import MailRef
    from tests.servers.base import MailboxServers, Pop3Servers
    from tests.servers.graph.server import GraphServer

__all__ = [
    "GRAPHS",
    "WITH_FOLDERS",
    "Place",
    "graph_mailbox",
    "graph_place_on",
    "graph_server",
    "ignore",
    "imap_server",
    "memory_place",
    "place_on",
    "pop3_place_on",
    "pop3_server",
]


#: The fake Graph: with a token that it handed out itself, which needs no other server; and signed in.
GRAPHS = ("graph", *(f"graph-{credential}" for credential in CREDENTIALS))
#: The places that have folders and flags, as ids; POP3 has neither, which is a test of its own.
WITH_FOLDERS = ("memory", "bed", "cyrus", "embedded", *GRAPHS)


class Place:
    """A mailbox under test and the way to put mails into it.

    :param kind: which one: its test id, of Graph without the credential.
    """

    def __init__(self, mailbox: Mailbox, append: Callable[..., Any], kind: str) -> None:
        self.mailbox = mailbox
        self.append = append
        self.kind = kind

    def only(self, **filters: Any) -> Any:
        """The one mail that matches."""
        found = list(self.mailbox.search(MailQuery(**filters)))
        assert len(found) == 1
        return found[0]

    def flags(self) -> dict[MailRef, tuple[bool, bool]]:
        """Flags of every mail of every folder."""
        return {
            mail.ref: (mail.seen, mail.flagged)
            for folder in self.mailbox.folders()
            if folder.selectable
            for mail in self.mailbox.search(MailQuery(), folder=folder.name)
        }


class Pop3Place(Place):
    """A POP3 mailbox, which shows what was there when it was opened: new mails are in the next one.

    :param append: by IMAP, since POP3 has no way to do so.
    """

    def __init__(self, server: Server, append: Callable[..., Any], kind: str) -> None:
        self._server = server
        self._append = append
        self._opened: Pop3Mailbox | None = None
        self.kind = kind

    @property
    def mailbox(self) -> Mailbox:  # type: ignore[override]
        """The one that is open, or a new one."""
        if self._opened is None:
            self._opened = Pop3Mailbox.open(self._server, ignore)
        return self._opened

    def append(self, *arguments: Any, **keywords: Any) -> None:  # type: ignore[override]
        """Put a mail into it; what was opened before is closed."""
        self.close()
        self._append(*arguments, **keywords)

    def close(self) -> None:
        """Close what is open."""
        if self._opened:
            self._opened.close()
        self._opened = None


def pop3_server(servers: Pop3Servers, login: str, **changes: Any) -> Server:
    """The settings that reach a user's mailbox by POP3 over verified TLS."""
    return imap_server(servers, login, **{"protocol": "pop3", "port": servers.pop3s_port, **changes})


def imap_server(servers: MailboxServers, login: str, **changes: Any) -> Server:
    """The settings that reach a user's mailbox over verified TLS."""
    return Server(
        **{
            "protocol": "imap",
            "host": "localhost",
            "port": servers.imaps_port,
            "credential": Credential("secret", login, servers.users[login]),
            "timeout": 10.0,
            "ca_certificates": str(servers.ca),
            **changes,
        }
    )


def graph_server(graph: GraphServer, login: str, **changes: Any) -> Server:
    """The settings that reach a user's mailbox by Graph, as somebody who has signed in."""
    return Server(
        **{
            "protocol": "graph",
            "host": "localhost",
            "port": graph.port,
            "url": graph.url,
            "credential": Credential("bearer", login, graph.token(login)),
            "timeout": 10.0,
            "ca_certificates": str(graph.ca),
            **changes,
        }
    )


def graph_mailbox(graph: GraphServer, login: str, **changes: Any) -> GraphMailbox:
    """A user's mailbox, open, with new tokens as often as they are wanted."""

    def renew(_claims: str) -> Credential:
        return Credential("bearer", login, graph.token(login))

    return GraphMailbox.open(graph_server(graph, login, **changes), ignore, renew)


def ignore(_step: str) -> None:
    """Nobody is told of the steps."""


@contextmanager
def place_on(servers: MailboxServers) -> Iterator[Place]:
    """The empty mailbox of the servers' first user."""
    login = next(iter(servers.users))
    servers.empty(login)

    def append(
        raw: bytes,
        when: datetime = RECEIVED,
        *,
        folder: str = "INBOX",
        seen: bool = False,
        flagged: bool = False,
        answered: bool = False,
    ) -> None:
        flags = _names(seen=seen, flagged=flagged, answered=answered)
        servers.append(login, raw, folder, flags, when)

    with ImapMailbox.open(imap_server(servers, login), ignore) as mailbox:
        yield Place(mailbox, append, servers.name)


@contextmanager
def pop3_place_on(servers: Pop3Servers) -> Iterator[Place]:
    """The empty mailbox of the servers' first user, by POP3."""
    login = next(iter(servers.users))
    servers.empty(login)

    def append(raw: bytes, when: datetime = RECEIVED, **flags: bool) -> None:
        servers.append(login, raw, "INBOX", _names(**flags), when)

    place = Pop3Place(pop3_server(servers, login), append, f"{servers.name}-pop3")
    try:
        yield place
    finally:
        place.close()


@contextmanager
def graph_place_on(graph: GraphServer, opened: Mailbox) -> Iterator[Place]:
    """The empty mailbox of the fake's first user.

    :param opened: the same; closed in the end.
    """
    login = next(iter(graph.users))

    def append(
        raw: bytes, when: datetime = RECEIVED, *, folder: str = "INBOX", answered: bool = False, **flags: bool
    ) -> None:
        message = graph.append(login, raw, folder, _names(**flags), when)
        if answered:  # [MS-OXOMSG] PidTagLastVerbExecuted: answered to the sender
            message.properties["integer 0x1081"] = "102"

    with opened:
        yield Place(opened, append, graph.name)


def _names(**flags: bool) -> str:
    """Flags as IMAP writes them."""
    return " ".join(f"\\{name.title()}" for name, on in flags.items() if on)


def memory_place() -> Place:
    """An empty mailbox in memory."""
    memory = MemoryMailbox("\\Archive", "\\Trash")

    def append(raw: bytes, when: datetime = RECEIVED, **where: Any) -> None:
        memory.append(raw, received=when, **where)

    return Place(memory, append, "memory")
