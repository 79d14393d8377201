"""The hook: its mailbox, its sending, and the connection test."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.execution_time.timeout import timeout

from airflow_email_conn.errors import CapabilityError, DeliveryUnknownError, SettingsError
from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn.model.draft import Draft
from airflow_email_conn.model.query import MailQuery
from tests.airflow.conftest import ROBOT, VENDOR
from tests.contract.mails import invoice
from tests.servers.faultproxy import Fault, FaultProxy
from tests.servers.scripted import Conversation, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_email_conn.backends.base import Mailbox
    from tests.servers.bed import Bed
    from tests.servers.embedded import EmbeddedServers


def test_mailbox_and_send(
    connect: Callable[..., None],
    embedded: EmbeddedServers,
    mailboxes: Callable[[str], Mailbox],
    tmp_path: Path,
) -> None:
    """What the README shows: search, save, move, send."""
    mailboxes(ROBOT).create_folder("Done")
    embedded.append(ROBOT, invoice())
    hook = EmailHook("email_default")
    saved = tmp_path / "file.csv"
    with hook.mailbox() as mailbox:
        for mail in mailbox.search(MailQuery(sender="@acme.com", attachment="*.csv", unseen=True), limit=50):
            with saved.open("wb") as file:
                mailbox.save(mail.attachments[1], file)
            mailbox.move(mail.ref, "Done")
    receipt = hook.send(Draft(to=[VENDOR], subject="Report", html="<p>...</p>", attachments=[saved.as_uri()]))
    assert receipt.accepted == (VENDOR,)
    (received,) = mailboxes(VENDOR).search(MailQuery())
    assert received.message_id == receipt.message_id
    assert [a.name for a in received.attachments] == ["file.csv"]
    assert [mail.subject for mail in mailboxes(ROBOT).search(MailQuery(), folder="Done")]


def test_lost_answer_fails_for_good(
    connect: Callable[..., None], embedded: EmbeddedServers, mailboxes: Callable[[str], Mailbox]
) -> None:
    """The mail went out, the answer did not come: no retry by Airflow, and the message says so."""
    with FaultProxy(embedded.smtp_port) as proxy:
        proxy.fault = Fault("cut", when=rb"\r\n\.\r\n$")
        connect({"outgoing_port": proxy.port, "outgoing_security": "none", "outgoing_credential": "none"})
        with pytest.raises(AirflowFailException, match="may have gone out") as caught:
            EmailHook().send(Draft(to=[ROBOT], subject="once", text="x"))
    assert isinstance(caught.value, DeliveryUnknownError)
    assert [mail.subject for mail in mailboxes(ROBOT).search(MailQuery())] == ["once"]
    assert proxy.connections == 1


def test_lost_answer_fails_for_good_on_an_open_sender(
    connect: Callable[..., None], embedded: EmbeddedServers
) -> None:
    """Many mails over one connection are no less careful."""
    with FaultProxy(embedded.smtp_port) as proxy:
        proxy.fault = Fault("cut", when=rb"\r\n\.\r\n$")
        connect({"outgoing_port": proxy.port, "outgoing_security": "none", "outgoing_credential": "none"})
        with EmailHook().sender() as sender, pytest.raises(AirflowFailException, match="may have gone out"):
            sender.send(Draft(to=[ROBOT], subject="once", text="x"))


def test_task_timeout_while_the_answer_is_awaited_fails_for_good(connect: Callable[..., None]) -> None:
    """Airflow's execution_timeout would be retried, and the mail sent again."""

    def slow(conversation: Conversation) -> None:
        conversation.send(b"220 mx\r\n")
        while line := conversation.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                conversation.send(b"354 go\r\n")
                while conversation.readline() != b".\r\n":
                    pass
                conversation.read_to_end()
                return
            conversation.send(b"250 ok\r\n")

    with ScriptedServer(slow) as server:
        connect(
            {
                "outgoing_port": server.port,
                "outgoing_security": "none",
                "outgoing_credential": "none",
                "from_address": ROBOT,
            }
        )
        with pytest.raises(AirflowFailException, match="may have gone out"), timeout(1):
            EmailHook().send(Draft(to=[ROBOT], subject="once", text="x"))


def test_connection_test_names_every_step(connect: Callable[..., None]) -> None:
    """Green: both directions, one line."""
    ok, text = EmailHook("email_default").test_connection()
    assert ok, text
    assert "\n" not in text
    assert "Incoming (imap localhost port" in text
    assert "resolve, connect, TLS, greeting, sign in, open INBOX, 1 folder;" in text
    assert "Outgoing (smtp localhost port" in text
    assert text.count("OK") == 2
    assert "From" not in text


def test_connection_test_tells_that_there_is_no_sender(
    connect: Callable[..., None], embedded: EmbeddedServers, mailboxes: Callable[[str], Mailbox]
) -> None:
    """Green, since a mail may name its own; whoever relies on the connection learns it here."""
    mailboxes(ROBOT).create_folder("Done")
    extra = {"outgoing_user": "robot", "outgoing_credential": "none", "outgoing_security": "none"}
    connect({**extra, "outgoing_port": embedded.smtp_port})
    ok, text = EmailHook("email_default").test_connection()
    assert ok, text
    assert "open INBOX, 2 folders;" in text
    assert text.endswith(
        "no sign-in; From is empty and the user is no address: each mail must name its sender"
    )


