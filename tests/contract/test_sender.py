"""The contract of a `Sender`, on real and on embedded servers, and on servers that misbehave."""

from __future__ import annotations

import email.policy
import imaplib
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_email_conn.backends.smtp.sender import SmtpSender
from airflow_email_conn.errors import (
    AuthenticationError,
    CapabilityError,
    ConnectError,
    DeadlineError,
    DeliveryUnknownError,
    DraftError,
    NetworkError,
    ProtocolError,
    RefusedError,
    ServerError,
    SettingsError,
    TLSError,
    UnavailableError,
)
from airflow_email_conn.model.draft import Content, Draft
from airflow_email_conn.model.server import Credential, Server
from tests.servers.base import HOST
from tests.servers.faultproxy import Fault, FaultProxy
from tests.servers.scripted import ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_email_conn.backends.base import Sender
    from tests.servers.base import MailServers
    from tests.servers.scripted import Conversation

TIMEOUT = 10.0


@pytest.fixture(params=["bed", "embedded"])
def servers(request: pytest.FixtureRequest) -> MailServers:
    """Each set of servers."""
    chosen: MailServers = request.getfixturevalue(request.param)
    return chosen


def users(servers: MailServers) -> list[str]:
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


def sender(servers: MailServers, security: str = "starttls", **more: Any) -> Sender:
    """An open sender, as any backend gives one."""
    return SmtpSender.open(setting(servers, security, **more), from_address=users(servers)[0])


def arrived(servers: MailServers, login: str, message_id: str) -> EmailMessage:
    """The mail, read back by the standard library; real servers deliver a little later."""
    end = time.monotonic() + 15
    while time.monotonic() < end:
        with imaplib.IMAP4(HOST, servers.imap_port, timeout=TIMEOUT) as imap:
            imap.authenticate("PLAIN", lambda _: f"\0{login}\0{servers.users[login]}".encode())
            imap.select("INBOX", readonly=True)
            for number in imap.search(None, "ALL")[1][0].split()[::-1]:
                raw = imap.fetch(number, "(BODY.PEEK[])")[1][0][1]
                message = email.message_from_bytes(raw, policy=email.policy.default)
                assert isinstance(message, EmailMessage)
                if message["Message-ID"] == message_id:
                    return message
        time.sleep(0.1)
    raise AssertionError(f"{message_id} did not arrive")


# ---------------------------------------------------------------- what arrives


@pytest.mark.parametrize("security", ["tls", "starttls", "none"])
def test_every_security(servers: MailServers, security: str) -> None:
    """Each mode and port; the steps of opening are told one by one."""
    steps: list[str] = []
    login = users(servers)[0]
    with SmtpSender.open(setting(servers, security), from_address=login, on_step=steps.append) as sender:
        receipt = sender.send(Draft(to=login, subject=security))
    assert receipt.accepted == (login,)
    assert receipt.refused == {}
    assert arrived(servers, login, receipt.message_id)["Subject"] == security
    assert (
        steps
        == {
            "tls": ["resolve", "connect", "TLS", "EHLO", "sign in"],
            "starttls": ["resolve", "connect", "EHLO", "TLS", "EHLO", "sign in"],
            "none": ["resolve", "connect", "EHLO"],
        }[security]
    )


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_encrypted_without_sign_in(bed: Any, security: str) -> None:
    """The incoming port takes local mail from anybody; STARTTLS there, or TLS put in front of it."""
    with FaultProxy(bed.smtp_port, certificate=bed.certificate if security == "tls" else None) as proxy:
        server = setting(bed, security, credential=Credential(), port=proxy.port)
        with SmtpSender.open(server, from_address=users(bed)[0]) as out:
            assert out.send(Draft(to=users(bed)[0])).accepted
        assert (b"MAIL FROM" in proxy.seen_from_client) is (security == "tls")
        assert b"AUTH" not in proxy.seen_from_client


def test_sign_in_without_encryption(bed: Any) -> None:
    """Only where the connection says security none, and the server allows it."""
    login = users(bed)[0]
    server = setting(bed, "none", credential=Credential("secret", login, bed.users[login]))
    with SmtpSender.open(server, from_address=login) as out:
        assert out.send(Draft(to=login)).accepted


