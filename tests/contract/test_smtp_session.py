"""How an SMTP session opens, and what it does with servers that refuse, lie or fall silent."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

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
    UnavailableError,
)
from airflow_email_conn.model.draft import Draft
from airflow_email_conn.model.server import Credential
from tests.contract.sending import TIMEOUT, arrived, plain, sender, setting, users
from tests.servers.faultproxy import Fault, FaultProxy
from tests.servers.scripted import ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers.base import MailServers
    from tests.servers.scripted import Conversation


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


def offer(c: Conversation, extensions: bytes = b"250 HELP\r\n") -> None:
    """Greet, and answer EHLO."""
    c.send(b"220 mx\r\n")
    c.readline()
    c.send(b"250-mx\r\n" + extensions)


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
SECRET = Credential("secret", "CORP\\robot", "hunter2")


@pytest.mark.parametrize(
    ("greeting", "error"),
    [
        (b"* OK IMAP\r\n", ProtocolError),
        (b"421 4.3.2 busy\r\n", UnavailableError),
        (b"450 later\r\n", UnavailableError),
        (b"554 go away\r\n", ServerError),
    ],
)
def test_greetings(greeting: bytes, error: type[Exception]) -> None:
    """Other protocols and refusals: an error in time."""

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
        (
            (AUTHS, b"535 5.7.8 no: hunter2 AENPUlBccm9ib3QAaHVudGVyMg==\r\n"),
            AuthenticationError,
            r"\*\*\* \*\*\*",
        ),
        ((AUTHS, b"535 5.7.139 Authentication unsuccessful\r\n"), AuthenticationError, "OAuth"),
        (
            (AUTHS, b"535 no\r\n"),
            AuthenticationError,
            "sign-in of 'CORP.robot': check the user and the secret",
        ),
        ((AUTHS, b"454 4.7.0 later\r\n"), UnavailableError, "cannot take the sign-in of 'CORP.robot' now"),
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
    assert lines == [b"AUTH LOGIN\r\n", b"Q09SUFxyb2JvdA==\r\n", b"aHVudGVyMg==\r\n", b"QUIT\r\n"]


def test_settings_before_connecting() -> None:
    """What cannot work is refused before a connection is made: port 1 would refuse it."""
    for credential in (Credential("secret", "u", ""), Credential("secret", "u", "a\0b")):
        with pytest.raises(SettingsError, match="secret"):
            SmtpSender.open(plain(1, credential=credential), from_address="")
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


@pytest.mark.parametrize("after", [None, b"421 too many errors\r\n", b""])
@pytest.mark.parametrize("step", [b"MAIL", b"RCPT", b"."])
def test_refusal_survives_what_comes_after_it(step: bytes, after: bytes | None) -> None:
    """Servers that refuse and hang up, or fall silent: the refusal is what counts."""

    def refusing(c: Conversation) -> None:
        c.send(b"220 mx\r\n")
        data = False
        while line := c.readline():
            if data and line != b".\r\n":
                continue
            data = line.upper().startswith(b"DATA")
            if line.upper().startswith(step):
                c.send(b"554 5.7.1 spam\r\n")
                if after is not None:
                    c.readline()
                    c.send(after)
                    c.read_to_end()
                return
            c.send(b"354 go\r\n" if data else b"250 ok\r\n")

    with (
        ScriptedServer(refusing) as server,
        SmtpSender.open(plain(server.port), from_address="a@b.test") as open_sender,
        pytest.raises(RefusedError) as caught,
    ):
        open_sender.send(Draft(to="c@d.test", subject="s", text="x"))
    assert not caught.value.retryable
    assert "spam" in str(caught.value)


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
