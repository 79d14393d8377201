"""How an IMAP session opens, and what it does with servers that refuse, lie or fall silent."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.backends.imap.mailbox import ImapMailbox
from airflow_email_conn.errors import (
    AuthenticationError,
    ConnectError,
    DeadlineError,
    EmailError,
    NetworkError,
    ProtocolError,
    ServerError,
    TLSError,
    UnavailableError,
)
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.model.server import Credential, Server
from tests.contract.mails import invoice
from tests.contract.test_mailbox import ignore, imap_server
from tests.servers.faultproxy import Fault, FaultProxy
from tests.servers.scripted import Conversation, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.base import MailServers
    from tests.servers.bed import Bed


def count(server: Server) -> int:
    """Open a mailbox and count its mails."""
    with ImapMailbox.open(server, ignore) as mailbox:
        return len(list(mailbox.search(MailQuery())))


# ------------------------------------------------------------ opening


@pytest.mark.parametrize("user", [0, 1, 2, 3])
@pytest.mark.parametrize("security", ["tls", "starttls", "none"])
def test_security_and_users(servers: MailServers, security: str, user: int) -> None:
    """Every security with every kind of user name and password, non-ASCII ones too."""
    login = list(servers.users)[user]
    port = servers.imaps_port if security == "tls" else servers.imap_port
    assert count(imap_server(servers, login, security=security, port=port)) >= 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_identity_by_name_and_address(servers: MailServers, host: str) -> None:
    """A certificate names hosts and addresses."""
    assert count(imap_server(servers, next(iter(servers.users)), host=host)) >= 0


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_unknown_authority_is_refused_unless_the_check_is_off(servers: MailServers, security: str) -> None:
    """The system's store does not know the test authority."""
    login = next(iter(servers.users))
    port = servers.imaps_port if security == "tls" else servers.imap_port
    server = imap_server(servers, login, security=security, port=port, ca_certificates="")
    with pytest.raises(TLSError, match="not trusted"):
        count(server)
    trusting = imap_server(
        servers, login, security=security, port=port, ca_certificates="", check_server_identity=False
    )
    assert count(trusting) >= 0


@pytest.mark.parametrize(
    ("host", "message"),
    [("127.0.0.2", "expired"), ("127.0.0.3", "another"), ("127.0.0.4", "self-signed")],
)
def test_bad_certificates_are_refused_before_any_credential(bed: Bed, host: str, message: str) -> None:
    """By verified TLS: expired, for another host, self-signed."""
    login = next(iter(bed.users))
    with pytest.raises(TLSError, match=message):
        count(imap_server(bed, login, host=host))


def test_plain_sign_in_where_the_server_forbids_it(bed: Bed) -> None:
    """LOGINDISABLED: the mend names the field, and no password goes out."""
    login = next(iter(bed.users))
    with FaultProxy(bed.imap_port, "127.0.0.5") as proxy:
        with pytest.raises(AuthenticationError, match="incoming security"):
            count(imap_server(bed, login, port=proxy.port, security="none"))
        assert b"LOGIN" not in proxy.seen_from_client
        assert b"AUTHENTICATE" not in proxy.seen_from_client


def test_wrong_password_is_tried_once(servers: MailServers) -> None:
    """One command, one clear error, without the password."""
    login = next(iter(servers.users))
    with FaultProxy(servers.imap_port) as proxy:
        server = imap_server(
            servers,
            login,
            port=proxy.port,
            security="none",
            credential=Credential("secret", login, "wr0ng-pw"),
        )
        with pytest.raises(AuthenticationError, match="check the user and the secret") as caught:
            count(server)
        sent = proxy.seen_from_client.upper()
    assert sent.count(b"LOGIN") + sent.count(b"AUTHENTICATE") == 1
    assert "wr0ng-pw" not in repr(caught.value)
    assert "wr0ng-pw" not in repr(server)


def test_nobody_listens() -> None:
    """A closed port, and a name that does not exist."""
    with pytest.raises(ConnectError, match="port 1"):
        count(Server("imap", "127.0.0.1", 1))
    with pytest.raises(ConnectError, match="no address found"):
        count(Server("imap", "no-such-host.invalid", 993))