def test_everything_arrives(servers: MailServers, tmp_path: Path) -> None:
    """Texts, people, headers, date, attachments of each kind and a picture: as the draft says."""
    to, cc, bcc = (*users(servers), users(servers)[0])[:3]
    data = bytes(range(256)) * 300
    (tmp_path / "Bericht März.csv").write_bytes(data)
    stored = ObjectStoragePath(f"file://{tmp_path}/Bericht März.csv")
    before = datetime.now(timezone.utc) - timedelta(seconds=2)
    draft = Draft(
        sender=f'"Robot, Ünï" <{to}>',
        to=f"Jörg <{to}>",
        cc=[f'"Doe, John" <{cc}>'],
        bcc=bcc,
        reply_to="desk@example.test",
        subject="Grüße 日本 =?utf-8?q?=0A?=",
        text="Zeile\n.\n..dot\nFrom here\n",
        html="<p>ü" + "x" * 2000 + '<img src="cid:logo"></p>',
        attachments=[tmp_path / "Bericht März.csv", stored, Content("mail.eml", "Subject: x\n\nhi\n")],
        inline={"logo": Content("logo.png", b"\x89PNG")},
        headers={"X-Team": "Zürich"},
        in_reply_to="<old@example.test>",
    )
    with sender(servers) as out:
        receipt = out.send(draft)
    for login in {to, cc}:
        mail = arrived(servers, login, receipt.message_id)
        assert mail["From"].addresses[0].display_name == "Robot, Ünï"
        assert mail["To"].addresses[0].display_name == "Jörg"
        assert mail["Cc"] == f'"Doe, John" <{cc}>'
        assert mail["Bcc"] is None
        assert mail["Reply-To"] == "desk@example.test"
        assert mail["Subject"] == draft.subject
        assert mail["X-Team"] == "Zürich"
        assert mail["In-Reply-To"] == mail["References"] == "<old@example.test>"
        assert before < mail["Date"].datetime < datetime.now(timezone.utc) + timedelta(seconds=2)
        text, html = mail.get_body(["plain"]), mail.get_body(["html"])
        assert text is not None
        assert html is not None
        assert text.get_content().replace("\r\n", "\n") == draft.text
        assert html.get_content().rstrip() == draft.html
        files = {part.get_filename(): part.get_payload(decode=True) for part in mail.iter_attachments()}
        assert files == {"Bericht März.csv": data, "mail.eml": b"Subject: x\n\nhi\n"}
        assert sum(1 for _ in mail.iter_attachments()) == 3
        picture = next(part for part in mail.walk() if part["Content-ID"] == "<logo>")
        assert picture.get_payload(decode=True) == b"\x89PNG"


def test_bcc_arrives_unseen(servers: MailServers) -> None:
    """Who is in Bcc gets the mail; nothing in the mail tells."""
    to, bcc = users(servers)[:2]
    with sender(servers) as out:
        receipt = out.send(Draft(to=to, bcc=bcc, subject="secret copy"))
    assert receipt.accepted == (to, bcc)
    seen = arrived(servers, to, receipt.message_id)
    assert bcc not in str({name: value for name, value in seen.items() if name != "Received"})
    assert arrived(servers, bcc, receipt.message_id)["Bcc"] is None


def test_many_mails_on_one_connection(servers: MailServers) -> None:
    """Also after refusals, before and after DATA, and after a draft that is wrong."""
    login = users(servers)[0]
    domain = servers.domain
    with FaultProxy(servers.smtp_port) as proxy:
        with SmtpSender.open(plain(proxy.port, timeout=TIMEOUT), from_address=login) as out:
            first = out.send(Draft(to=login, subject="1"))
            with pytest.raises(RefusedError):
                out.send(Draft(to=f"reject@{domain}"))
            with pytest.raises(RefusedError):
                out.send(Draft(to=login, sender=f"datareject@{domain}"))
            with pytest.raises(DraftError):
                out.send(Draft(to=login, subject="a\nb"))
            last = out.send(Draft(to=login, subject="2", message_id="<own.id@example.test>"))
        assert proxy.connections == 1
        assert proxy.seen_from_client.endswith(b"QUIT\r\n")
    assert last.message_id == "<own.id@example.test>"
    assert arrived(servers, login, first.message_id)["Subject"] == "1"
    assert arrived(servers, login, last.message_id)["Subject"] == "2"


