"""How the suites of sending open a sender, and read back what arrived."""

from __future__ import annotations

import email.policy
import imaplib
import time
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from airflow_email_conn.backends.graph.sender import GraphSender
from airflow_email_conn.backends.smtp.sender import SmtpSender
from airflow_email_conn.model.server import Credential, Server
from tests.contract.places import graph_server
from tests.contract.signedin import SignedIn
from tests.servers.base import HOST
from tests.servers.graph.outgoing import mime_of
from tests.servers.graph.server import GraphServer

if TYPE_CHECKING:
    from airflow_email_conn.backends.base import Sender
    from tests.servers.base import MailServers


TIMEOUT = 10.0

#: Whatever takes mail: by SMTP, or by Graph.
Post: TypeAlias = Union["MailServers", GraphServer, SignedIn]


def users(servers: Post) -> list[str]:
    """Addresses in ASCII."""
    return [login for login in servers.users if login.isascii()]


def setting(servers: MailServers, security: str = "starttls", **more: Any) -> Server:
    """A server's settings for a security mode, with the first user's credential where sign-in is wanted."""
    port = {"tls": servers.smtps_port, "starttls": servers.submission_port, "none": servers.smtp_port}
    login = users(servers)[0]
    credential = Credential("secret", login, servers.users[login]) if security != "none" else Credential()
    values = {
        "protocol": "smtp",
        "host": HOST,
        "port": port[security],
        "security": security,
        "credential": credential,
        "timeout": TIMEOUT,
        "ca_certificates": str(servers.ca),
    }
    return Server(**(values | more))


def plain(port: int, **more: Any) -> Server:
    """A server without encryption and sign-in."""
    return Server(
        **({"protocol": "smtp", "host": HOST, "port": port, "security": "none", "timeout": 1.0} | more)
    )


def sender(servers: Post, security: str = "starttls", **more: Any) -> Sender:
    """An open sender, as any backend gives one."""
    if isinstance(servers, SignedIn):
        return servers.sender()
    if isinstance(servers, GraphServer):
        login = users(servers)[0]
        server = graph_server(servers, login, **more)
        return GraphSender.open(server, from_address=login, renew=lambda _: server.credential)
    return SmtpSender.open(setting(servers, security, **more), from_address=users(servers)[0])


def arrived(servers: Post, login: str, message_id: str) -> EmailMessage:
    """The mail, read back by the standard library; real servers deliver a little later."""
    if isinstance(servers, SignedIn):
        servers = servers.graph
    if isinstance(servers, GraphServer):
        found = next(mail for mail in servers.messages(login) if mail.message_id == message_id)
        return _parsed(b"".join(mime_of(found)))
    end = time.monotonic() + 15
    while time.monotonic() < end:
        with imaplib.IMAP4(HOST, servers.imap_port, timeout=TIMEOUT) as imap:
            imap.authenticate("PLAIN", lambda _: f"\0{login}\0{servers.users[login]}".encode())
            imap.select("INBOX", readonly=True)
            for number in imap.search(None, "ALL")[1][0].split()[::-1]:
                raw = imap.fetch(number, "(BODY.PEEK[])")[1][0][1]
                message = _parsed(raw)
                if message["Message-ID"] == message_id:
                    return message
        time.sleep(0.1)
    raise AssertionError(f"{message_id} did not arrive")


def _parsed(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message
