"""`airflow email-conn login`, `status`, `logout` and `test`, with a real authority and real mail servers."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from airflow.models.connection import Connection
from airflow.models.log import Log
from airflow.models.variable import Variable
from airflow.utils.session import create_session
from cryptography.fernet import Fernet
from sqlalchemy import delete, select, update

from airflow_email_conn.cli.connections import settings_by_id
from airflow_email_conn.cli.logout import _forgotten
from airflow_email_conn.hooks.tokens import VariableTokenStore, tokens_of
from airflow_email_conn.oauth.keeper import TokenKeeper
from airflow_email_conn.oauth.record import TokenRecord
from airflow_email_conn.token_store import MemoryTokenStore
from tests.airflow.commands import Done, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.authority import Authority
    from tests.servers.bed import Bed

    Define = Callable[..., None]

ALICE, BOB = "alice@example.test", "bob@example.test"
TIME = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture
def define(no_sign_ins: None, bed: Bed, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Define:
    """Define the connection `box`, which a person signs in for on both sides, with changes."""
    monkeypatch.delenv("AIRFLOW_CONN_EMAIL_DEFAULT", raising=False)

    def connection(extra: dict[str, Any] | None = None, **changes: Any) -> None:
        form = {
            "conn_type": "email",
            "host": "localhost",
            "port": bed.imaps_port,
            "login": ALICE,
            **changes,
            "extra": {
                "credential": "oauth_device_flow",
                "authority": authority.issuer,
                "client_id": "device",
                "scopes": ["mail"],
                "outgoing_host": "localhost",
                "outgoing_port": bed.submission_port,
                "ca_certificates": str(bed.ca),
                "timeout": 5,
                **(extra or {}),
            },
        }
        monkeypatch.setenv("AIRFLOW_CONN_BOX", json.dumps(form))

    connection()
    return connection


@pytest.fixture
def approve(authority: Authority) -> Callable[..., Callable[[Callable[[], str]], None]]:
    """Somebody who reads the codes off the screen, and signs in with them."""

    def as_login(login: str = ALICE, times: int = 1) -> Callable[[Callable[[], str]], None]:
        def person(shown: Callable[[], str]) -> None:
            end = time.monotonic() + 20
            done: set[str] = set()
            while len(done) < times and time.monotonic() < end:
                for code in set(re.findall(r"enter the code\n\n {4}(\S+)\n", shown())) - done:
                    authority.approve(code, login)
                    done.add(code)
                time.sleep(0.1)

        return person

    return as_login


def rows(done: Done) -> list[dict[str, Any]]:
    """What a command with `--output json` wrote to stdout: that, and nothing else."""
    return json.loads(done.out)


def client_credentials(authority: Authority) -> dict[str, Any]:
    """The changes that make an application of the person."""
    return {"credential": "oauth_client_credentials", "client_id": "daemon"}


# ------------------------------------------------------------ login, status, logout


def test_a_sign_in_from_beginning_to_end(define: Define, approve: Any, authority: Authority) -> None:
    """Nobody has signed in; somebody does, once for both sides; mail flows; it is revoked and forgotten."""
    before = run("status", "box", "-o", "json")
    assert (before.code, [row["state"] for row in rows(before)]) == (1, ["not signed in"] * 2)

    signed = run("login", "box", "-o", "json", meanwhile=approve())
    assert signed.code == 0
    (row,) = rows(signed)
    assert (row["direction"], row["account"]) == ("incoming, outgoing", ALICE)
    assert re.fullmatch(TIME, row["access_token_until"])
    assert authority.issuer.split("/")[2] in signed.err  # the address
    assert f"Signed in as {ALICE}" in signed.err

    after = run("status", "box", "-o", "json")
    assert after.code == 0
    for row in rows(after):
        assert (row["state"], row["account"], row["refresh_token_days"]) == ("alive", ALICE, 0.0)
        assert row["error"] is None
    tested = run("test", "box", "-o", "json")
    assert tested.code == 0, tested
    assert {row["direction"] for row in rows(tested) if row["step"] == "sign in"} == {"incoming", "outgoing"}

    with create_session() as session:
        (kept,) = session.scalars(select(Variable).where(Variable.key.like("email_conn__sign_in__%")))
        assert not [name for name in ("access_token", "refresh_token") if name in kept.get_val()]
        record = json.loads(VariableTokenStore().get(kept.key) or "")
    shown = "".join(done.out + done.err for done in (before, signed, after, tested))
    assert not [name for name in ("access_token", "refresh_token") if record[name] in shown]

    gone = run("logout", "box", "-o", "json")
    assert gone.code == 0
    (row,) = rows(gone)
    assert (row["forgotten"], row["revoked"], row["account"]) == (True, True, ALICE)
    assert authority.counts().revocation == 1
    assert run("status", "box").code == 1
    assert rows(run("logout", "box", "-o", "json"))[0]["forgotten"] is False
    with create_session() as session:
        events = session.scalars(select(Log.event).where(Log.event.in_(("cli_login", "cli_logout")))).all()
    assert {"cli_login", "cli_logout"} <= set(events)


def test_signed_in_as_somebody_else(define: Define, approve: Any) -> None:
    """It may be meant, for a shared mailbox; whoever did it by mistake is told."""
    done = run("login", "box", "--direction", "incoming", meanwhile=approve(BOB))
    assert done.code == 0
    assert f"The mailbox is {ALICE}: {BOB} needs access to it." in done.err


def test_a_code_that_nobody_enters(define: Define, authority: Authority) -> None:
    """The wait ends with the code."""
    authority.ttl(device=3)
    start = time.monotonic()
    done = run("login", "box")
    assert (done.code, done.out) == (1, "")
    assert "code" in done.err.splitlines()[-1]
    assert time.monotonic() - start < 10


def test_declined(define: Define, authority: Authority) -> None:
    """One line says it."""

    def refuse(shown: Callable[[], str]) -> None:
        while not (code := re.search(r"enter the code\n\n {4}(\S+)\n", shown())):
            time.sleep(0.1)
        authority.deny(code[1])

    done = run("login", "box", meanwhile=refuse)
    assert done.code == 1
    assert "declined" in done.err.splitlines()[-1]


def test_interrupted(define: Define) -> None:
    """Ctrl-C leaves without a trace, and nothing is kept."""

    def press(shown: Callable[[], str]) -> None:
        while "Waiting" not in shown():
            time.sleep(0.05)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    done = run("login", "box", meanwhile=press)
    assert (done.code, done.out, done.err.splitlines()[-1]) == (130, "", "interrupted")
    assert {row["state"] for row in rows(run("status", "box", "-o", "json"))} == {"not signed in"}


def test_an_authority_that_is_away_for_a_while(define: Define, approve: Any, authority: Authority) -> None:
    """The wait goes on (RFC 8628 3.5)."""
    person = approve()

    def outage(shown: Callable[[], str]) -> None:
        while "Waiting" not in shown():
            time.sleep(0.05)
        authority.down()
        while "Still waiting" not in shown():
            time.sleep(0.05)
        authority.up()
        person(shown)

    assert run("login", "box", meanwhile=outage).code == 0


def test_an_application_needs_no_sign_in(define: Define, authority: Authority) -> None:
    """`login` says so; `status` knows no token before the first use, and one after it."""
    define(client_credentials(authority), password=authority.clients.secret)
    done = run("login", "box", "-o", "json")
    assert (done.code, rows(done)) == (0, [])
    assert "incoming: the credential is oauth_client_credentials; nobody needs to sign in" in done.err
    assert rows(run("status", "box", "-o", "json"))[0]["state"] == "no token yet"
    assert run("test", "box").code == 0
    assert rows(run("status", "box", "-o", "json"))[0]["state"] == "alive"


def test_a_certificate_that_has_expired(define: Define, authority: Authority) -> None:
    """Its end is told without asking anybody."""
    pem = authority.clients.private_key() + authority.clients.certificate(days=-1)
    changes = {"client_id": "daemon-certificate", "client_certificate_private_key": pem}
    define({**client_credentials(authority), **changes})
    done = run("status", "box", "-o", "json")
    assert done.code == 1
    row = rows(done)[0]
    assert row["state"] == "certificate expired"
    assert re.fullmatch(TIME, row["certificate_until"])
    assert authority.counts().discovery == 0


def test_a_sign_in_that_has_ended(define: Define, approve: Any, authority: Authority) -> None:
    """The next use finds out; from then on `status` tells when and why, and `logout` and `login` mend it."""
    authority.ttl(access=2)
    run("login", "box", meanwhile=approve())
    authority.revoke_grants(ALICE)
    time.sleep(2.1)
    tested = run("test", "box", "-o", "json")
    assert tested.code == 1
    failed = rows(tested)[0]
    assert (failed["step"], failed["outcome"]) == ("token", "failed")
    assert "airflow email-conn login box" in failed["message"]
    row = rows(run("status", "box", "-o", "json"))[0]
    assert row["state"] == "dead"
    assert "invalid_grant" in row["error"]
    assert re.fullmatch(TIME, row["error_at"])


def test_logout_while_the_authority_is_down(define: Define, approve: Any, authority: Authority) -> None:
    """Forgotten here, and the exit code says that it lives on there."""
    run("login", "box", meanwhile=approve())
    authority.down()
    done = run("logout", "box", "-o", "json")
    (row,) = rows(done)
    assert (done.code, row["forgotten"], row["revoked"]) == (1, True, False)
    assert row["error"]


# ------------------------------------------------------------ test


def test_a_password_connection_step_by_step(define: Define, bed: Bed) -> None:
    """Each step with its time; a wrong password fails its own step, and is shown nowhere."""
    both = {"credential": "secret", "client_id": None, "authority": None, "scopes": None}
    define(both, password=bed.users[ALICE])
    good = run("test", "box", "-o", "json")
    assert good.code == 0, good
    steps = [row["step"] for row in rows(good) if row["direction"] == "incoming"]
    assert steps == ["resolve", "connect", "TLS", "greeting", "sign in", "open INBOX", "count folders"]
    assert all(isinstance(row["seconds"], float) for row in rows(good))
    assert {row["state"] for row in rows(run("status", "box", "-o", "json"))} == {"password"}

    define(both, password="never-shown-word")
    bad = run("test", "box")
    assert bad.code == 1
    assert "failed" in bad.out
    assert "never-shown-word" not in bad.out + bad.err


# ------------------------------------------------------------ usage errors, all connections, formats


def test_all_connections_and_one_that_is_broken(define: Define) -> None:
    """Those of the database and of the environment, in every format; a broken one keeps nobody back."""
    with create_session() as session:
        session.merge(Connection(conn_id="broken", conn_type="email", host="imap.example.test"))
    try:
        done = run("status", "-o", "json")
        assert {row["conn_id"]: row["state"] for row in rows(done)} == {
            "box": "not signed in",
            "broken": "invalid",
        }
        for output in ("table", "plain", "yaml"):
            assert "broken" in run("status", "--output", output).out
    finally:
        with create_session() as session:
            session.execute(delete(Connection).where(Connection.conn_id == "broken"))


def test_one_that_cannot_be_decrypted(define: Define) -> None:
    """It was written with a Fernet key that is gone: a row says so, and the others have theirs."""
    with create_session() as session:
        session.merge(Connection(conn_id="sealed", conn_type="email", host="imap.example.test", password="x"))
    try:
        with create_session() as session:
            session.execute(
                update(Connection)
                .where(Connection.conn_id == "sealed")
                .values(password=Fernet(Fernet.generate_key()).encrypt(b"x").decode(), is_encrypted=True)
            )
        done = run("status", "-o", "json")
        states = {row["conn_id"]: row["state"] for row in rows(done)}
        assert states == {"box": "not signed in", "sealed": "invalid"}, done
    finally:
        with create_session() as session:
            session.execute(delete(Connection).where(Connection.conn_id == "sealed"))


def test_another_type_in_the_environment(define: Define, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all connections it is one row; asked for alone, it is wrong usage."""
    with create_session() as session:
        session.merge(Connection(conn_id="twice", conn_type="email", host="imap.example.test"))
    monkeypatch.setenv("AIRFLOW_CONN_TWICE", "http://www.example.test")
    try:
        states = {row["conn_id"]: row["state"] for row in rows(run("status", "-o", "json"))}
        assert states == {"box": "not signed in", "twice": "invalid"}
        assert run("status", "twice").code == 2
    finally:
        with create_session() as session:
            session.execute(delete(Connection).where(Connection.conn_id == "twice"))