def test_address_that_is_not_ascii(servers: MailServers) -> None:
    """It gets its mail where the server offers SMTPUTF8, as both do."""
    to = next(login for login in servers.users if not login.isascii())
    with sender(servers) as out:
        receipt = out.send(Draft(to=f"Jürgen <{to}>", subject="Grüße"))
    assert receipt.accepted == (to,)
    assert arrived(servers, to, receipt.message_id)["Subject"] == "Grüße"


# ---------------------------------------------------------------- refusals


def test_partly_refused(servers: MailServers) -> None:
    """The others get it; the receipt says who does not, and why."""
    login, domain = users(servers)[0], servers.domain
    draft = Draft(to=[f"reject@{domain}", login], cc=f"tempfail@{domain}", bcc=f"blocked@{domain}")
    with sender(servers) as out:
        receipt = out.send(draft)
    assert receipt.accepted == (login,)
    assert {address.partition("@")[0]: r.code for address, r in receipt.refused.items()} == {
        "reject": 550,
        "tempfail": 450,
        "blocked": 554,
    }
    assert "no such user" in receipt.refused[f"reject@{domain}"].reason
    assert arrived(servers, login, receipt.message_id)


@pytest.mark.parametrize(
    ("locals_", "retryable"),
    [(["tempfail", "full"], True), (["reject", "blocked"], False), (["tempfail", "reject"], False)],
)
def test_all_refused(servers: MailServers, locals_: list[str], retryable: bool) -> None:
    """An error with every refusal, retryable when all are temporary."""
    with sender(servers) as out, pytest.raises(RefusedError) as caught:
        out.send(Draft(to=[f"{local}@{servers.domain}" for local in locals_]))
    assert caught.value.retryable is retryable
    assert [address.partition("@")[0] for address in caught.value.refused] == locals_


@pytest.mark.parametrize(("local", "retryable"), [("datatemp", True), ("datareject", False)])
def test_refused_after_data(servers: MailServers, local: str, retryable: bool) -> None:
    """What the server says to the content is the last word."""
    with sender(servers, "none") as out, pytest.raises(RefusedError, match="after DATA") as caught:
        out.send(Draft(to=users(servers)[0], sender=f"{local}@{servers.domain}"))
    assert caught.value.retryable is retryable


def test_too_large(servers: MailServers) -> None:
    """It is refused before it is sent, by its exact size."""
    big = Content("big.bin", b"x" * servers.message_size_limit)
    with FaultProxy(servers.smtp_port) as proxy:
        with SmtpSender.open(plain(proxy.port, timeout=TIMEOUT), from_address="a@example.test") as out:
            with pytest.raises(RefusedError, match=r"has \d+ bytes, the limit is") as caught:
                out.send(Draft(to=users(servers)[0], attachments=[big]))
            assert out.send(Draft(to=users(servers)[0])).accepted
        assert len(proxy.seen_from_client) < 5000
    assert not caught.value.retryable


def test_closed_by_421(servers: MailServers) -> None:
    """The server may hang up at any time; the sender is closed then and says so."""
    with sender(servers) as out:
        with pytest.raises(UnavailableError) as caught:
            out.send(Draft(to=f"drop@{servers.domain}"))
        assert caught.value.retryable
        with pytest.raises(NetworkError, match="open a new one"):
            out.send(Draft(to=users(servers)[0]))


# ---------------------------------------------------------------- sign-in and TLS


def test_password_that_is_not_ascii(servers: MailServers) -> None:
    """It signs in as any other."""
    login = next(user for user, password in servers.users.items() if not password.isascii())
    credential = Credential("secret", login, servers.users[login])
    with SmtpSender.open(setting(servers, credential=credential), from_address=login) as out:
        assert out.send(Draft(to=login)).accepted == (login,)


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_wrong_password(servers: MailServers, security: str) -> None:
    """Refused after one try, and the password stands in no message."""
    wrong = Credential("secret", users(servers)[0], "hunter2-wrong")
    with pytest.raises(AuthenticationError) as caught:
        sender(servers, security, credential=wrong)
    assert "hunter2" not in repr(caught.value) + str(caught.value)
    assert not caught.value.retryable


def test_one_auth(servers: MailServers) -> None:
    """Counted by a server that offers three mechanisms."""
    wrong = Credential("secret", users(servers)[0], "hunter2-wrong")
    tried: list[bytes] = []

    def server(c: Conversation) -> None:
        c.send(b"220 x\r\n")
        while line := c.readline():
            tried.append(line)
            c.send(
                b"250-x\r\n250 AUTH LOGIN PLAIN CRAM-MD5\r\n" if line.startswith(b"EHLO") else b"535 no\r\n"
            )

    with ScriptedServer(server, servers.certificate) as scripted, pytest.raises(AuthenticationError):
        sender(servers, "tls", credential=wrong, port=scripted.port)
    assert [line.split()[0] for line in tried] == [b"EHLO", b"AUTH"]


