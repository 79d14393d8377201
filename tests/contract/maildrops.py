"""A POP3 server of a test's own, with mails and manners; and mailboxes on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_email_conn.backends.pop3.mailbox import Pop3Mailbox
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.model.server import Credential, Server
from tests.contract.places import ignore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.servers.base import Pop3Servers
    from tests.servers.scripted import Conversation, ScriptedServer

__all__ = ["MAIL", "OFFERS", "Maildrops", "at", "filled", "found"]

MAIL = b"Received: from a by b; Sat, 14 Mar 2026 09:26:53 +0000\r\nSubject: %b\r\n\r\nbody\r\n"
OFFERS = b"TOP\r\nUIDL\r\nPIPELINING\r\n"


class Maildrops:
    """A POP3 server with the same mails in each session, and manners of its own.

    :param mails: by UIDL; deleted ones are gone in the next session.
    :param answers: first words of a command in upper case to what is answered instead; the longest match.
    :param offers: the lines of CAPA, or None for a server older than that.
    """

    def __init__(
        self,
        mails: Mapping[str, bytes] | None = None,
        answers: Mapping[bytes, bytes] | None = None,
        offers: bytes | None = OFFERS,
    ) -> None:
        """Begin with these mails."""
        self.mails = dict(mails if mails is not None else {n: MAIL % n.encode() for n in ("a", "b", "c")})
        self.answers = dict(answers or {})
        self.offers = offers
        #: Each command, of all sessions.
        self.commands: list[bytes] = []

    def __call__(self, talk: Conversation) -> None:
        """Hold one session."""
        listed = list(self.mails.items())
        marked: set[str] = set()
        talk.send(b"+OK ready\r\n")
        while line := talk.readline().rstrip(b"\r\n"):
            self.commands.append(line)
            fitting = [begin for begin in self.answers if line.startswith(begin)]
            if fitting:
                talk.send(self.answers[max(fitting, key=len)])
                continue
            verb, _, rest = line.partition(b" ")
            if verb == b"DELE":
                marked.add(listed[int(rest) - 1][0])
            if verb == b"RSET":
                marked.clear()
            talk.send(self.answer(verb, rest, listed))
            if verb == b"QUIT":
                for uid in marked:
                    del self.mails[uid]
                return

    def answer(self, verb: bytes, rest: bytes, listed: list[tuple[str, bytes]]) -> bytes:
        """The right answer."""
        numbers = list(enumerate(listed, 1))
        if verb == b"CAPA":
            return b"-ERR what?\r\n" if self.offers is None else b"+OK\r\n" + self.offers + b"USER\r\n.\r\n"
        if verb == b"UIDL":
            return b"+OK\r\n" + b"".join(b"%d %b\r\n" % (n, u.encode()) for n, (u, _) in numbers) + b".\r\n"
        if verb == b"LIST":
            return b"+OK\r\n" + b"".join(b"%d %d\r\n" % (n, len(raw)) for n, (_, raw) in numbers) + b".\r\n"
        if verb in {b"TOP", b"RETR"}:
            raw = listed[int(rest.split()[0]) - 1][1]
            body = raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if verb == b"TOP" else raw
            return b"+OK\r\n" + (b"\r\n" + body).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"
        return b"+OK\r\n"

    def verbs(self) -> list[str]:
        """The verbs of all commands but those of opening a session."""
        opening = {"CAPA", "USER", "PASS", "LIST", "UIDL"}
        return [v for c in self.commands if (v := c.split()[0].decode()) not in opening]


def at(server: ScriptedServer, **changes: Any) -> Pop3Mailbox:
    """A mailbox there."""
    settings = {"credential": Credential("secret", "ann", "s3cret-pw"), "timeout": 2.0, **changes}
    return Pop3Mailbox.open(Server("pop3", "127.0.0.1", server.port, "none", **settings), ignore)


def found(server: ScriptedServer, **filters: Any) -> list[Any]:
    """What a search there finds."""
    with at(server) as mailbox:
        return list(mailbox.search(MailQuery(**filters)))


def filled(servers: Pop3Servers, *mails: bytes) -> str:
    """The first user, whose mailbox holds these mails."""
    login = next(iter(servers.users))
    servers.empty(login)
    for raw in mails:
        servers.append(login, raw)
    return login