# ------------------------------------------------------------ hostile servers


def scripted(handler: Callable[[Conversation], object], **changes: Any) -> tuple[BaseException, bytes]:
    """Open a mailbox on a scripted server; the error, and what the server received."""
    with ScriptedServer(handler) as server:
        settings = Server(
            **{
                "protocol": "imap",
                "host": "127.0.0.1",
                "port": server.port,
                "security": "none",
                "credential": Credential("secret", "ann", "s3cret-pw"),
                "timeout": 1.0,
                **changes,
            }
        )
        with pytest.raises(EmailError) as caught:
            count(settings)
    return caught.value, bytes(server.received)


def answering(greeting: bytes, *answers: bytes) -> Callable[[Conversation], object]:
    """A server that greets and gives these answers, `%b` standing for the tag; then it is silent."""

    def handler(conversation: Conversation) -> None:
        conversation.send(greeting)
        for answer in answers:
            tag = conversation.readline().split(b" ")[0]
            conversation.send(answer.replace(b"%b", tag))
        conversation.read_to_end()

    return handler


CAPABLE = b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR STARTTLS] hi\r\n"


@pytest.mark.parametrize("security", ["tls", "none", "starttls"])
def test_silent_server_ends_at_the_timeout(security: str) -> None:
    """Before the greeting, or in the TLS handshake."""
    started = time.monotonic()
    error, _ = scripted(Conversation.read_to_end, security=security)
    assert isinstance(error, DeadlineError)
    assert 0.9 < time.monotonic() - started < 3


def test_one_byte_now_and_then_ends_at_the_timeout() -> None:
    """A drip is no progress."""

    def drip(conversation: Conversation) -> None:
        for byte in b"* OK " + b"x" * 100:
            conversation.send(bytes([byte]))
            time.sleep(0.2)

    started = time.monotonic()
    with ScriptedServer(drip) as server, pytest.raises(DeadlineError):
        count(Server("imap", "127.0.0.1", server.port, "none", timeout=1.0))
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    ("greeting", "kind"),
    [
        (b"SSH-2.0-OpenSSH\r\n", ProtocolError),
        (b"220 smtp ready\r\n", ProtocolError),
        (b"* BYE too busy\r\n", UnavailableError),
        (b"* PREAUTH welcome\r\n", ProtocolError),
        (b"A1 OK hello\r\n", ProtocolError),
        (b"", NetworkError),
    ],
)
def test_strange_greetings(greeting: bytes, kind: type[EmailError]) -> None:
    """What is no IMAP server, or one that does not want us."""
    error, received = scripted(answering(greeting) if greeting else Conversation.close)
    assert isinstance(error, kind)
    assert received == b""


