"""No object shows a secret, at the moment when most of them hold it: logs and tracebacks print reprs."""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING

import pytest

from airflow_email_conn.backends.imap.session import ImapSession
from airflow_email_conn.backends.pop3.session import Pop3Session
from airflow_email_conn.backends.smtp.session import SmtpSession
from airflow_email_conn.errors import AuthenticationError, EmailError
from airflow_email_conn.model.server import Credential, Server
from airflow_email_conn.wire import sasl
from tests.contract.places import ignore
from tests.servers.scripted import ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.certificates import Authority
    from tests.servers.scripted import Conversation

SECRET = "s3cret-pw"
_OPEN: dict[str, Callable[[Server], object]] = {
    "imap": lambda server: ImapSession.open(server, ignore),
    "pop3": lambda server: Pop3Session.open(server, ignore),
    "smtp": lambda server: SmtpSession.connect(server, "", ignore),
}
# How the sign-in begins, in two steps and in one; `%b` stands for what says so.
_GREETINGS = {
    "imap": b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=OAUTHBEARER%b] hi\r\n",
    "pop3": b"+OK hi\r\n",
    "smtp": b"220 hi\r\n",
}
_OFFERS = {
    "CAPA": b"+OK\r\nSASL PLAIN OAUTHBEARER\r\nUSER\r\n.\r\n",
    "EHLO": b"250-hi\r\n250 AUTH PLAIN LOGIN OAUTHBEARER\r\n",
}


def _refusing(protocol: str, look: Callable[[], None], *, at_once: bool) -> Callable[[Conversation], None]:
    """A server that looks round at each step of the sign-in, and refuses it at last."""

    def handler(conversation: Conversation) -> None:
        conversation.send(_GREETINGS[protocol].replace(b"%b", b" SASL-IR" if at_once else b""))
        while words := conversation.readline().decode().split():
            tag = words.pop(0).encode() + b" " if protocol == "imap" else b""
            if words[0] in _OFFERS:
                conversation.send(_OFFERS[words[0]])
                continue
            look()
            if words[0] in {"AUTH", "AUTHENTICATE"} and len(words) == 2:
                conversation.send(b"334 \r\n" if protocol == "smtp" else b"+ \r\n")
                conversation.readline()
                look()
            conversation.send(
                tag + {"imap": b"NO no\r\n", "pop3": b"-ERR no\r\n", "smtp": b"535 no\r\n"}[protocol]
            )

    return handler


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("kind", ["secret", "bearer"])
@pytest.mark.parametrize("protocol", _OPEN)
def test_nothing_shows_it_while_signing_in(
    authority: Authority, protocol: str, kind: str, at_once: bool
) -> None:
    """Whatever of this package is alive then, for a password and an access token."""
    forms = {SECRET, *sasl.hidden_forms(sasl.plain("ann", SECRET)), *sasl.hidden_forms(SECRET.encode())}
    looks: list[int] = []
    shown: list[str] = []

    def look() -> None:
        # Classes of other libraries may have anything for the name of their module.
        ours = [
            item for item in gc.get_objects() if str(type(item).__module__).startswith("airflow_email_conn.")
        ]
        looks.append(len(ours))
        for item in ours:
            with contextlib.suppress(AttributeError):  # left half made by another test
                shown.extend(type(item).__name__ for form in forms if form in repr(item))

    certificate = authority.issue(f"looking-{protocol}", "127.0.0.1")
    with ScriptedServer(_refusing(protocol, look, at_once=at_once), certificate, seconds=30) as server:
        ann = Credential(kind, "ann", SECRET)
        settings = Server(
            protocol,
            "127.0.0.1",
            server.port,
            credential=ann,
            timeout=30.0,
            ca_certificates=str(authority.ca),
        )
        if kind == "bearer":
            forms |= set(sasl.forms_of(SECRET, sasl.bearer(settings)))
        with pytest.raises(EmailError) as caught:
            _OPEN[protocol](settings)
    assert server.errors == []
    assert isinstance(caught.value, AuthenticationError)
    assert shown == []
    assert min(looks) > 5
