"""What the fault matrix works on: mails in a folder of their own, and the jobs that are done there."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_email_conn.client import open_mailbox
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.model.settings import EmailSettings
from tests.contract.mails import invoice, plain
from tests.contract.places import ignore, imap_server
from tests.servers.base import HOST
from tests.servers.maildir import make_folder

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_email_conn.backends.base import Mailbox, OnStep
    from airflow_email_conn.model.message import MailRef, MailSummary
    from tests.servers.base import MailboxServers

__all__ = ["CHANGED", "IDS", "JOBS", "Scene"]

IDS = ("<plain-1@acme.com>", "<invoice-2@acme.com>", "<plain-3@acme.com>")
#: How many of them, from the first on, the jobs that change mails do change.
CHANGED = 2
#: A command that was on its way when the connection broke has been carried out after these seconds.
_SETTLED = 2.0


@dataclass
class Scene:
    """Three mails in a folder, and an empty folder beside it; or by POP3 in the INBOX of a user of its own.

    :param mail: where the server keeps its users' Maildirs.
    :param name: of the folder.
    :param host: the server's address.
    :param size: of the attachment of the second mail, in bytes.
    :param protocol: imap or pop3.
    """

    servers: MailboxServers
    mail: Path
    login: str
    name: str
    host: str = HOST
    size: int = 60_000
    protocol: str = "imap"
    refs: list[MailRef] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Put the mails there."""
        self.done = f"{self.name} done"
        attached = random.Random(self.size).randbytes(self.size)
        self.raws = [plain(1), invoice(2, csv=attached), plain(3)]
        make_folder(self.mail, self.login, self.name, self.raws)
        if self.protocol == "imap":
            make_folder(self.mail, self.login, self.done)
        with self.open() as mailbox:
            self.refs = [mail.ref for mail in mailbox.search(MailQuery(), folder=self.name)]
        assert len(self.refs) == len(self.raws)

    def open(self, on_step: OnStep = ignore, **changes: Any) -> Mailbox:
        """Open the mailbox; `changes` are fields of `Server`, such as a proxy's port."""
        changes = {"host": self.host, "port": self.port("none"), "security": "none", **changes}
        server = imap_server(self.servers, self.login, protocol=self.protocol, **changes)
        settings = EmailSettings("standard", server, None, self.login, timeout=server.timeout)
        return open_mailbox(settings, on_step=on_step)

    def port(self, security: str) -> int:
        """The server's port."""
        tls = "s" if security == "tls" else ""
        port: int = getattr(self.servers, f"{self.protocol}{tls}_port")
        return port

    def another(self) -> Scene:
        """One like this beside it."""
        if self.protocol == "imap":
            return replace(self, name=f"{self.name} too", refs=[])
        login = f"too-{self.login}"
        self.servers.users[login] = self.servers.users[self.login]
        return replace(self, login=login, refs=[])

    def left(self, mailbox: Mailbox) -> list[str]:
        """The Message-IDs in the folder."""
        return [mail.message_id for mail in mailbox.search(MailQuery(), folder=self.name)]

    def settle(self, mailbox: Mailbox) -> None:
        """Wait for a move that was on its way when its connection broke.

        On Dovecot, two sessions that move a mail at the same moment leave it twice.
        """
        end = time.monotonic() + _SETTLED
        while len(self.left(mailbox)) > len(IDS) - CHANGED and time.monotonic() < end:
            time.sleep(0.1)

    def found(self, mailbox: Mailbox) -> dict[str, list[MailSummary]]:
        """The mails of both folders by Message-ID, in the order of `IDS`, as a healthy session finds them.

        :raises AssertionError: one is lost.
        """
        end = time.monotonic() + _SETTLED
        while True:
            mails = [
                mail
                for folder in (self.name, self.done)
                for mail in mailbox.search(MailQuery(), folder=folder)
            ]
            found = {wanted: [mail for mail in mails if mail.message_id == wanted] for wanted in IDS}
            # A mail that was moved between the two searches shows twice, in this order of the folders.
            if len(mails) == len(IDS) or time.monotonic() > end:
                assert all(found.values()), found
                return found
            time.sleep(0.1)


Job: TypeAlias = Callable[["Mailbox", Scene], object]


def _search(mailbox: Mailbox, scene: Scene) -> object:
    return [mail.ref for mail in mailbox.search(MailQuery(), folder=scene.name)]


def _save(mailbox: Mailbox, scene: Scene) -> object:
    target = io.BytesIO()
    mailbox.save(scene.refs[1], target)
    return target.getvalue()


def _store(mailbox: Mailbox, scene: Scene) -> object:
    return list(mailbox.mark_seen(scene.refs[:CHANGED]))


def _delete(mailbox: Mailbox, scene: Scene) -> object:
    return list(mailbox.delete(scene.refs[:CHANGED]))


def _move(mailbox: Mailbox, scene: Scene) -> object:
    return list(mailbox.move(scene.refs[:CHANGED], scene.done))


#: By stage: what is done, and what comes of it on a healthy network.
JOBS: dict[str, tuple[Job, Callable[[Scene], object]]] = {
    **dict.fromkeys(("greeting", "TLS", "sign in", "search", "headers"), (_search, lambda scene: scene.refs)),
    "body": (_save, lambda scene: scene.raws[1]),
    "store": (_store, lambda scene: scene.refs[:CHANGED]),
    # By POP3.
    **dict.fromkeys(("list", "top"), (_search, lambda scene: scene.refs)),
    "retr": (_save, lambda scene: scene.raws[1]),
    **dict.fromkeys(("dele", "quit"), (_delete, lambda scene: scene.refs[:CHANGED])),
    **dict.fromkeys(("move", "copy", "mark", "expunge"), (_move, lambda scene: scene.refs[:CHANGED])),
}
