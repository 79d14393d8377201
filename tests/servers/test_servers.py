"""The test servers themselves, seen with the standard library's clients."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import imaplib
import smtplib
import socket
import ssl
import time
from typing import TYPE_CHECKING

import pytest

from tests.servers.bed import bed_unavailable
from tests.servers.certificates import client_context
from tests.servers.embedded import embedded_unavailable, running_embedded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.base import MailboxServers, MailServers
    from tests.servers.bed import Bed

_TIMEOUT = 10


@pytest.fixture(params=["bed", "embedded"])
def servers(request: pytest.FixtureRequest) -> MailServers:
    """Each set of servers in turn, with empty mailboxes."""
    chosen: MailServers = request.getfixturevalue(request.param)
    _empty(chosen)
    return chosen


@pytest.fixture(params=["bed", "cyrus", "embedded"])
def mailbox_servers(request: pytest.FixtureRequest) -> MailboxServers:
    """Each IMAP server in turn, with empty mailboxes."""
    chosen: MailboxServers = request.getfixturevalue(request.param)
    _empty(chosen)
    return chosen


def _empty(servers: MailboxServers) -> None:
    for login in servers.users:
        servers.empty(login)


@contextlib.contextmanager
def _imap(servers: MailboxServers, login: str, security: str = "tls") -> Iterator[imaplib.IMAP4]:
    trust = client_context(servers.ca)
    imap = (
        imaplib.IMAP4_SSL("localhost", servers.imaps_port, ssl_context=trust, timeout=_TIMEOUT)
        if security == "tls"
        else imaplib.IMAP4("127.0.0.1", servers.imap_port, timeout=_TIMEOUT)
    )
    with imap:
        if security == "starttls":
            imap.starttls(trust)
        imap.authenticate("PLAIN", lambda _: _plain(login, servers.users[login]))
        yield imap


def _plain(login: str, password: str) -> bytes:
    return f"\0{login}\0{password}".encode()


def _submit(servers: MailServers, security: str) -> smtplib.SMTP:
    trust = client_context(servers.ca)
    if security == "tls":
        return smtplib.SMTP_SSL("localhost", servers.smtps_port, context=trust, timeout=_TIMEOUT)
    smtp = smtplib.SMTP("localhost", servers.submission_port, timeout=_TIMEOUT)
    smtp.starttls(context=trust)
    return smtp


def _subjects(imap: imaplib.IMAP4, count: int) -> list[str]:
    """Wait until so many messages lie in the inbox, and return their subjects."""
    end = time.monotonic() + _TIMEOUT
    while imap.select("INBOX", readonly=True)[1] != [str(count).encode()]:
        assert time.monotonic() < end, "the message did not arrive"
        time.sleep(0.05)
    found = imap.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
    return [part[1].decode().strip() for part in found if isinstance(part, tuple)]


@pytest.mark.parametrize("security", ["plain", "starttls", "tls"])
def test_sign_in_by_imap(mailbox_servers: MailboxServers, security: str) -> None:
    """Every user can sign in on every kind of connection, whatever letters the password has."""
    for login in mailbox_servers.users:
        with _imap(mailbox_servers, login, security) as imap:
            assert imap.select()[1] == [b"0"]


def test_wrong_password_by_imap(mailbox_servers: MailboxServers) -> None:
    """A wrong password is refused."""
    with (
        imaplib.IMAP4("127.0.0.1", mailbox_servers.imap_port, timeout=_TIMEOUT) as imap,
        pytest.raises(imaplib.IMAP4.error),
    ):
        imap.login(next(iter(mailbox_servers.users)), "wrong")


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_submitted_mail_arrives(servers: MailServers, security: str) -> None:
    """Every user can sign in by SMTP; what they send lies in the recipient's inbox."""
    *_, recipient = (login for login in servers.users if login.isascii())
    for login, password in servers.users.items():
        with _submit(servers, security) as smtp:
            smtp.ehlo()
            token = base64.b64encode(_plain(login, password)).decode()
            assert smtp.docmd("AUTH PLAIN", token)[0] == 235
            smtp.sendmail(
                "someone@example.test", [recipient], f"Subject: from {token}\r\n\r\nHello\r\n".encode()
            )
    with _imap(servers, recipient) as imap:
        assert len(_subjects(imap, len(servers.users))) == len(servers.users)


def test_address_that_is_not_ascii(servers: MailServers) -> None:
    """Mail with SMTPUTF8 reaches the user whose address needs it."""
    login = f"jürgen@{servers.domain}"
    with smtplib.SMTP("localhost", servers.smtp_port, timeout=_TIMEOUT) as smtp:
        smtp.sendmail(
            "ö@example.test", [login], "Subject: grüße\r\n\r\n".encode(), ["SMTPUTF8", "BODY=8BITMIME"]
        )
    with _imap(servers, login) as imap:
        assert len(_subjects(imap, 1)) == 1


def test_submission_wants_sign_in(servers: MailServers) -> None:
    """Without sign-in the submission port takes nothing."""
    with _submit(servers, "starttls") as smtp, pytest.raises(smtplib.SMTPException) as refused:
        smtp.sendmail("a@example.test", list(servers.users)[:1], b"\r\n")
    assert "530" in str(refused.value) or "554" in str(refused.value)


