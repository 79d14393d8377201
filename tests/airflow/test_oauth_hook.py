"""A connection by OAuth through all that Airflow uses it for, at a real authority and real mail servers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.log import redact

from airflow_email_conn.errors import SettingsError, SignInRequiredError
from airflow_email_conn.hooks import tokens as tokens_module
from airflow_email_conn.hooks.imap import ImapHook
from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn.hooks.tokens import VariableTokenStore, tokens_of
from airflow_email_conn.hooks.variables import get_variable
from airflow_email_conn.model.draft import Draft
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.notifications.mail import EmailNotifier, send_email
from airflow_email_conn.sensors.mail import EmailSensor
from airflow_email_conn.wire.sasl import oauthbearer, xoauth2
from tests.airflow.oauth import oauth_form, sign_in
from tests.contract.mails import invoice

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers.authority import Authority
    from tests.servers.bed import Bed

ALICE = "alice@example.test"
BOTH = pytest.mark.parametrize("kind", ["client_credentials", "device_flow"])
PASSWORD = {"client_id": None, "authority": None, "scopes": None}
# Loads the hook and opens a mailbox by password, in a process of its own.
UNLOADED = """
import sys
from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn import client
hook = EmailHook()
with hook.mailbox() as mailbox:
    mailbox.position()
assert not {"msal", "airflow_email_conn.https"} & sys.modules.keys(), "loaded for nothing"
"""


@pytest.fixture
def connect(
    bed: Bed, authority: Authority, database: None, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Define the connection `email_default` of Alice's mailbox, which is empty; nobody has signed in."""
    bed.empty(ALICE)

    def define(kind: str, *, password: str | None = None, **extra: Any) -> None:
        form = oauth_form(bed, authority, ALICE, kind=kind, **extra)
        form["password"] = password or form["password"]
        monkeypatch.setenv("AIRFLOW_CONN_EMAIL_DEFAULT", json.dumps(form))
        for side in (EmailHook().settings.incoming, EmailHook().settings.outgoing):
            if side and side.credential.oauth:
                tokens_of("").of(side).forget()

    return define


def arrived(count: int) -> bool:
    """Whether so many mails come in time, each look with a new session."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with EmailHook().mailbox() as mailbox:
            if len(list(mailbox.search(MailQuery()))) == count:
                return True
        time.sleep(0.1)
    return False


@BOTH
@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_receives_and_sends(
    connect: Callable[..., None], bed: Bed, authority: Authority, kind: str, protocol: str
) -> None:
    """Both sides with one sign-in: one token for all."""
    connect(kind, protocol=protocol)
    if kind == "device_flow":
        sign_in(authority, ALICE)
    hook = EmailHook()
    receipt = hook.send(Draft(to=[ALICE], subject="By OAuth", text="x"))
    with hook.sender() as sender:
        sender.send(Draft(to=[ALICE], subject="By OAuth, too", text="x"))
    assert receipt.accepted == (ALICE,)
    assert arrived(2)
    assert [each.explanation.taken for each in hook.preview(MailQuery(subject=", too"))].count(True) == 1
    counts = authority.counts()
    assert (counts.client_credentials, counts.refresh_token) == ((1, 0) if kind != "device_flow" else (0, 0))


@BOTH
def test_connection_test_shows_the_step(
    connect: Callable[..., None], authority: Authority, kind: str
) -> None:
    """Green, with the token before everything else."""
    connect(kind)
    if kind == "device_flow":
        sign_in(authority, ALICE)
    ok, text = EmailHook().test_connection()
    assert ok, text
    assert text.count("OK: token, resolve, connect, ") == 2


def test_connection_test_without_a_sign_in(connect: Callable[..., None]) -> None:
    """It runs under a random id, which must not be named as what to sign in with."""
    connect("device_flow")
    ok, text = EmailHook().test_connection()
    assert not ok
    assert "FAILED at step 'token': nobody has signed in yet" in text
    assert "login <connection id>`" in text
    assert "email_default" not in text


def test_hook_without_a_sign_in(connect: Callable[..., None]) -> None:
    """One error names both ways, with the connection's id."""
    connect("device_flow")
    with pytest.raises(SignInRequiredError, match="airflow email-conn login email_default") as caught:
        EmailHook().mailbox()
    assert "EmailSignInOperator(email_conn_id='email_default')" in caught.value.message


def test_used_by_all(connect: Callable[..., None], bed: Bed, authority: Authority) -> None:
    """Notifier, failure mail, official ImapHook and sensor."""
    connect("device_flow")
    sign_in(authority, ALICE)
    EmailNotifier(to=ALICE, subject="Notified", text="x").notify({})
    send_email(ALICE, "Failed", "x", conn_id="email_default")
    bed.append(ALICE, invoice())
    assert arrived(3)
    with ImapHook("email_default") as hook:
        assert hook.has_mail_attachment(r".*\.csv", check_regex=True)
    assert EmailSensor(task_id="s", subject="Notified").poke({})
    assert EmailSensor(task_id="s", subject="Failed").poke({})


def test_incoming_by_oauth_and_outgoing_by_password(connect: Callable[..., None], bed: Bed) -> None:
    """Each side has a credential of its own."""
    password = {"outgoing_user": ALICE, "outgoing_secret": bed.users[ALICE]}
    connect("device_flow", outgoing_credential="secret", **password)
    hook = EmailHook()
    assert hook.send(Draft(to=[ALICE], subject="x", text="x")).accepted == (ALICE,)
    with pytest.raises(SignInRequiredError):
        hook.mailbox()


