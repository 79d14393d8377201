"""How an IMAP session opens, and what it does with servers that refuse, lie or fall silent."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.backends.imap.mailbox import ImapMailbox
from airflow_email_conn.errors import (
    AuthenticationError,
    CapabilityError,
    ConnectError,
    DeadlineError,
    EmailError,
    MailNotFoundError,
    NetworkError,
    ProtocolError,
    ServerError,
    UnavailableError,
)
from airflow_email_conn.model.message import MailRef
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.model.server import Credential, Server
from tests.contract.imap_script import imap_script
from tests.contract.mails import invoice
from tests.contract.places import ignore, imap_server
from tests.servers.faultproxy import Fault, FaultProxy
from tests.servers.scripted import Conversation, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.base import MailboxServers
    from tests.servers.bed import Bed


def count(server: Server) -> int:
    """Open a mailbox and count its mails."""
    with ImapMailbox.open(server, ignore) as mailbox:
        return len(list(mailbox.search(MailQuery())))


# ------------------------------------------------------------ opening


@pytest.mark.parametrize("security", ["tls", "starttls", "none"])
def test_security_and_users(mailbox_servers: MailboxServers, security: str) -> None:
    """Every security with every kind of user name and password, non-ASCII ones too."""
    port = mailbox_servers.imaps_port if security == "tls" else mailbox_servers.imap_port
    for login in mailbox_servers.users:
        assert count(imap_server(mailbox_servers, login, security=security, port=port)) >= 0


def test_plain_sign_in_where_the_server_forbids_it(bed: Bed) -> None:
    """LOGINDISABLED: the mend names the field, and no password goes out."""
    login = next(iter(bed.users))
    with FaultProxy(bed.imap_port, "127.0.0.5") as proxy:
        with pytest.raises(CapabilityError, match="incoming security"):
            count(imap_server(bed, login, port=proxy.port, security="none"))
        assert b"LOGIN" not in proxy.seen_from_client
        assert b"AUTHENTICATE" not in proxy.seen_from_client


def test_wrong_password_is_tried_once(mailbox_servers: MailboxServers) -> None:
    """One command, one clear error, without the password."""
    login = next(iter(mailbox_servers.users))
    with FaultProxy(mailbox_servers.imap_port) as proxy:
        server = imap_server(
            mailbox_servers,
            login,
            port=proxy.port,
            security="none",
            credential=Credential("secret", login, "wr0ng-pw"),
        )
        with pytest.raises(AuthenticationError, match="check the user and the secret") as caught:
            count(server)
        sent = proxy.seen_from_client.upper()
    assert sent.count(b"LOGIN") + sent.count(b"AUTHENTICATE") == 1
    assert f"refused the sign-in of '{login}': " in caught.value.message
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


def test_literal_that_waits_for_its_go_ahead() -> None:
    """A server without LITERAL+ asks for each literal (RFC 9051 4.3), such as the UTF-8 of a search."""
    handler = serving(b"+ go on\r\n", b"* SEARCH\r\nA3 OK done\r\n")
    assert found(handler, subject="märz") == []


def test_slow_file_is_not_the_servers_fault() -> None:
    """The timeout is for what the server does, not for what the caller does with it."""

    class Slow:
        def write(self, data: bytes) -> None:
            time.sleep(0.3)

    answer = b"* 1 FETCH (UID 7 BODY[] {400000}\r\n" + b"x" * 400_000 + b")\r\n%b OK\r\n"
    with ScriptedServer(serving(answer)) as server:
        credential = Credential("secret", "a", "b")
        settings = Server("imap", "127.0.0.1", server.port, "none", credential=credential, timeout=0.25)
        with ImapMailbox.open(settings, ignore) as mailbox:
            assert mailbox.save(MailRef("INBOX", "7", "1"), Slow()) == 400_000


def test_one_answer_that_breaks_the_grammar_hides_no_other_mail() -> None:
    """A server that quotes a sender's file name badly."""
    good = b"* 2 FETCH (UID 8 RFC822.SIZE 9 BODYSTRUCTURE NIL)\r\n"
    bad = b'* 1 FETCH (UID 7 RFC822.SIZE 9 BODYSTRUCTURE ("TEXT" "PLAIN" ("NAME" "a"b.csv")))\r\n'
    rest = b"* 1 FETCH (UID 7 RFC822.SIZE 9)\r\n%b OK\r\n"
    refused = b"%b NO cannot\r\n"
    mails = found(serving(b"* SEARCH 7 8\r\n%b OK\r\n", bad + good + b"%b OK\r\n", rest, refused))
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