def test_refusals_by_recipient(servers: MailServers) -> None:
    """Recipients are refused one by one, each with its code; the good one gets the mail."""
    good = next(iter(servers.users))
    refused = {"tempfail": 450, "reject": 550, "blocked": 554, "full": 452, "nobody": 550}
    with smtplib.SMTP("localhost", servers.smtp_port, timeout=_TIMEOUT) as smtp:
        answers = smtp.sendmail(
            "a@example.test",
            [good, *(f"{local}@{servers.domain}" for local in refused)],
            b"Subject: x\r\n\r\n",
        )
    assert {address.partition("@")[0]: code for address, (code, _) in answers.items()} == refused
    with _imap(servers, good) as imap:
        assert _subjects(imap, 1) == ["Subject: x"]


@pytest.mark.parametrize(("sender", "code"), [("datatemp", 451), ("datareject", 554)])
def test_refusals_after_data(servers: MailServers, sender: str, code: int) -> None:
    """Some senders are only refused after the final dot."""
    with (
        smtplib.SMTP("localhost", servers.smtp_port, timeout=_TIMEOUT) as smtp,
        pytest.raises(smtplib.SMTPDataError) as refused,
    ):
        smtp.sendmail(f"{sender}@example.test", list(servers.users)[:1], b"Subject: x\r\n\r\n")
    assert refused.value.smtp_code == code


def test_greylisting_and_drop(servers: MailServers) -> None:
    """Greylisting gives way the second time; drop@ ends the connection."""
    sender = f"{time.time_ns()}@example.test"
    with smtplib.SMTP("localhost", servers.smtp_port, timeout=_TIMEOUT) as smtp:
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            smtp.sendmail(sender, [f"greylist@{servers.domain}"], b"\r\n")
        smtp.sendmail(sender, [f"greylist@{servers.domain}"], b"\r\n")
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            smtp.sendmail(sender, [f"drop@{servers.domain}"], b"\r\n")
        assert smtp.sock is None


def test_too_big(servers: MailServers) -> None:
    """The size limit is announced and kept."""
    with smtplib.SMTP("localhost", servers.smtp_port, timeout=_TIMEOUT) as smtp:
        smtp.ehlo()
        assert int(smtp.esmtp_features["size"]) == servers.message_size_limit
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            smtp.sendmail("a@example.test", list(servers.users)[:1], b"x" * (servers.message_size_limit + 1))
    assert refused.value.smtp_code == 552


def test_append_and_empty(mailbox_servers: MailboxServers) -> None:
    """A prepared message has its flags and date; emptying removes it and the folder made for it."""
    login = next(iter(mailbox_servers.users))
    when = dt.datetime(2024, 5, 6, 7, 8, 9, tzinfo=dt.timezone.utc)
    mailbox_servers.append(login, b"Subject: x\r\n\r\nHello\r\n", flags=r"\Seen", when=when)
    mailbox_servers.append(login, b"Subject: y\r\n\r\n", folder="Büro & Co")
    with _imap(mailbox_servers, login) as imap:
        assert len(_subjects(imap, 1)) == 1
        found = imap.fetch("1", "(FLAGS INTERNALDATE BODY.PEEK[])")[1]
        text = b" ".join(b" ".join(part) if isinstance(part, tuple) else part for part in found if part)
        assert rb"\Seen" in text
        assert b"Hello" in text
        local = imaplib.Internaldate2tuple(text)
        assert local is not None
        assert time.mktime(local) == when.timestamp()
        before = len(imap.list()[1])
        mailbox_servers.empty(login)
        assert imap.select()[1] == [b"0"]
        assert len(imap.list()[1]) == before - 1


@pytest.mark.skipif(bed_unavailable() is not None, reason=str(bed_unavailable()))
def test_bad_certificates(bed: Bed) -> None:
    """Each address of the bed has what its name says; only the first and the last are to be trusted."""
    trusted: dict[str, set[int]] = {}
    for host, kind in bed.hosts.items():
        for port in (bed.imaps_port, bed.smtps_port, bed.ports.pop3s):
            with socket.create_connection((host, port), _TIMEOUT) as connection:
                try:
                    client_context(bed.ca).wrap_socket(connection, server_hostname=host).close()
                    code = 0
                except ssl.SSLCertVerificationError as error:
                    code = error.verify_code
            trusted.setdefault(kind, set()).add(code)
    assert trusted == {"good": {0}, "expired": {10}, "wronghost": {64}, "selfsigned": {18}, "strict": {0}}


@pytest.mark.skipif(embedded_unavailable() is not None, reason=str(embedded_unavailable()))
def test_embedded_ends_with_clients_connected() -> None:
    """The embedded servers are up and down quickly, also with clients in the middle of something."""
    begin = time.monotonic()
    with running_embedded({"a@example.test": "b"}) as servers:
        imap = socket.create_connection(("127.0.0.1", servers.imap_port), _TIMEOUT)
        imap.sendall(b"a LOGIN a@example.test b\r\nb SELECT INBOX\r\nc IDLE\r\n")
        smtp = socket.create_connection(("127.0.0.1", servers.smtp_port), _TIMEOUT)
        heard = b""
        while b"Idling" not in heard:
            heard += imap.recv(4096)
    imap.close()
    smtp.close()
    assert time.monotonic() - begin < 2
