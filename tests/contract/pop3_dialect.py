"""POP3 for the suites of TLS and of attacks: a server that has one mail."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, cast

from airflow_email_conn.client import open_mailbox
from airflow_email_conn.model.message import MailRef
from airflow_email_conn.model.query import MailQuery
from tests.contract.dialects import Dialect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_email_conn.backends.base import Mailbox, Sender
    from airflow_email_conn.model.settings import EmailSettings
    from tests.contract.dialects import Script
    from tests.servers.base import MailServers, Pop3Servers

__all__ = ["Pop3Dialect"]

_OFFERS = {
    "clear": b"STLS\nSASL PLAIN\nUSER",
    "tls": b"SASL PLAIN\nUSER",
    "signed in": b"TOP\nUIDL\nPIPELINING",
}
_CAPABILITY = {
    "clear": "capabilities",
    "tls": "capabilities in TLS",
    "signed in": "capabilities signed in",
}
# Verb: state, and the answer
_ANSWERS = {
    b"STLS": ("STARTTLS", b"+OK go ahead\r\n"),
    b"AUTH": ("sign in", b"+OK welcome\r\n"),
    b"USER": ("user", b"+OK who is it\r\n"),
    b"PASS": ("sign in", b"+OK welcome\r\n"),
    b"LIST": ("list", b"+OK\r\n1 14\r\n.\r\n"),
    b"UIDL": ("ids", b"+OK\r\n1 seven\r\n.\r\n"),
    b"TOP": ("header", b"+OK\r\nSubject: a\r\n\r\n.\r\n"),
    b"RETR": ("mail", b"+OK\r\nSubject: a\r\n\r\n.\r\n"),
    b"DELE": ("mark", b"+OK marked\r\n"),
    b"QUIT": ("quit", b"+OK bye\r\n"),
}


class Pop3Dialect(Dialect):
    """POP3 (RFC 1939)."""

    name = "pop3"
    states = (
        "greeting",
        "capabilities",
        "STARTTLS",
        "handshake",
        "capabilities in TLS",
        "sign in",
        "capabilities signed in",
        "list",
        "ids",
        "mail",
    )
    opening = states[:7]
    clear = re.compile(rb"(?:(?:CAPA|STLS|QUIT)\r\n)*")
    goodbye = b"-ERR [SYS/TEMP] going down\r\n"

    def port(self, servers: MailServers, security: str) -> int:
        """Return where these servers speak it with this security."""
        speaking = cast("Pop3Servers", servers)
        return speaking.pop3s_port if security == "tls" else speaking.pop3_port

    def open(self, settings: EmailSettings) -> Mailbox:
        """Open a mailbox."""
        return open_mailbox(settings)

    def job(self, opened: Mailbox | Sender) -> None:
        """List the mails."""
        list(cast("Mailbox", opened).search(MailQuery()))

    def calls(self, opened: Mailbox | Sender) -> Sequence[Callable[[], object]]:
        """Everything that can be asked of a mailbox, but for what POP3 has not."""
        mailbox = cast("Mailbox", opened)
        ref = MailRef("INBOX", "seven")
        return (
            lambda: list(mailbox.search(MailQuery())),
            mailbox.position,
            lambda: mailbox.fetch(ref),
            lambda: mailbox.raw(ref),
            lambda: mailbox.save(ref, io.BytesIO()),
            lambda: list(mailbox.fetch_many([ref])),
            lambda: list(mailbox.save_many([ref], lambda _: io.BytesIO())),
            lambda: mailbox.delete(ref),
        )

    def serve(self, script: Script) -> None:
        """Be the server of one session, from the greeting on."""
        script.say("greeting", b"+OK ready <1.2@mail.example.test>\r\n")
        while line := script.conversation.readline():
            verb = line.split()[0].upper()
            if verb == b"CAPA":
                state = _CAPABILITY[script.phase]
                answer = b"+OK\r\n" + script.offer(_OFFERS).replace(b"\n", b"\r\n") + b"\r\n.\r\n"
            else:
                state, answer = _ANSWERS.get(verb, ("other", b"+OK\r\n"))
            if line.upper() == b"AUTH PLAIN\r\n":  # no initial response (RFC 5034 4)
                script.conversation.send(b"+ \r\n")
                script.conversation.readline()
            script.say(state, answer)
            if state == "STARTTLS":
                script.start_tls()
            elif state == "sign in":
                script.phase = "signed in"
            elif state == "quit":
                return