# ------------------------------------------------------------ broken connections


def test_folder_made_anew_during_a_search() -> None:
    """The session breaks in the middle, and then UIDs mean other mails: to be tried again, not for good."""
    header = b"* %d FETCH (UID %d RFC822.SIZE 9 BODYSTRUCTURE NIL)\r\n"
    sessions: list[bool] = []

    def examine(_arguments: str) -> bytes:
        sessions.append(True)
        return b"* OK [UIDVALIDITY %d] ok\r\n%%b OK [READ-ONLY] ok\r\n" % len(sessions)

    def fetch(_arguments: str) -> bytes:
        return b"" if len(sessions) == 1 else header % (1, 1) + header % (2, 2) + b"%b OK\r\n"

    script = imap_script({"EXAMINE": examine, "SEARCH": b"* SEARCH 1 2\r\n%b OK\r\n", "FETCH": fetch})
    ann = Credential("secret", "ann", "s3cret-pw")
    with (
        ScriptedServer(script) as server,
        ImapMailbox.open(
            Server("imap", "127.0.0.1", server.port, "none", credential=ann, timeout=2.0), ignore
        ) as mailbox,
    ):
        with pytest.raises(UnavailableError, match="made anew") as caught:
            list(mailbox.search(MailQuery()))
        assert caught.value.retryable
        with pytest.raises(MailNotFoundError, match="rebuilt"):
            mailbox.raw(MailRef("INBOX", "1", "1"))
        assert len(list(mailbox.search(MailQuery()))) == 2


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
def test_broken_connection_is_one_error(mailbox_servers: MailboxServers, kind: Any, after: int) -> None:
    """At any point: an error within the timeout, and the session is not used again."""
    login = next(iter(mailbox_servers.users))
    mailbox_servers.empty(login)
    mailbox_servers.append(login, invoice(csv=bytes(range(256)) * 1000))
    with FaultProxy(mailbox_servers.imap_port) as proxy:
        proxy.fault = Fault(kind, side="server", after=after)
        server = imap_server(mailbox_servers, login, port=proxy.port, security="none", timeout=1.0)
        started = time.monotonic()
        with pytest.raises(NetworkError) as caught:
            save_the_csv(server)
        assert caught.value.retryable
        assert time.monotonic() - started < 4
        proxy.fault = None
        assert count(server) == 1


def test_failing_file_breaks_the_session_not_the_mailbox(mailbox_servers: MailboxServers) -> None:
    """A full disk in the middle of a download: its error comes out, and nothing hangs."""
    login = next(iter(mailbox_servers.users))
    mailbox_servers.empty(login)
    mailbox_servers.append(login, invoice(csv=bytes(range(256)) * 1000))

    class Full:
        def write(self, data: bytes) -> None:
            raise OSError(28, "No space left on device")

    with ImapMailbox.open(imap_server(mailbox_servers, login), ignore) as mailbox:
        (mail,) = mailbox.search(MailQuery())
        with pytest.raises(OSError, match="No space left"):
            mailbox.save(mail.attachments[1], Full())
        with pytest.raises((NetworkError, ServerError)):
            mailbox.raw(mail.ref)
    assert count(imap_server(mailbox_servers, login)) == 1