def test_wants_sign_in(servers: MailServers) -> None:
    """A server that wants a sign-in refuses a sender without one, with the mend."""
    with (
        sender(servers, "starttls", credential=Credential()) as out,
        pytest.raises((AuthenticationError, RefusedError)),
    ):
        out.send(Draft(to=users(servers)[0]))


def test_sign_in_only_after_starttls(embedded: MailServers) -> None:
    """Security none and a secret: it is never sent, and the error names STARTTLS."""
    credential = Credential("secret", "robot@example.test", "hunter2")
    with FaultProxy(embedded.submission_port) as proxy:
        with pytest.raises(CapabilityError, match="only after STARTTLS"):
            SmtpSender.open(plain(proxy.port, credential=credential), from_address="")
        assert b"AUTH" not in proxy.seen_from_client


@pytest.mark.parametrize("host", ["127.0.0.2", "127.0.0.3", "127.0.0.4"])
@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_bad_certificates(bed: Any, host: str, security: str) -> None:
    """Expired, for another host, self-signed: refused before any credential; taken only when not checked."""
    with pytest.raises(TLSError):
        sender(bed, security, host=host)
    with sender(bed, security, host=host, check_server_identity=False) as out:
        assert out.send(Draft(to=users(bed)[0])).accepted


def test_wrong_mode(servers: MailServers) -> None:
    """A port of another mode ends in an error that names the mend, not in silence."""
    with pytest.raises(TLSError, match="starttls"):
        sender(servers, "tls", port=servers.submission_port)
    with pytest.raises(DeadlineError, match="'tls'"):
        sender(servers, "starttls", port=servers.smtps_port, timeout=0.5)


def offer(c: Conversation, extensions: bytes = b"250 HELP\r\n") -> None:
    """Greet, and answer EHLO."""
    c.send(b"220 mx\r\n")
    c.readline()
    c.send(b"250-mx\r\n" + extensions)


def stripped(c: Conversation) -> None:
    """Somebody removed STARTTLS from the offer."""
    offer(c)
    c.read_to_end()


def refused_tls(c: Conversation) -> None:
    """STARTTLS is offered and then refused."""
    offer(c, b"250 STARTTLS\r\n")
    c.readline()
    c.send(b"454 4.7.0 TLS not available\r\n")
    c.read_to_end()


def plain_after_220(c: Conversation) -> None:
    """Go ahead, and then no TLS."""
    offer(c, b"250 STARTTLS\r\n")
    c.readline()
    c.send(b"220 go\r\n")
    c.read(1)
    c.send(b"250 mx\r\n")
    c.read_to_end()


def injected(c: Conversation) -> None:
    """More than the answer, in one packet."""
    offer(c, b"250 STARTTLS\r\n")
    c.readline()
    c.send(b"220 go\r\n250-mx\r\n250 AUTH PLAIN\r\n")
    c.read_to_end()


@pytest.mark.parametrize(
    ("server", "error"),
    [(stripped, TLSError), (refused_tls, TLSError), (plain_after_220, TLSError), (injected, ProtocolError)],
)
def test_starttls_is_strict(server: Callable[[Conversation], None], error: type[Exception]) -> None:
    """Without TLS no credential and no mail leaves this process."""
    credential = Credential("secret", "u", "hunter2")
    with ScriptedServer(server) as scripted:
        with pytest.raises(error):
            SmtpSender.open(plain(scripted.port, security="starttls", credential=credential), from_address="")
        time.sleep(0.05)
        assert b"AUTH" not in scripted.received
        assert b"MAIL" not in scripted.received


# ---------------------------------------------------------------- servers that misbehave


def talk(*answers: bytes) -> Callable[[Conversation], None]:
    """A server that greets and then gives these answers, one for each line, and falls silent."""

    def server(c: Conversation) -> None:
        c.send(b"220 mx\r\n")
        for answer in answers:
            if not c.readline():
                return
            c.send(answer)
        c.read_to_end()

    return server


