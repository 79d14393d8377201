"""IMAP for the suites of TLS and of attacks: a server that has one mail."""

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
    from tests.servers.base import MailServers
    from tests.servers.scripted import Conversation

__all__ = ["ImapDialect"]

_OFFERS = {
    "clear": b"IMAP4rev1 STARTTLS AUTH=PLAIN SASL-IR",
    "tls": b"IMAP4rev1 AUTH=PLAIN SASL-IR",
    "signed in": b"IMAP4rev1 UIDPLUS MOVE",
}
_CAPABILITY = {"clear": "capability", "tls": "capability in TLS", "signed in": "capability signed in"}
# Verb: state, and the answer
_ANSWERS = {
    b"STARTTLS": ("STARTTLS", b"%t OK go ahead\r\n"),
    b"AUTHENTICATE": ("sign in", b"%t OK welcome\r\n"),
    b"LOGIN": ("sign in", b"%t OK welcome\r\n"),
    b"EXAMINE": ("select", b"* OK [UIDVALIDITY 1] ok\r\n%t OK [READ-ONLY] done\r\n"),
    b"SELECT": ("select", b"* OK [UIDVALIDITY 1] ok\r\n%t OK [READ-WRITE] done\r\n"),
    b"SEARCH": ("search", b"* SEARCH 7\r\n%t OK done\r\n"),
    b"FETCH": (
        "fetch",
        b"* 1 FETCH (UID 7 BODY[HEADER.FIELDS (SUBJECT)] {14}\r\nSubject: a\r\n\r\n)\r\n%t OK done\r\n",
    ),
    b"LOGOUT": ("logout", b"* BYE see you\r\n%t OK done\r\n"),
}
_LITERAL = re.compile(rb"\{(\d+)(\+?)\}\r\n$")


class ImapDialect(Dialect):
    """IMAP (RFC 9051)."""

    name = "imap"
    states = (
        "greeting",
        "capability",
        "STARTTLS",
        "handshake",
        "capability in TLS",
        "sign in",
        "capability signed in",
        "select",
        "search",
        "fetch",
    )
    opening = states[:7]
    clear = re.compile(rb"(?:A\d+ (?:CAPABILITY|STARTTLS|LOGOUT)\r\n)*")
    goodbye = b"* BYE going down\r\n"

    def port(self, servers: MailServers, security: str) -> int:
        """Return where these servers speak it with this security."""
        return servers.imaps_port if security == "tls" else servers.imap_port

    def open(self, settings: EmailSettings) -> Mailbox:
        """Open a mailbox."""
        return open_mailbox(settings)

    def job(self, opened: Mailbox | Sender) -> None:
        """List the mails."""
        list(cast("Mailbox", opened).search(MailQuery()))

    def calls(self, opened: Mailbox | Sender) -> Sequence[Callable[[], object]]:
        """Everything that can be asked of a mailbox."""
        mailbox = cast("Mailbox", opened)
        ref = MailRef("INBOX", "7", "1")
        return (
            mailbox.folders,
            lambda: mailbox.create_folder("x"),
            lambda: list(mailbox.search(MailQuery())),
            lambda: mailbox.fetch(ref),
            lambda: mailbox.raw(ref),
            lambda: mailbox.save(ref, io.BytesIO()),
            lambda: mailbox.mark_seen(ref),
            lambda: mailbox.flag(ref),
            lambda: mailbox.change_keywords(ref, add=["x"]),
            lambda: mailbox.copy(ref, "x"),
            lambda: mailbox.move(ref, "x"),
            lambda: mailbox.delete(ref),
        )

    def serve(self, script: Script) -> None:
        """Be the server of one session, from the greeting on."""
        script.say("greeting", b"* OK ready\r\n")
        while command := read_command(script.conversation):
            tag, verb, *more = command.split()
            verb = more[0] if verb == b"UID" else verb
            if verb == b"CAPABILITY":
                state = _CAPABILITY[script.phase]
                answer = b"* CAPABILITY " + script.offer(_OFFERS) + b"\r\n%t OK done\r\n"
            else:
                state, answer = _ANSWERS.get(verb, ("other", b"%t OK done\r\n"))
            if verb == b"AUTHENTICATE" and len(more) == 1:  # no initial response (RFC 4959)
                script.conversation.send(b"+ \r\n")
                script.conversation.readline()
            script.say(state, answer.replace(b"%t", tag))
            if state == "STARTTLS":
                script.start_tls()
            elif state == "sign in":
                script.phase = "signed in"
            elif state == "logout":
                return


def read_command(conversation: Conversation) -> bytes:
    """The next command with its literals; literals that wait for it get the go-ahead."""
    line = conversation.readline()
    command = line
    while literal := _LITERAL.search(line):
        if not literal[2]:
            conversation.send(b"+ go on\r\n")
        command += conversation.read(int(literal[1]))
        line = conversation.readline()
        command += line
    return command
