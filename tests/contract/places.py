"""A mailbox under test, and the way to put mails into it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_email_conn.backends.imap.mailbox import ImapMailbox
from airflow_email_conn.backends.memory import MemoryMailbox
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.model.server import Credential, Server
from tests.contract.mails import RECEIVED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from airflow_email_conn.backends.base import Mailbox
    from airflow_email_conn.model.message import MailRef
    from tests.servers.base import MailboxServers

__all__ = ["Place", "ignore", "imap_server", "memory_place", "place_on"]


class Place:
    """A mailbox under test and the way to put mails into it."""

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
    ) -> None:
        flags = " ".join(name for name, on in (("\\Seen", seen), ("\\Flagged", flagged)) if on)
        servers.append(login, raw, folder, flags, when)

    with ImapMailbox.open(imap_server(servers, login), ignore) as mailbox:
        yield Place(mailbox, append, servers.name)


def memory_place() -> Place:
    """An empty mailbox in memory."""
    memory = MemoryMailbox("\\Archive", "\\Trash")

    def append(raw: bytes, when: datetime = RECEIVED, **where: Any) -> None:
        memory.append(raw, received=when, **where)

    return Place(memory, append, "memory")
