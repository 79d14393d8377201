"""SMTP for the suites of TLS and of attacks: a server that takes every mail."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from airflow_email_conn.client import open_sender
from airflow_email_conn.model.draft import Draft
from tests.contract.dialects import USER, Dialect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_email_conn.backends.base import Mailbox, Sender
    from airflow_email_conn.model.settings import EmailSettings
    from tests.contract.dialects import Script
    from tests.servers.base import MailServers

__all__ = ["SmtpDialect"]

_OFFERS = {
    "clear": b"STARTTLS\n8BITMIME\nAUTH PLAIN",
    "tls": b"8BITMIME\nAUTH PLAIN",
}
# Verb: state, and the answer
_ANSWERS = {
    b"STARTTLS": ("STARTTLS", b"220 go ahead\r\n"),
    b"AUTH": ("sign in", b"235 welcome\r\n"),
    b"MAIL": ("MAIL", b"250 ok\r\n"),
    b"RCPT": ("RCPT", b"250 ok\r\n"),
    b"DATA": ("DATA", b"354 go ahead\r\n"),
    b"QUIT": ("quit", b"221 bye\r\n"),
}


class SmtpDialect(Dialect):
    """SMTP (RFC 5321)."""

    name = "smtp"
    states = (
        "greeting",
        "EHLO",
        "STARTTLS",
        "handshake",
        "EHLO in TLS",
        "sign in",
        "MAIL",
        "RCPT",
        "DATA",
        "end of DATA",
    )
    opening = states[:6]
    clear = re.compile(rb"(?:(?:(?:EHLO|HELO) [^\r\n]+|STARTTLS|QUIT)\r\n)*")
    goodbye = b"421 4.3.2 going down\r\n"

    def port(self, servers: MailServers, security: str) -> int:
        """Return where these servers speak it with this security."""
        return servers.smtps_port if security == "tls" else servers.submission_port

    def open(self, settings: EmailSettings) -> Sender:
        """Open a sender."""
        return open_sender(settings)

    def job(self, opened: Mailbox | Sender) -> None:
        """Send a mail."""
        cast("Sender", opened).send(Draft(to=USER, subject="a"))

    def calls(self, opened: Mailbox | Sender) -> Sequence[Callable[[], object]]:
        """Everything that can be asked of a sender."""
        return (lambda: self.job(opened),)

    def serve(self, script: Script) -> None:
        """Be the server of one session, from the greeting on."""
        script.say("greeting", b"220 mx ready\r\n")
        while line := script.conversation.readline():
            verb = line.split()[0].upper()
            if verb == b"EHLO":
                state = "EHLO" if script.phase == "clear" else "EHLO in TLS"
                *lines, last = b"mx", *script.offer(_OFFERS).split(b"\n")
                answer = b"".join(b"250-%b\r\n" % line for line in lines) + b"250 %b\r\n" % last
            else:
                state, answer = _ANSWERS.get(verb, ("other", b"250 ok\r\n"))
            if line.upper() == b"AUTH LOGIN\r\n":
                for question in (b"334 VXNlcm5hbWU6\r\n", b"334 UGFzc3dvcmQ6\r\n"):
                    script.conversation.send(question)
                    script.conversation.readline()
            script.say(state, answer)
            if state == "STARTTLS":
                script.start_tls()
            elif state == "DATA":
                self._take_mail(script)
            elif state == "quit":
                return

    @staticmethod
    def _take_mail(script: Script) -> None:
        while script.conversation.readline() not in {b".\r\n", b""}:
            pass
        script.say("end of DATA", b"250 taken\r\n")