def test_incoming_by_password_and_outgoing_by_oauth(
    connect: Callable[..., None], bed: Bed, authority: Authority
) -> None:
    """The reverse."""
    outgoing = {
        "outgoing_credential": "oauth_client_credentials",
        "outgoing_user": ALICE,
        "outgoing_secret": authority.clients.secret,
        "outgoing_client_id": "daemon",
        "outgoing_authority": authority.issuer,
        "outgoing_scopes": ["mail"],
    }
    connect("client_credentials", password=bed.users[ALICE], credential="secret", **PASSWORD, **outgoing)
    hook = EmailHook()
    assert hook.send(Draft(to=[ALICE], subject="x", text="x")).accepted == (ALICE,)
    with hook.mailbox() as mailbox:
        assert mailbox.position()
    assert authority.counts().client_credentials == 1


def test_first_use_and_refresh_in_other_processes(connect: Callable[..., None], authority: Authority) -> None:
    """Signed in here, used in a second process, refreshed in a third: the Variable is all that they share."""
    connect("device_flow")
    authority.ttl(access=4)
    sign_in(authority, ALICE)
    authority.ttl(access=3600)
    use = "from airflow_email_conn.hooks.mail import EmailHook; EmailHook().mailbox().close()"
    for _ in range(2):
        subprocess.run([sys.executable, "-c", use], check=True, capture_output=True)
    counts = authority.counts()
    assert (counts.device_authorization, counts.refresh_token, counts.replays) == (1, 1, 0)


def test_a_connection_without_oauth_loads_nothing_of_it(
    connect: Callable[..., None], bed: Bed, authority: Authority
) -> None:
    """Not msal, which takes its time."""
    connect("client_credentials", password=bed.users[ALICE], credential="secret", **PASSWORD)
    subprocess.run([sys.executable, "-c", UNLOADED], check=True, capture_output=True, text=True)


# ------------------------------------------------------------ the store


def configure(monkeypatch: pytest.MonkeyPatch, store: str, arguments: str = "") -> None:
    """Set the options of airflow.cfg."""
    monkeypatch.setenv("AIRFLOW__EMAIL_CONN__TOKEN_STORE", store)
    monkeypatch.setenv("AIRFLOW__EMAIL_CONN__TOKEN_STORE_KWARGS", arguments)


def test_other_store(
    connect: Callable[..., None], authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Files: nothing is written into Variables."""
    store = "airflow_email_conn.token_store.FileTokenStore"
    connect("device_flow")
    configure(monkeypatch, store, json.dumps({"directory": str(tmp_path / "tokens")}))
    sign_in(authority, ALICE)
    EmailHook().mailbox().close()
    server = EmailHook().settings.incoming
    assert server
    keeper = tokens_of("").of(server)
    assert keeper.state().refresh_token
    assert get_variable(keeper.key) is None
    assert (tmp_path / "tokens").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("store", "arguments", "problem"),
    [
        ("nowhere.Store", "", r"token_store: 'nowhere.Store' cannot be loaded \(ModuleNotFoundError\)"),
        ("Store", "", r"token_store: 'Store' cannot be loaded"),
        (
            "airflow_email_conn.token_store.Nothing",
            "",
            r"token_store: .* cannot be loaded \(AttributeError\)",
        ),
        (
            "airflow_email_conn.errors.EmailError",
            '{"message": "m"}',
            "token_store: .* lacks get, set or delete",
        ),
        ("", "[1]", "token_store_kwargs: is not a JSON object"),
        ("", "{", "token_store_kwargs: is not a JSON object"),
        ("", '{"password": "pw-of-store"}', r"token_store_kwargs: .* does not take them \(TypeError\)"),
    ],
)
def test_store_that_cannot_be(
    connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch, store: str, arguments: str, problem: str
) -> None:
    """One error that names the option, in the connection test too; the arguments may be secret."""
    connect("client_credentials")
    configure(monkeypatch, store, arguments)
    with pytest.raises(SettingsError, match=problem) as caught:
        EmailHook().mailbox()
    assert "pw-of-store" not in str(caught.value)
    assert EmailHook().test_connection() == (False, f"The connection cannot be used: {caught.value.message}")


def test_hidden_variable(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a secrets backend has wins on reading: a sign-in that is lost at once must not look kept."""
    monkeypatch.setenv("AIRFLOW_VAR_EMAIL_CONN__SIGN_IN__X", "of the environment")
    store = VariableTokenStore()
    with pytest.raises(SettingsError, match="'email_conn__sign_in__x' comes from a secrets backend"):
        store.set("email_conn__sign_in__x", "new")
    monkeypatch.undo()
    store.delete("email_conn__sign_in__x")
    store.delete("email_conn__sign_in__x")
    assert store.get("email_conn__sign_in__x") is None


def test_tokens_are_masked(
    connect: Callable[..., None], authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokens, and the messages of SASL that hold them, once they were written or read."""
    monkeypatch.setattr(tokens_module, "_masked", set())
    connect("device_flow")
    sign_in(authority, ALICE)
    server = EmailHook().settings.incoming
    assert server
    record = tokens_of("").of(server).state()
    sasl_messages = [
        xoauth2(ALICE, record.access_token),
        oauthbearer(ALICE, record.access_token, "localhost", 1),
    ]
    for text in (record.access_token, record.refresh_token, *(b64encode(m).decode() for m in sasl_messages)):
        shown = redact(f"a log line: {text}")
        assert "***" in shown
        assert text[len(text) // 3 : len(text) * 2 // 3] not in shown