@pytest.mark.parametrize(
    ("changes", "extra", "expected"),
    [
        ({"password": "wrong-password"}, {}, "FAILED at step 'sign in'"),
        ({"host": "no-such-host.invalid"}, {}, "FAILED at step 'resolve'"),
        ({"port": 1}, {}, "FAILED at step 'connect'"),
        ({}, {"ca_certificates": ""}, "FAILED at step 'TLS'"),
        ({}, {"incoming_security": "starttls"}, "FAILED at step 'greeting'"),
        ({}, {"outgoing_security": "tls"}, "FAILED at step 'TLS'"),
        ({"port": -1}, {}, "The connection cannot be used: Incoming port (0 = standard) (port)"),
        ({}, {"outgoing_protocl": "x"}, "did you mean outgoing_protocol?"),
    ],
)
def test_connection_test_names_the_step_that_failed(
    connect: Callable[..., None], changes: dict[str, Any], extra: dict[str, Any], expected: str
) -> None:
    """Red: which step, one line, no secret, no server text."""
    connect({"timeout": 2, **extra}, **changes)
    started = time.monotonic()
    ok, text = EmailHook("email_default").test_connection()
    assert not ok
    assert expected in text
    assert "\n" not in text
    assert "wrong-password" not in text
    assert time.monotonic() - started < 20


def test_connection_test_repeats_no_server_text(connect: Callable[..., None]) -> None:
    """Or the Test button would tell what listens on any port of the network."""

    def ssh(conversation: Conversation) -> None:
        conversation.send(b"SSH-2.0-OpenSSH_9.2 secret-banner\r\n")
        conversation.read_to_end()

    with ScriptedServer(ssh) as server:
        connect({"incoming_security": "none", "outgoing_port": server.port, "timeout": 2}, port=server.port)
        ok, text = EmailHook().test_connection()
    assert not ok
    assert "SSH" not in text
    assert "banner" not in text


def test_connection_test_ends_on_a_silent_server(connect: Callable[..., None]) -> None:
    """A port that accepts and never speaks."""
    with ScriptedServer(Conversation.read_to_end) as server:
        connect({"incoming_security": "none", "outgoing_protocol": "none", "timeout": 1}, port=server.port)
        started = time.monotonic()
        ok, text = EmailHook().test_connection()
    assert not ok
    assert "FAILED at step 'greeting'" in text
    assert time.monotonic() - started < 5


def test_connection_test_has_one_limit_for_all_its_steps(
    connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that takes its time at every step of both directions."""
    monkeypatch.setattr("airflow_email_conn.hooks.probe._TEST_LIMIT", 1.0)

    def slow(conversation: Conversation) -> None:
        conversation.send(b"* OK hi\r\n")
        while line := conversation.readline():
            time.sleep(0.8)
            conversation.send(b"* CAPABILITY IMAP4rev1\r\n" + line.split()[0] + b" OK done\r\n")

    with ScriptedServer(slow) as server:
        connect({"incoming_security": "none", "outgoing_port": 1}, port=server.port)
        started = time.monotonic()
        ok, text = EmailHook().test_connection()
    assert not ok
    assert "not done within 1 s" in text
    assert time.monotonic() - started < 2.5


def test_connection_test_answers_whatever_happens(
    connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow's button shows what the hook returns, not what it raises."""

    def broken(*_arguments: Any, **_keywords: Any) -> None:
        raise ValueError("s3cret")

    monkeypatch.setattr("airflow_email_conn.hooks.probe.open_mailbox", broken)
    ok, text = EmailHook().test_connection()
    assert not ok
    assert "unexpected ValueError" in text
    assert "s3cret" not in text


def test_airflows_own_command_tests_the_connection(connect: Callable[..., None], database: None) -> None:
    """`airflow connections test` on an environment variable."""
    run = subprocess.run(
        [sys.executable, "-m", "airflow", "connections", "test", "email_default"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Connection success!" in run.stdout + run.stderr, run.stdout + run.stderr


def test_sending_without_an_outgoing_side(connect: Callable[..., None]) -> None:
    """One clear error that names the field."""
    connect({"outgoing_protocol": "none"})
    with pytest.raises(CapabilityError, match=r"no outgoing side: fill in outgoing_host"):
        EmailHook().send(Draft(to=[ROBOT], subject="x", text="x"))
    connect({"incoming_protocol": "none"})
    with pytest.raises(CapabilityError, match=r"no incoming side: fill in host"):
        EmailHook().mailbox()


def test_pop3(connect: Callable[..., None], bed: Bed) -> None:
    """The connection test, and a mailbox that says what it cannot do."""
    login = next(iter(bed.users))
    bed.empty(login)
    bed.append(login, invoice())
    connect(
        {"incoming_protocol": "pop3", "outgoing_protocol": "none", "ca_certificates": str(bed.ca)},
        port=bed.pop3s_port,
        login=login,
        password=bed.users[login],
    )
    ok, text = EmailHook("email_default").test_connection()
    assert ok
    steps = "resolve, connect, TLS, greeting, sign in, open INBOX"
    where = f"Incoming (pop3 localhost port {bed.pop3s_port}, security tls)"
    assert text == f"{where} OK: {steps}; No outgoing server: the connection only receives"
    with EmailHook("email_default").mailbox() as mailbox:
        (mail,) = mailbox.search(MailQuery(attachment="*.csv"))
        with pytest.raises(CapabilityError, match="POP3 has no folder but INBOX"):
            mailbox.move(mail.ref, "Done")


def test_broken_connection_is_one_error(connect: Callable[..., None]) -> None:
    """All problems at once, before anything is opened."""
    connect({"timeout": "soon", "credentials": "secret"}, port=70000, password="")
    with pytest.raises(SettingsError) as caught:
        EmailHook().mailbox()
    assert len(caught.value.problems) == 4