@pytest.mark.parametrize(
    "handler",
    [
        answering(b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n"),  # stripped
        answering(CAPABLE, b"%b NO not now\r\n"),
        answering(CAPABLE, b"%b BAD what\r\n"),
        answering(CAPABLE, b"%b OK go\r\nA9 OK injected\r\n* CAPABILITY EVIL\r\n"),
        answering(b"* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n"),
        answering(CAPABLE, b"%b OK go\r\n"),  # and then no TLS
    ],
    ids=["stripped", "no", "bad", "injected", "preauth", "silent"],
)
def test_starttls_is_strict(handler: Callable[[Conversation], object]) -> None:
    """Whatever the server does instead, no credential goes out in clear."""
    error, received = scripted(handler, security="starttls")
    assert isinstance(error, TLSError | ProtocolError | DeadlineError)
    assert b"AUTHENTICATE" not in received
    assert b"LOGIN" not in received


def test_credential_none() -> None:
    """No sign-in: a server that trusts us already, and one that does not."""
    select = b"* OK [UIDVALIDITY 1] ok\r\n%b OK [READ-ONLY] ok\r\n"
    search = b"* SEARCH\r\n%b OK\r\n"
    greeting = b"* PREAUTH [CAPABILITY IMAP4rev1] welcome\r\n"
    with ScriptedServer(answering(greeting, select, search)) as server:
        assert count(Server("imap", "127.0.0.1", server.port, "none", timeout=2.0)) == 0
    assert b"LOGIN" not in server.received
    error, _ = scripted(answering(CAPABLE, b"%b NO sign in first\r\n"), credential=Credential())
    assert isinstance(error, ServerError | DeadlineError)


def test_echoed_secret_is_hidden() -> None:
    """A server that repeats the command in its refusal."""
    error, _ = scripted(
        answering(b"* OK [CAPABILITY IMAP4rev1] hi\r\n", b'%b NO wrong: LOGIN "ann" "s3cret-pw"\r\n')
    )
    assert isinstance(error, AuthenticationError)
    assert "s3cret-pw" not in str(error)
    assert "***" in str(error)


def test_secret_echoed_in_a_farewell_is_hidden() -> None:
    """An untagged BYE instead of an answer."""
    error, _ = scripted(answering(b"* OK [CAPABILITY IMAP4rev1] hi\r\n", b"* BYE rejected s3cret-pw\r\n"))
    assert isinstance(error, UnavailableError)
    assert "s3cret-pw" not in repr(error)


def serving(*answers: bytes) -> Callable[[Conversation], object]:
    """A server that signs everybody in, has one folder, and then gives these answers."""
    return answering(
        CAPABLE,
        b"%b OK [CAPABILITY IMAP4rev1] in\r\n",
        b"* OK [UIDVALIDITY 1] ok\r\n%b OK [READ-ONLY] ok\r\n",
        *answers,
    )


def found(handler: Callable[[Conversation], object], **filters: Any) -> list[Any]:
    """What a search on a scripted server finds."""
    credential = Credential("secret", "a", "b")
    with ScriptedServer(handler) as server:
        settings = Server("imap", "127.0.0.1", server.port, "none", credential=credential, timeout=3.0)
        with ImapMailbox.open(settings, ignore) as mailbox:
            return list(mailbox.search(MailQuery(**filters)))


def test_server_that_searches_ascii_only() -> None:
    """BADCHARSET (Exchange): a wider search, and the client decides."""

    def handler(conversation: Conversation) -> None:
        conversation.send(CAPABLE)

        def answer(text: bytes) -> bytes:
            line = conversation.readline()
            conversation.send(text.replace(b"%b", line.split()[0]))
            return line

        answer(b"%b OK [CAPABILITY IMAP4rev1 LITERAL+] in\r\n")
        answer(b"* OK [UIDVALIDITY 1] ok\r\n%b OK ok\r\n")
        answer(b"%b NO [BADCHARSET (US-ASCII)] no\r\n")
        conversation.readline()  # the literal
        assert answer(b"* SEARCH 1 2\r\n%b OK\r\n").endswith(b" UID SEARCH ALL\r\n")
        for uid, subject in ((1, "März"), (2, "April")):
            header = f"Subject: {subject}\r\n\r\n".encode()
            conversation.send(
                b"* %d FETCH (UID %d RFC822.SIZE 9 BODY[HEADER.FIELDS (SUBJECT)] {%d}\r\n%b)\r\n"
                % (uid, uid, len(header), header)
            )
        answer(b"%b OK\r\n")
        conversation.read_to_end()

    assert [mail.subject for mail in found(handler, subject="märz")] == ["März"]


def test_one_answer_that_breaks_the_grammar_hides_no_other_mail() -> None:
    """A server that quotes a sender's file name badly."""
    good = b"* 2 FETCH (UID 8 RFC822.SIZE 9 BODYSTRUCTURE NIL)\r\n"
    bad = b'* 1 FETCH (UID 7 RFC822.SIZE 9 BODYSTRUCTURE ("TEXT" "PLAIN" ("NAME" "a"b.csv")))\r\n'
    mails = found(serving(b"* SEARCH 7 8\r\n%b OK\r\n", bad + good + b"%b OK\r\n"))
    assert [mail.ref.uid for mail in mails] == ["7", "8"]
    assert mails[0].defects == ("the server did not describe the parts of the mail",)


@pytest.mark.parametrize(
    "answer",
    [
        b"* ESEARCH UID ALL 1:4000000\r\n" * 6 + b"%b OK\r\n",
        b"* ESEARCH UID ALL 1:" + b"9" * 5000 + b"\r\n%b OK\r\n",
        b"* SEARCH x\r\n%b OK\r\n",
    ],
    ids=["many", "endless", "words"],
)
def test_hostile_searches_are_refused(answer: bytes) -> None:
    """Before they fill the memory."""
    with pytest.raises(ProtocolError):
        found(serving(answer))


def test_endless_numbers_are_no_uids() -> None:
    """Python refuses to read them; nothing but our own errors may come out."""
    answer = b"* 1 FETCH (UID " + b"7" * 5000 + b" RFC822.SIZE " + b"9" * 5000 + b")\r\n%b OK\r\n"
    assert found(serving(b"* SEARCH 7\r\n%b OK\r\n", answer)) == []


def test_mails_nobody_asked_for_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor are more literals than the mails asked for can have."""
    monkeypatch.setattr("airflow_email_conn.backends.imap.literals._MAX_HELD", 1_000_000)
    unasked = b"* 1 FETCH (UID 99 RFC822.SIZE 9 BODY[HEADER.FIELDS (SUBJECT)] {200000}\r\n%b)\r\n" % (
        b"x" * 200_000
    )
    with pytest.raises(ProtocolError, match="octets of literals"):
        found(serving(b"* SEARCH 7\r\n%b OK\r\n", unasked * 20 + b"%b OK\r\n"))


def test_endless_answers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never comes to the end of an answer."""
    monkeypatch.setattr("airflow_email_conn.backends.imap.session._MAX_ANSWERS", 100_000)

    def flood(conversation: Conversation) -> None:
        conversation.send(CAPABLE)
        conversation.readline()
        while not conversation.closed:
            conversation.send(b"* 1 EXISTS\r\n" * 1000)

    with ScriptedServer(flood) as server, pytest.raises(ProtocolError, match="octets of answers"):
        count(
            Server(
                "imap", "127.0.0.1", server.port, "none", credential=Credential("secret", "a", "b"), timeout=5
            )
        )


# ------------------------------------------------------------ broken connections


def save_the_csv(server: Server) -> None:
    """Open, search, save; a session that broke is refused from then on."""
    with ImapMailbox.open(server, ignore) as mailbox:
        (mail,) = mailbox.search(MailQuery())
        try:
            mailbox.save(mail.attachments[1], io.BytesIO())
        except NetworkError:
            with pytest.raises(NetworkError, match="session is closed"):
                mailbox.folders()
            raise


@pytest.mark.parametrize("kind", ["cut", "reset", "stall"])
@pytest.mark.parametrize("after", [10, 400, 1500, 40_000, 250_000])
def test_broken_connection_is_one_error(servers: MailServers, kind: Any, after: int) -> None:
    """At any point: an error within the timeout, and the session is not used again."""
    login = next(iter(servers.users))
    servers.empty(login)
    servers.append(login, invoice(csv=bytes(range(256)) * 1000))
    with FaultProxy(servers.imap_port) as proxy:
        proxy.fault = Fault(kind, side="server", after=after)
        server = imap_server(servers, login, port=proxy.port, security="none", timeout=1.0)
        started = time.monotonic()
        with pytest.raises(NetworkError) as caught:
            save_the_csv(server)
        assert caught.value.retryable
        assert time.monotonic() - started < 4
        proxy.fault = None
        assert count(server) == 1


def test_failing_file_breaks_the_session_not_the_mailbox(servers: MailServers) -> None:
    """A full disk in the middle of a download: its error comes out, and nothing hangs."""
    login = next(iter(servers.users))
    servers.empty(login)
    servers.append(login, invoice(csv=bytes(range(256)) * 1000))

    class Full:
        def write(self, data: bytes) -> None:
            raise OSError(28, "No space left on device")

    with ImapMailbox.open(imap_server(servers, login), ignore) as mailbox:
        (mail,) = mailbox.search(MailQuery())
        with pytest.raises(OSError, match="No space left"):
            mailbox.save(mail.attachments[1], Full())
        with pytest.raises((NetworkError, ServerError)):
            mailbox.raw(mail.ref)
    assert count(imap_server(servers, login)) == 1
