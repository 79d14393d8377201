"""How sessions sign in with an access token, and what they do with servers that refuse it, lie or hang."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from airflow_email_conn.backends.imap.session import ImapSession
from airflow_email_conn.backends.pop3.session import Pop3Session
from airflow_email_conn.backends.smtp.session import SmtpSession
from airflow_email_conn.errors import (
    AuthenticationError,
    CapabilityError,
    DeadlineError,
    EmailError,
    NetworkError,
    ProtocolError,
    SettingsError,
    UnavailableError,
)
from airflow_email_conn.model.server import Credential, Server
from airflow_email_conn.wire import sasl
from tests.contract.places import ignore
from tests.servers.scripted import ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.certificates import Authority, Certificate
    from tests.servers.scripted import Conversation

USER, TOKEN = "robot,1=2@example.test", "eyJhbGciOiJub25lIn0.c2hvcnQ"
LONG = "eyJhbGciOiJub25lIn0." + "bG9uZw" * 400
OPEN: dict[str, Callable[[Server], ImapSession | Pop3Session | SmtpSession]] = {
    "imap": lambda server: ImapSession.open(server, ignore),
    "pop3": lambda server: Pop3Session.open(server, ignore),
    "smtp": lambda server: SmtpSession.connect(server, "", ignore),
}
GREETING = {"imap": b"* OK hi\r\n", "pop3": b"+OK hi\r\n", "smtp": b"220 hi\r\n"}
# `%b` stands for the tag, or for the mechanisms.
OFFER = {
    "imap": b"* CAPABILITY IMAP4rev1 %b\r\nA1 OK\r\n",
    "pop3": b"+OK\r\nSASL %b\r\n.\r\n",
    "smtp": b"250-hi\r\n250 AUTH %b\r\n",
}
WELCOME = {"imap": b"%b OK [CAPABILITY IMAP4rev1] in\r\n", "pop3": b"+OK in\r\n", "smtp": b"235 2.7.0 in\r\n"}
REFUSAL = {
    "imap": b"%b NO [AUTHENTICATIONFAILED] no\r\n",
    "pop3": b"-ERR [AUTH] no\r\n",
    "smtp": b"535 5.7.8 no\r\n",
}
FOR_NOW = {
    "imap": b"%b NO [UNAVAILABLE] later\r\n",
    "pop3": b"-ERR [SYS/TEMP] later\r\n",
    "smtp": b"454 4.7.0 later\r\n",
}
ASKS = {"imap": b"+ ", "pop3": b"+ ", "smtp": b"334 "}
EXPLANATION = b64encode(json.dumps({"status": "401", "schemes": "bearer", "scope": "mail"}).encode())
MECHANISMS = ("OAUTHBEARER", "XOAUTH2")
LAST_WORD = {"OAUTHBEARER": b"AQ==\r\n", "XOAUTH2": b"\r\n"}


class Doorman:
    """A server that offers these mechanisms, and has its own answers to a sign-in.

    :param answers: what it says from AUTH on, each to one line; behind them it is silent.
    :param at_once: it takes an initial response, by IMAP.
    """

    def __init__(
        self, protocol: str, *answers: bytes, offers: tuple[str, ...] = MECHANISMS, at_once: bool = True
    ) -> None:
        """Begin; nobody has come yet."""
        self.protocol = protocol
        self.answers = answers
        names = [f"AUTH={name}" if protocol == "imap" else name for name in offers]
        self.offers = " ".join([*names, *["SASL-IR"] * at_once]).encode()
        #: Where it is reached; set by whoever lets it answer.
        self.port = 0
        #: The lines of the client, from AUTH on.
        self.lines: list[bytes] = []

    def __call__(self, talk: Conversation) -> None:
        """Hold one session."""
        talk.send(GREETING[self.protocol])
        talk.readline()
        talk.send(OFFER[self.protocol].replace(b"%b", self.offers))
        for answer in self.answers:
            line = talk.readline()
            if self.protocol == "imap":
                line = line.removeprefix(b"A2 ")
            self.lines.append(line)
            talk.send(answer.replace(b"%b", b"A2") if answer else b"")
            if not answer:
                return
        talk.read_to_end()


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Certificate:
    """The certificate of every server here."""
    return authority.issue("doorman", "127.0.0.1")


@pytest.fixture
def sign_in(authority: Authority, certificate: Certificate) -> Callable[..., EmailError | None]:
    """Sign in at a server; the error, if there is one."""

    def run(doorman: Doorman, token: str = TOKEN) -> EmailError | None:
        with ScriptedServer(doorman, certificate) as server:
            credential = Credential("bearer", USER, token)
            settings = Server(
                doorman.protocol,
                "127.0.0.1",
                server.port,
                credential=credential,
                timeout=1.0,
                ca_certificates=str(authority.ca),
            )
            doorman.port = server.port
            error = None
            try:
                OPEN[doorman.protocol](settings).close()
            except EmailError as exc:
                error = exc
        shown = f"{error!r} {error} {error and error.__cause__!r}"
        assert not any(form in shown for form in sasl.forms_of(token, sasl.bearer(settings)))
        return error

    return run


def message(doorman: Doorman, mechanism: str, token: str = TOKEN) -> bytes:
    """What the client has to say, in base64."""
    told = sasl.xoauth2(USER, token)
    if mechanism == "OAUTHBEARER":
        told = sasl.oauthbearer(USER, token, "127.0.0.1", doorman.port)
    return b64encode(told) + b"\r\n"


VERB = {"imap": b"AUTHENTICATE ", "pop3": b"AUTH ", "smtp": b"AUTH "}


def in_one_line(protocol: str, mechanism: str, token: str) -> bool:
    """Whether the first line holds the message, of a client and a server that both can."""
    limits = {"imap": True, "smtp": token == TOKEN, "pop3": token == TOKEN and mechanism != "XOAUTH2"}
    return limits[protocol]


@pytest.mark.parametrize("token", [TOKEN, LONG], ids=["short", "long"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("protocol", OPEN)
def test_sign_in(
    sign_in: Callable[..., EmailError | None], protocol: str, mechanism: str, token: str
) -> None:
    """In one line where it fits, else in two."""
    asks = [] if in_one_line(protocol, mechanism, token) else [ASKS[protocol] + b"\r\n"]
    doorman = Doorman(protocol, *asks, WELCOME[protocol], offers=("PLAIN", mechanism))
    error = sign_in(doorman, token)
    # POP3 asks for the capabilities of those who have signed in, which this server does not tell.
    assert isinstance(error, DeadlineError) if protocol == "pop3" else error is None
    begin, told = VERB[protocol] + mechanism.encode(), message(doorman, mechanism, token)
    assert doorman.lines == ([begin + b"\r\n", told] if asks else [begin + b" " + told])


def test_without_an_initial_response(sign_in: Callable[..., EmailError | None]) -> None:
    """An IMAP server without SASL-IR has to ask; and the standard is preferred."""
    doorman = Doorman("imap", b"+ \r\n", b"+ " + EXPLANATION + b"\r\n", REFUSAL["imap"], at_once=False)
    error = sign_in(doorman)
    assert isinstance(error, AuthenticationError)
    assert error.server_text == "no (status 401, scope mail)"
    assert doorman.lines == [b"AUTHENTICATE OAUTHBEARER\r\n", message(doorman, "OAUTHBEARER"), b"AQ==\r\n"]


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("protocol", OPEN)
def test_refusal_with_an_explanation(
    sign_in: Callable[..., EmailError | None], protocol: str, mechanism: str
) -> None:
    """It is answered as the mechanism has it, and told by the error, with what to check."""
    asks = [] if in_one_line(protocol, mechanism, TOKEN) else [ASKS[protocol] + b"\r\n"]
    explanation = ASKS[protocol] + EXPLANATION + b"\r\n"
    doorman = Doorman(protocol, *asks, explanation, REFUSAL[protocol], offers=(mechanism,))
    error = sign_in(doorman)
    assert isinstance(error, AuthenticationError)
    assert f"refused the access token of '{USER}': check that user is the mailbox" in error.message
    assert error.server_text.endswith("no (status 401, scope mail)")
    assert doorman.lines[-1] == LAST_WORD[mechanism]


def told(protocol: str, **text: object) -> bytes:
    """An explanation."""
    return ASKS[protocol] + b64encode(json.dumps(text).encode()) + b"\r\n"


@pytest.mark.parametrize("protocol", OPEN)
def test_echoes(sign_in: Callable[..., EmailError | None], protocol: str) -> None:
    """The token in the refusal, as it is and encoded, and in the explanation: never shown."""
    plain, coded = TOKEN.encode(), b64encode(sasl.xoauth2(USER, TOKEN))
    first = b"" if in_one_line(protocol, "XOAUTH2", TOKEN) else ASKS[protocol] + b"\r\n"
    steps = [first] if first else []
    no = REFUSAL[protocol].replace(b"no\r\n", b"no: " + plain + b" " + coded + b"\r\n")
    doorman = Doorman(
        protocol, *steps, told(protocol, status="1", scope=f"a {TOKEN}"), no, offers=("XOAUTH2",)
    )
    error = sign_in(doorman)
    assert isinstance(error, AuthenticationError)
    assert error.server_text.endswith("no: *** *** (status 1, scope a ***)")


@pytest.mark.parametrize("protocol", OPEN)
def test_refusals_for_now(sign_in: Callable[..., EmailError | None], protocol: str) -> None:
    """They say nothing of the token."""
    error = sign_in(Doorman(protocol, FOR_NOW[protocol]))
    assert type(error) is UnavailableError
    assert "cannot take the sign-in" in error.message


@pytest.mark.parametrize("protocol", OPEN)
def test_servers_that_hang_up(sign_in: Callable[..., EmailError | None], protocol: str) -> None:
    """It may pass, so it can be tried again; Dovecot also does it for a mailbox that is not there."""
    error = sign_in(Doorman(protocol, b""))
    assert isinstance(error, NetworkError)
    assert error.retryable
    assert ("there may be no such mailbox" in error.message) == (protocol != "smtp")


@pytest.mark.parametrize("protocol", OPEN)
def test_servers_that_misbehave(sign_in: Callable[..., EmailError | None], protocol: str) -> None:
    """Silence, another protocol, and questions without end: one error, in time."""
    garbage = ASKS[protocol] + b"\xff\x00{not base64}\r\n"
    endless = (ASKS[protocol] + EXPLANATION + b"\r\n",) * 50
    cases = (
        ((ASKS[protocol] + b"\r\n", garbage, REFUSAL[protocol]), EmailError),
        (endless, EmailError),
        ((b"SSH-2.0-x\r\n",), ProtocolError),
        ((b"x" * 5_000_000,), EmailError),
        ((ASKS[protocol] + b"\r\n",), DeadlineError),
    )
    for answers, kind in cases:
        started = time.monotonic()
        doorman = Doorman(protocol, *answers)
        assert isinstance(sign_in(doorman), kind)
        assert time.monotonic() - started < 4
        assert len([line for line in doorman.lines if line.startswith(VERB[protocol])]) <= 1


@pytest.mark.parametrize("protocol", OPEN)
def test_no_mechanism(sign_in: Callable[..., EmailError | None], protocol: str) -> None:
    """The error names what is offered, but no name that the server made up; nothing is sent."""
    doorman = Doorman(protocol, b"?", offers=("PLAIN", "X-EVIL", "LOGIN"))
    error = sign_in(doorman)
    assert isinstance(error, CapabilityError)
    assert "it offers LOGIN, PLAIN, not OAUTHBEARER or XOAUTH2: choose credential 'secret'" in error.message
    assert not any(line.startswith(VERB[protocol]) for line in doorman.lines)


@pytest.mark.parametrize("protocol", OPEN)
def test_never_in_clear(protocol: str) -> None:
    """Refused before a connection is made, as is a token that no header could carry."""
    with ScriptedServer(lambda talk: talk.read_to_end()) as server:
        for security, token, text in (("none", TOKEN, "encrypted only"), ("tls", "a\r\nb", "access token: ")):
            credential = Credential("bearer", USER, token)
            with pytest.raises(SettingsError, match=text):
                OPEN[protocol](Server(protocol, "127.0.0.1", server.port, security, credential=credential))
    assert server.conversations == []


@pytest.mark.parametrize(
    ("protocol", "answer", "mend"),
    [
        ("imap", b"%b NO AUTHENTICATE failed.\r\n", "IMAP.AccessAsApp"),
        ("imap", b"%b NO [ALERT] Your account is not enabled for IMAP use.\r\n", "switched off"),
        ("imap", b"%b NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)\r\n", "mail.google.com/;"),
        ("imap", b"%b NO [CONTACTADMIN] blocked\r\n", "ask its administrator"),
        ("pop3", b"-ERR Authentication failure: unknown user name or bad password.\r\n", "POP.AccessAsApp"),
        ("pop3", b"-ERR [SYS/PERM] Your account is not enabled for POP access.\r\n", "switch it on"),
        ("smtp", b"535 5.7.3 Authentication unsuccessful [X.PROD]\r\n", "SMTP.SendAsApp"),
        ("smtp", b"535 5.7.139 no, SmtpClientAuthentication is disabled for the Mailbox.\r\n", "for it$"),
        ("smtp", b"535 5.7.139 Authentication unsuccessful, conditional access\r\n", "sign-in log"),
        ("smtp", b"535 5.7.8 Username and Password not accepted.\r\n", "mail.google.com/;"),
        ("smtp", b"535 5.7.30 Basic authentication is not supported\r\n", "SMTP AUTH is switched on"),
    ],
)  # fmt: skip
def test_known_refusals(
    sign_in: Callable[..., EmailError | None], protocol: str, answer: bytes, mend: str
) -> None:
    """What they mean for tokens, which is not what they mean for passwords."""
    error = sign_in(Doorman(protocol, answer))
    assert isinstance(error, AuthenticationError)
    with pytest.raises(AuthenticationError, match=mend):
        raise AuthenticationError(error.message)
    assert "password" not in error.message
