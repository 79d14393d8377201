"""What a server says about being left alone, and what is done about it."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn import backoff
from airflow_email_conn.backends.imap.mailbox import ImapMailbox
from airflow_email_conn.errors import AuthenticationError, ServerError, UnavailableError
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.model.server import Credential, Server
from tests.contract.imap_script import imap_script
from tests.contract.places import ignore
from tests.servers.scripted import ScriptedServer

if TYPE_CHECKING:
    from airflow_email_conn.errors import EmailError


def _server(port: int) -> Server:
    return Server(
        "imap", "127.0.0.1", port, "none", credential=Credential("secret", "ann", "pw-123"), timeout=2.0
    )


def _refused(**answers: Any) -> tuple[EmailError, ScriptedServer]:
    """The error of opening INBOX and listing it."""
    with ScriptedServer(imap_script(answers)) as server:
        with pytest.raises(ServerError) as caught, ImapMailbox.open(_server(server.port), ignore) as mailbox:
            list(mailbox.search(MailQuery()))
        return caught.value, server


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"NO [UNAVAILABLE] Maximum number of connections from user+IP exceeded", None),
        (b"NO Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)", None),
        (b"NO [ALERT] Too many simultaneous connections. (Failure)", None),
        (b"NO [OVERQUOTA] Account exceeded command or bandwidth limits.", None),
        (b"NO [INUSE] mailbox in use", None),
        (b"NO [LIMIT] rate limit hit", None),
        (b"NO [THROTTLED] slow down", None),
        (b"NO Server Unavailable. 15", None),
        (b"BAD User is authenticated but not connected.", None),
        (b"BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds", 299.961),
    ],
)
@pytest.mark.parametrize("command", ["AUTHENTICATE", "EXAMINE", "SEARCH"])
def test_servers_that_are_busy(command: str, text: bytes, seconds: float | None) -> None:
    """Each is retryable, whichever command is refused, and says how long it is to be left alone."""
    error, _ = _refused(**{"SEARCH": b"* SEARCH\r\n%b OK\r\n", command: b"%b " + text + b"\r\n"})
    assert isinstance(error, UnavailableError)
    assert error.retryable
    assert error.retry_after == seconds
    assert ("300 s" in error.message) == (seconds is not None)
    again = pickle.loads(pickle.dumps(error))
    assert (again.message, again.retry_after) == (error.message, error.retry_after)


def test_a_wrong_password_is_no_throttling() -> None:
    """One sign-in, and an error that is not retryable."""
    error, server = _refused(AUTHENTICATE=b"%b NO [AUTHENTICATIONFAILED] no\r\n")
    assert isinstance(error, AuthenticationError)
    assert not error.retryable
    assert server.received.count(b"AUTHENTICATE") == 1


def test_a_server_that_asks_for_a_name() -> None:
    """NetEase: ID goes along with the first EXAMINE, once, and only where it is known."""
    search = b"* SEARCH\r\n%b OK\r\n"
    signed_in = b"%b OK [CAPABILITY IMAP4rev1 ID] in\r\n"
    named: list[bytes] = []

    def examine(_arguments: str) -> bytes:
        return b"%b OK done\r\n" if named else b"%b NO EXAMINE Unsafe Login. Please contact kefu@188.com\r\n"

    def identify(arguments: str) -> bytes:
        named.append(arguments.encode())
        return b'* ID ("name" "Coremail Imap")\r\n%b OK\r\n'

    answers = {"AUTHENTICATE": signed_in, "ID": identify, "EXAMINE": examine, "SEARCH": search}
    with (
        ScriptedServer(imap_script(answers)) as server,
        ImapMailbox.open(_server(server.port), ignore) as mailbox,
    ):
        assert list(mailbox.search(MailQuery())) == []
        assert list(mailbox.search(MailQuery())) == []
    assert len(named) == 1
    with ScriptedServer(imap_script({"SEARCH": search})) as server:
        with ImapMailbox.open(_server(server.port), ignore) as mailbox:
            list(mailbox.search(MailQuery()))
        assert b" ID " not in server.received


def test_pauses_grow_and_obey() -> None:
    """Twice as long each time up to a bound, never the same, and never less than what was asked for."""
    error = UnavailableError("busy")
    for attempt, most in ((1, 1), (2, 2), (3, 4), (9, 8), (99, 8)):
        pauses = {backoff.pause_before(attempt, error, longest=8) for _ in range(50)}
        assert most / 2 <= min(pauses) < max(pauses) <= most
    asked = UnavailableError("busy", retry_after=30)
    assert 30 < backoff.pause_before(1, asked, longest=8) <= 31