@pytest.mark.parametrize(
    ("known", "state"),
    [
        ({"access_token": "t", "expires_at": 2e9 + 1e9}, "alive"),
        ({"access_token": "t", "expires_at": 1e9}, "alive"),
        ({"access_token": "t", "expires_at": 1e9, "error": "e", "failed_at": 1.1e9}, "expired"),
        ({"access_token": "t", "expires_at": 3e9, "error": "e", "failed_at": 1.1e9}, "alive"),
        ({"error": "e", "failed_at": 1.1e9}, "failed"),
        ({}, "no token yet"),
    ],
)
def test_states_of_an_application(
    define: Define, authority: Authority, known: dict[str, Any], state: str
) -> None:
    """By what is known of the last token and the last error, which is shown with its time."""
    define(client_credentials(authority), password=authority.clients.secret)
    server = settings_by_id("box").incoming
    assert server
    keeper = tokens_of("box").of(server)
    record = TokenRecord(**known, secret_digest=keeper._shared.secret_digest)
    VariableTokenStore().set(keeper.key, record.as_text())
    done = run("status", "box", "-o", "json")
    row = rows(done)[0]
    assert (row["state"], row["error"]) == (state, known.get("error"))
    assert (row["error_at"] is None) == ("error" not in known)
    assert done.code == (state in {"expired", "failed"})


