"""Opening a mailbox again, when that may help: how often the server sees a sign-in."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn import backoff
from airflow_email_conn.errors import AuthenticationError, ConnectError, EmailError, UnavailableError
from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn.model.query import MailQuery
from tests.contract.imap_script import imap_script
from tests.servers.scripted import ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable

IN = b"%b OK [CAPABILITY IMAP4rev1] in\r\n"
BUSY = b"%b NO [UNAVAILABLE] Maximum number of connections from user+IP exceeded\r\n"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of milliseconds."""
    monkeypatch.setattr(backoff, "_FIRST", 0.01)


def signing_in(*answers: bytes) -> ScriptedServer:
    """A server that answers the first sign-ins so, and all later ones by the last."""
    left = list(answers)

    def sign_in(_arguments: str) -> bytes:
        return left.pop(0) if len(left) > 1 else left[0]

    return ScriptedServer(imap_script({"AUTHENTICATE": sign_in, "SEARCH": b"* SEARCH\r\n%b OK\r\n"}))


def opened(server: ScriptedServer, connect: Callable[..., None]) -> int:
    """Open the mailbox and look; how many sign-ins that took."""
    connect({"incoming_security": "none"}, host="127.0.0.1", port=server.port)
    try:
        with EmailHook().mailbox() as mailbox:
            assert list(mailbox.search(MailQuery())) == []
    finally:
        count = server.received.count(b" AUTHENTICATE ")
    return count


def test_a_busy_server_is_tried_again(connect: Callable[..., None]) -> None:
    """Twice too many connections, then it lets us in."""
    with signing_in(BUSY, BUSY, IN) as server:
        assert opened(server, connect) == 3


def test_a_wrong_password_is_tried_once(connect: Callable[..., None]) -> None:
    """A second try may lock the account."""
    with signing_in(b"%b NO [AUTHENTICATIONFAILED] no\r\n") as server:
        with pytest.raises(AuthenticationError):
            opened(server, connect)
        assert server.received.count(b" AUTHENTICATE ") == 1


def test_a_server_that_stays_busy_is_given_up(connect: Callable[..., None]) -> None:
    """After four tries."""
    with signing_in(BUSY) as server:
        with pytest.raises(UnavailableError):
            opened(server, connect)
        assert server.received.count(b" AUTHENTICATE ") == 4


def test_a_pause_beyond_the_budget_is_left_to_airflow(connect: Callable[..., None]) -> None:
    """Exchange asks for five minutes: one try, and an error that says so."""
    throttled = b"%b NO Request is throttled. Suggested Backoff Time: 299961 milliseconds\r\n"
    with signing_in(throttled) as server:
        with pytest.raises(UnavailableError, match="left alone for 300 s") as caught:
            opened(server, connect)
        assert server.received.count(b" AUTHENTICATE ") == 1
    assert caught.value.retry_after == 299.961


def test_a_pause_that_fits_is_obeyed(connect: Callable[..., None]) -> None:
    """Not one moment sooner than the server asked for."""
    throttled = b"%b NO Request is throttled. Suggested Backoff Time: 700 milliseconds\r\n"
    started = time.monotonic()
    with signing_in(throttled, IN) as server:
        assert opened(server, connect) == 2
    assert time.monotonic() - started > 0.7


def test_nobody_listens(connect: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    """Tried again, since servers are restarted; each failure is told."""
    with signing_in(IN) as closed:
        port = closed.port
    connect({"incoming_security": "none"}, host="127.0.0.1", port=port)
    with pytest.raises(ConnectError):
        EmailHook().mailbox()
    assert capsys.readouterr().out.count("next try in") == 3


def test_the_connection_test_does_not_wait(
    connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One try: somebody sits before it."""
    monkeypatch.setattr(backoff, "_FIRST", 60.0)
    with signing_in(BUSY) as server:
        connect({"incoming_security": "none"}, host="127.0.0.1", port=server.port)
        ok, text = EmailHook().test_connection()
        assert not ok
        assert "Incoming" in text
        assert server.received.count(b" AUTHENTICATE ") == 1


def test_other_errors_are_raised_as_they_are(connect: Callable[..., Any]) -> None:
    """Settings that cannot work are not tried at all."""
    connect(host="")
    with pytest.raises(EmailError):
        EmailHook().mailbox()