HELLO = b"250-mx\r\n250 8BITMIME\r\n"
AUTHS = b"250-mx\r\n250 AUTH PLAIN LOGIN\r\n"
SECRET = Credential("secret", "robot", "hunter2")


@pytest.mark.parametrize(
    ("greeting", "error"),
    [
        (b"", DeadlineError),
        (b"220-", DeadlineError),
        (b"* OK IMAP\r\n", ProtocolError),
        (b"220-x\r\n" * 1000, ProtocolError),
        (b"x" * 100_000, ProtocolError),
        (b"421 4.3.2 busy\r\n", UnavailableError),
        (b"450 later\r\n", UnavailableError),
        (b"554 go away\r\n", ServerError),
    ],
)
def test_greetings(greeting: bytes, error: type[Exception]) -> None:
    """Silence, other protocols, floods and refusals: an error in time."""

    def server(c: Conversation) -> None:
        c.send(greeting)
        c.read_to_end()

    started = time.monotonic()
    with ScriptedServer(server) as scripted, pytest.raises(error):
        SmtpSender.open(plain(scripted.port, timeout=0.5), from_address="")
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    ("answers", "error", "text"),
    [
        ((AUTHS, b"535 5.7.8 no: hunter2 AHJvYm90AGh1bnRlcjI=\r\n"), AuthenticationError, r"\*\*\* \*\*\*"),
        ((AUTHS, b"535 5.7.139 Authentication unsuccessful\r\n"), AuthenticationError, "OAuth"),
        ((AUTHS, b"454 4.7.0 later\r\n"), UnavailableError, "cannot check"),
        ((AUTHS, b"421 4.7.0 bye\r\n"), UnavailableError, "closed"),
        ((AUTHS, b"334 \r\n"), ProtocolError, "more than PLAIN"),
        ((AUTHS, b"hunter2\r\n"), ProtocolError, r"\*\*\*"),
        ((AUTHS,), DeadlineError, "sign in"),
        ((HELLO,), CapabilityError, "offers no sign-in"),
        ((b"250-mx\r\n250 AUTH GSSAPI\r\n",), CapabilityError, "GSSAPI"),
        ((b"502 no EHLO\r\n", b"250 mx\r\n"), CapabilityError, "offers no sign-in"),
        ((b"550 no\r\n",), ServerError, "greeting"),
    ],
)
def test_sign_in_errors(answers: tuple[bytes, ...], error: type[Exception], text: str) -> None:
    """Each by who must act; never with the secret in it, plain or encoded."""
    with ScriptedServer(talk(*answers)) as scripted, pytest.raises(error, match=text) as caught:
        SmtpSender.open(plain(scripted.port, timeout=0.5, credential=SECRET), from_address="")
    assert "hunter2" not in repr(caught.value) + str(caught.value.__cause__)
    assert "aHVudGVyMg==" not in repr(caught.value)


def test_login_mechanism() -> None:
    """Where PLAIN is missing: user, then secret, in base64."""
    lines: list[bytes] = []

    def server(c: Conversation) -> None:
        offer(c, b"250 AUTH=LOGIN\r\n")
        lines.append(c.readline())
        for answer in (b"334 VXNlcm5hbWU6\r\n", b"334 UGFzc3dvcmQ6\r\n", b"235 ok\r\n"):
            c.send(answer)
            lines.append(c.readline())

    with ScriptedServer(server) as scripted:
        SmtpSender.open(plain(scripted.port, credential=SECRET), from_address="").close()
    assert lines == [b"AUTH LOGIN\r\n", b"cm9ib3Q=\r\n", b"aHVudGVyMg==\r\n", b"QUIT\r\n"]


def test_settings_before_connecting() -> None:
    """What cannot work is refused before a connection is made: port 1 would refuse it."""
    for credential in (Credential("secret", "u", ""), Credential("secret", "u", "a\0b")):
        with pytest.raises(SettingsError, match="secret"):
            SmtpSender.open(plain(1, credential=credential), from_address="")
    with pytest.raises(SettingsError, match="from_address"):
        SmtpSender.open(plain(1), from_address="nobody")
    with pytest.raises(CapabilityError):
        SmtpSender.open(plain(1, credential=Credential("oauth_device_flow", "u")), from_address="")
    with pytest.raises(ConnectError):
        SmtpSender.open(plain(1), from_address="a@b.c")