class Refusing(MemoryTokenStore):
    """A store that fails from its second reading on, or from the first."""

    def __init__(self, readings: int) -> None:
        super().__init__()
        self.readings = readings

    def get(self, key: str) -> str | None:
        """So many times."""
        self.readings -= 1
        if self.readings < 0:
            raise OSError("away")
        return super().get(key)


@pytest.mark.parametrize("readings", [0, 1, 2])
def test_logout_with_a_store_that_fails(define: Define, readings: int) -> None:
    """It has its row, and claims nothing that it does not know."""
    server = settings_by_id("box").incoming
    assert server
    store = Refusing(readings)
    keeper = TokenKeeper(server, store, "box")
    store.set(keeper.key, TokenRecord(access_token="t").as_text())
    row = _forgotten("box", keeper, ["incoming"])
    assert row["forgotten"] is False
    assert (row["error"] is None) == (readings == 2)


@pytest.mark.parametrize("name", ["login", "logout", "status", "test", "usage"])
def test_no_such_connection(database: None, name: str) -> None:
    """One line on stderr, exit code 2."""
    done = run(name, "nowhere")
    assert (done.code, done.out, done.err) == (2, "", "The conn_id `nowhere` isn't defined\n")


def test_wrong_usage(define: Define) -> None:
    """A side that the connection has not, and a connection of another type."""
    define({"outgoing_host": None, "outgoing_port": None})
    assert run("login", "box", "--direction", "outgoing").code == 2
    define(conn_type="http")
    done = run("status", "box")
    assert (done.code, done.err) == (2, "the connection 'box' is of type 'http', not email\n")


def test_every_airflow_call_loads_little(database: None) -> None:
    """Airflow asks for the commands each time it starts: nothing of ours that is heavy comes with them."""
    code = (
        "import json, sys; from airflow.cli import cli_config; before = set(sys.modules);"
        "from airflow_email_conn.cli.commands import get_commands; get_commands();"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert loaded - {"airflow_email_conn"} == {"airflow_email_conn.cli", "airflow_email_conn.cli.commands"}


def test_the_real_command_line(define: Define) -> None:
    """As a person calls it, in a process of its own: JSON on stdout, and the exit code."""
    call = [sys.executable, "-m", "airflow", "email-conn", "status", "box", "--output", "json"]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert [row["state"] for row in json.loads(done.stdout)] == ["not signed in"] * 2