def test_names_in_ehlo() -> None:
    """The sender's domain; without one the address of the socket; never a look-up of this host."""
    for from_address, name in (
        ("a@acme.example", b"acme.example"),
        ("", b"[127.0.0.1]"),
        ("a@x", b"[127.0.0.1]"),
    ):
        with ScriptedServer(talk(HELLO, b"221 bye\r\n")) as scripted:
            SmtpSender.open(plain(scripted.port), from_address=from_address).close()
            assert scripted.received == b"EHLO " + name + b"\r\nQUIT\r\n"


def test_no_smtputf8() -> None:
    """An address that the server cannot take is refused before anything is sent."""
    with ScriptedServer(talk(HELLO, b"221 bye\r\n")) as scripted:
        with (
            SmtpSender.open(plain(scripted.port), from_address="a@b.c") as out,
            pytest.raises(DraftError, match="SMTPUTF8"),
        ):
            out.send(Draft(to="jürgen@b.c"))
        assert b"MAIL" not in scripted.received


def test_wrong_draft_sends_nothing(tmp_path: Path) -> None:
    """A missing attachment: an error with field and path, and not one command."""
    with ScriptedServer(talk(HELLO, b"221 bye\r\n")) as scripted:
        with (
            SmtpSender.open(plain(scripted.port), from_address="a@b.c") as out,
            pytest.raises(DraftError, match=r"attachments: .*missing\.csv"),
        ):
            out.send(Draft(to="a@b.c", attachments=[str(tmp_path / "missing.csv")]))
        assert b"MAIL" not in scripted.received


def test_step_by_step() -> None:
    """Without PIPELINING DATA is only said when somebody is to get the mail."""
    with ScriptedServer(
        talk(HELLO, b"250 ok\r\n", b"550 no\r\n", b"250 reset\r\n", b"221 bye\r\n")
    ) as scripted:
        with SmtpSender.open(plain(scripted.port), from_address="a@b.c") as out, pytest.raises(RefusedError):
            out.send(Draft(to="a@b.c"))
        assert scripted.received.split(b"\r\n")[1:] == [
            b"MAIL FROM:<a@b.c>",
            b"RCPT TO:<a@b.c>",
            b"RSET",
            b"QUIT",
            b"",
        ]


def test_empty_mail_to_nobody() -> None:
    """With PIPELINING, a server that says yes to DATA with no recipient gets an empty mail (RFC 2920)."""

    def server(c: Conversation) -> None:
        offer(c, b"250 PIPELINING\r\n")
        for _ in range(3):
            c.readline()
        c.send(b"250 ok\r\n550 5.1.1 no\r\n354 go\r\n")
        assert c.readline() == b".\r\n"
        c.send(b"554 no valid recipients\r\n")
        assert c.readline() == b"RSET\r\n"
        c.send(b"250 ok\r\n")
        assert c.readline() == b"QUIT\r\n"

    with (
        ScriptedServer(server) as scripted,
        SmtpSender.open(plain(scripted.port), from_address="a@b.c") as out,
        pytest.raises(RefusedError),
    ):
        out.send(Draft(to="x@b.c"))
    assert scripted.errors == []


@pytest.mark.parametrize(
    ("answers", "error", "retryable"),
    [
        ((b"451 4.3.0 later\r\n",), RefusedError, True),
        ((b"550 5.7.60 SendAsDenied\r\n",), RefusedError, False),
        ((b"530 5.7.57 Client not authenticated\r\n",), AuthenticationError, False),
        ((b"250 ok\r\n", b"250 ok\r\n", b"451 later\r\n"), RefusedError, True),
        ((b"250 ok\r\n", b"garbage\r\n"), ProtocolError, False),
        ((b"250 ok\r\n",), DeadlineError, True),
    ],
)
def test_envelope_errors(answers: tuple[bytes, ...], error: type[Exception], retryable: bool) -> None:
    """What the server says to MAIL, RCPT and DATA."""
    with (
        ScriptedServer(talk(HELLO, *answers, b"250 reset\r\n")) as scripted,
        SmtpSender.open(plain(scripted.port, timeout=0.5), from_address="a@b.c") as out,
        pytest.raises(error) as caught,
    ):
        out.send(Draft(to="a@b.c"))
    assert caught.value.retryable is retryable  # type: ignore[attr-defined]


# ---------------------------------------------------------------- broken connections


def test_answer_to_the_mail_lost(servers: MailServers) -> None:
    """The mail may have gone out, and here it has: not retryable, found by its Message-ID."""
    login = users(servers)[0]
    with FaultProxy(servers.smtp_port) as proxy:
        with SmtpSender.open(plain(proxy.port, timeout=TIMEOUT), from_address=login) as out:
            proxy.fault = Fault("cut", when=rb"\r\n\.\r\n$")
            with pytest.raises(DeliveryUnknownError) as caught:
                out.send(Draft(to=login, message_id=f"<lost.{servers.name}@example.test>"))
            with pytest.raises(NetworkError, match="open a new one"):
                out.send(Draft(to=login))
        assert proxy.connections == 1
    assert not caught.value.retryable
    assert f"<lost.{servers.name}@example.test>" in str(caught.value)
    assert arrived(servers, login, f"<lost.{servers.name}@example.test>")


@pytest.mark.parametrize("answer", [b"", b"garbage\r\n", b"354 what?\r\n"])
def test_answer_to_the_mail_senseless(answer: bytes) -> None:
    """Silence and nonsense leave it unknown as well."""

    def server(c: Conversation) -> None:
        talk_to_data(c)
        while c.readline() != b".\r\n":
            pass
        c.send(answer)
        c.read_to_end()

    with (
        ScriptedServer(server) as scripted,
        SmtpSender.open(plain(scripted.port, timeout=0.2), from_address="a@b.c") as out,
        pytest.raises(DeliveryUnknownError),
    ):
        out.send(Draft(to="a@b.c"))


def talk_to_data(c: Conversation) -> None:
    """Say yes to everything up to DATA."""
    offer(c)
    for answer in (b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
        c.readline()
        c.send(answer)


def test_cut_in_the_middle(tmp_path: Path) -> None:
    """Nothing was delivered, so it may be tried again; and nothing after the cut is sent."""
    path = tmp_path / "big.bin"
    with path.open("wb") as big:
        big.truncate(30_000_000)

    def server(c: Conversation) -> None:
        talk_to_data(c)
        c.read(100_000)

    with (
        ScriptedServer(server) as scripted,
        SmtpSender.open(plain(scripted.port), from_address="a@b.c") as out,
        pytest.raises(NetworkError) as caught,
    ):
        out.send(Draft(to="a@b.c", attachments=[path]))
    assert caught.value.retryable
    assert not isinstance(caught.value, DeliveryUnknownError)


def test_attachment_fails_in_the_middle(tmp_path: Path) -> None:
    """A file that shrinks while it is sent: no final dot, so nobody gets half a mail."""
    path = tmp_path / "big.bin"
    with path.open("wb") as big:
        big.truncate(30_000_000)

    def server(c: Conversation) -> None:
        talk_to_data(c)
        path.write_bytes(b"")
        c.read_to_end()

    with ScriptedServer(server) as scripted:
        with (
            SmtpSender.open(plain(scripted.port), from_address="a@b.c") as out,
            pytest.raises(DraftError, match="became shorter"),
        ):
            out.send(Draft(to="a@b.c", attachments=[path]))
        time.sleep(0.1)
        assert b"\r\n.\r\n" not in scripted.received
        assert b"QUIT" not in scripted.received


def test_close_is_bounded() -> None:
    """QUIT without an answer costs at most the timeout, and closing twice is fine."""
    with ScriptedServer(talk(HELLO)) as scripted:
        out = SmtpSender.open(plain(scripted.port, timeout=0.3), from_address="a@b.c")
        started = time.monotonic()
        out.close()
        out.close()
        assert time.monotonic() - started < 2


def test_reset_refused() -> None:
    """After a refusal that RSET cannot clear, the connection is not used again."""
    with (
        ScriptedServer(talk(HELLO, b"550 no\r\n", b"500 what?\r\n")) as scripted,
        SmtpSender.open(plain(scripted.port), from_address="a@b.c") as out,
    ):
        with pytest.raises(RefusedError):
            out.send(Draft(to="a@b.c"))
        with pytest.raises(NetworkError, match="open a new one"):
            out.send(Draft(to="a@b.c"))


def test_replaced_server_value(servers: MailServers) -> None:
    """A server value can be changed and used again: nothing is remembered between senders."""
    login = users(servers)[0]
    wrong = replace(setting(servers), credential=Credential("secret", login, "wrong"))
    with pytest.raises(AuthenticationError):
        SmtpSender.open(wrong, from_address=login)
    SmtpSender.open(setting(servers), from_address=login).close()
