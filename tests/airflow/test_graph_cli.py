"""`airflow email-conn` and the Test button for Microsoft 365: tokens of a real authority, the fake Graph."""

from __future__ import annotations

import json
import os
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from airflow.models.variable import Variable
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_email_conn.errors import DraftError, RefusedError
from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn.hooks.tokens import VariableTokenStore
from airflow_email_conn.model.draft import Draft
from tests.airflow.commands import Done, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.authority import Authority
    from tests.servers.graph.server import GraphServer

    Define = Callable[..., None]

ALICE, BOB = "alice@example.test", "bob@example.test"
PERSON = {"credential": "oauth_device_flow", "client_id": "device"}
STEPS = ["token", "connect", "mailbox"]


@pytest.fixture
def define(
    no_sign_ins: None, graph_at_authority: GraphServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> Define:
    """Define the connection `box`, of an application, with changes."""
    monkeypatch.delenv("AIRFLOW_CONN_EMAIL_DEFAULT", raising=False)

    def connection(extra: dict[str, Any] | None = None, **changes: Any) -> None:
        form = {
            "conn_type": "email",
            "login": ALICE,
            "password": None if extra and "client_id" in extra else authority.clients.secret,
            **changes,
            "extra": {
                "connection_type": "microsoft365",
                "graph_url": graph_at_authority.url,
                "credential": "oauth_client_credentials",
                "client_id": "daemon",
                "authority": authority.issuer,
                "scopes": ["mail"],
                "ca_certificates": str(authority.ca),
                "timeout": 5,
                **(extra or {}),
            },
        }
        monkeypatch.setenv("AIRFLOW_CONN_BOX", json.dumps(form))

    connection()
    return connection


def rows(done: Done) -> list[dict[str, Any]]:
    """What a command with `--output json` wrote to stdout: that, and nothing else."""
    return json.loads(done.out)


def signed_in(authority: Authority, login: str = ALICE) -> Done:
    """`login`, and somebody who enters the code."""

    def person(shown: Callable[[], str]) -> None:
        while not (code := re.search(r"enter the code\n\n {4}(\S+)\n", shown())):
            time.sleep(0.05)
        authority.approve(code[1], login)

    return run("login", "box", "-o", "json", meanwhile=person)


def test_a_person_from_beginning_to_end(define: Define, authority: Authority) -> None:
    """One sign-in for both sides; every command knows of it, none shows a token; it is revoked."""
    define(PERSON)
    before = run("status", "box", "-o", "json")
    assert (before.code, [row["state"] for row in rows(before)]) == (1, ["not signed in"] * 2)
    ok, told = EmailHook("box").test_connection()
    assert not ok
    assert "airflow email-conn login <connection id>" in told  # Airflow's test does not know it
    assert "airflow email-conn login box" in run("test", "box").out

    done = signed_in(authority)
    assert done.code == 0, done.err
    assert [(row["direction"], row["account"]) for row in rows(done)] == [("incoming, outgoing", ALICE)]
    after = run("status", "box", "-o", "json")
    assert [(row["state"], row["account"]) for row in rows(after)] == [("alive", ALICE)] * 2
    tested = run("test", "box", "-o", "json")
    assert tested.code == 0, tested
    of_side = {
        side: [row["step"] for row in rows(tested) if row["direction"] == side]
        for side in ("incoming", "outgoing")
    }
    assert of_side == {"incoming": [*STEPS, "open INBOX", "count folders"], "outgoing": STEPS}
    ok, told = EmailHook("box").test_connection()
    assert ok, told

    with create_session() as session:
        (kept,) = session.scalars(select(Variable).where(Variable.key.like("email_conn__sign_in__%")))
        record = json.loads(VariableTokenStore().get(kept.key) or "")
    shown = told + "".join(each.out + each.err for each in (before, done, after, tested))
    assert not [name for name in ("access_token", "refresh_token") if record[name] in shown]
    (row,) = rows(run("logout", "box", "-o", "json"))
    assert (row["direction"], row["forgotten"], row["revoked"]) == ("incoming, outgoing", True, True)
    assert run("test", "box").code == 1


def test_an_application(define: Define, authority: Authority) -> None:
    """Nobody signs in; one token serves both sides, and is forgotten."""
    done = run("login", "box", "-o", "json")
    assert (done.code, rows(done)) == (0, [])
    assert "incoming: the credential is oauth_client_credentials; nobody needs to sign in" in done.err
    assert [row["state"] for row in rows(run("status", "box", "-o", "json"))] == ["no token yet"] * 2
    tested = run("test", "box")
    assert tested.code == 0, tested
    assert authority.counts().client_credentials == 1
    assert [row["state"] for row in rows(run("status", "box", "-o", "json"))] == ["alive"] * 2
    (row,) = rows(run("logout", "box", "-o", "json"))
    assert (row["forgotten"], row["error"]) == (True, None)


def test_unused(define: Define, monkeypatch: pytest.MonkeyPatch) -> None:
    """`usage` knows connections of this type too."""
    monkeypatch.setenv("AIRFLOW_CONN_NOBODY_S", os.environ["AIRFLOW_CONN_BOX"])
    assert {row["kind"] for row in rows(run("usage", "nobody_s", "-o", "json"))} == {"unused"}


def test_a_full_inbox(define: Define, graph_at_authority: GraphServer) -> None:
    """The test looks into it without counting its mails, of which there may be a million."""
    for number in range(5):
        graph_at_authority.append(ALICE, b"Subject: %d\r\n\r\nText" % number)
    ok, told = EmailHook("box").test_connection()
    assert ok, told
    paths = [seen.path for seen in graph_at_authority.requests]
    assert not [path for path in paths if path.endswith("/delta")]
    assert sum(path.endswith("/messages") for path in paths) == 1


def test_one_direction_only(define: Define) -> None:
    """The other one is off, and the line of the test says so."""
    for off, told in (
        ("incoming", "the connection only sends"),
        ("outgoing", "the connection only receives"),
    ):
        define({f"{off}_protocol": "none"})
        ok, line = EmailHook("box").test_connection()
        assert ok, line
        assert told in line


def test_the_mailbox_of_another(
    define: Define, authority: Authority, graph_at_authority: GraphServer
) -> None:
    """Whoever signs in for it is told; without a right to it the test names permission and mailbox."""
    define(PERSON)
    done = signed_in(authority, BOB)
    assert f"The mailbox is {ALICE}: {BOB} needs access to it." in done.err
    tested = run("test", "box", "-o", "json")
    (failed,) = [row for row in rows(tested) if row["outcome"] == "failed"]
    assert (tested.code, failed["direction"], failed["step"]) == (1, "incoming", "mailbox")
    for words in (f"'{ALICE}'", "Mail.Read.Shared", "ErrorAccessDenied, request-id "):
        assert words in failed["message"]
    graph_at_authority.mailbox(ALICE).shared_with.add(BOB)
    assert run("test", "box").code == 0


@pytest.mark.parametrize(
    ("user", "enabled", "code"),
    [("nobody@example.test", True, "ErrorInvalidUser"), (ALICE, False, "MailboxNotEnabledForRESTAPI")],
)
def test_no_such_mailbox(
    define: Define, graph_at_authority: GraphServer, user: str, enabled: bool, code: str
) -> None:
    """The step, the field and what else it may be; nothing that the server said but its code."""
    define(login=user)
    graph_at_authority.mailbox(ALICE).enabled = enabled
    ok, told = EmailHook("box").test_connection()
    assert not ok
    assert told.count("FAILED at step 'mailbox'") == 2
    for words in (f"there is no mailbox '{user}' in Exchange Online: correct user", "license", code):
        assert words in told
    assert "requested user" not in told
    assert "soft-deleted" not in told
    assert "\n" not in told


def test_a_token_for_something_else(define: Define, graph_at_authority: GraphServer) -> None:
    """The fields that belong together."""
    define({"scopes": ["other"]})
    ok, told = EmailHook("box").test_connection()
    assert not ok
    assert "scopes, authority and graph_url go together" in told
    assert "InvalidAuthenticationToken" in told


def test_a_wrong_secret(define: Define, authority: Authority) -> None:
    """At the step of the token, without the secret."""
    define(password="never-shown-word")
    done = run("test", "box", "-o", "json")
    assert done.code == 1
    assert {(row["step"], row["outcome"]) for row in rows(done)} == {("token", "failed")}
    assert "check client_id and password" in rows(done)[0]["message"]
    assert "never-shown-word" not in done.out + done.err


def test_another_certificate_authority(define: Define) -> None:
    """Without its certificate neither is trusted; the authority comes first."""
    define({"ca_certificates": None})
    done = run("test", "box", "-o", "json")
    assert done.code == 1
    assert {row["step"] for row in rows(done)} == {"token"}
    assert "ca_certificates" in rows(done)[0]["message"]


def test_what_is_told_of_sending(define: Define, graph_at_authority: GraphServer) -> None:
    """A From that the mailbox may not use; an address that MIME cannot say to Exchange."""
    define({"from_address": "boss@example.test"})
    draft = Draft(to=[BOB], subject="x", text="x")
    with pytest.raises(RefusedError, match=r"change from_address, or grant 'Send As'.*ErrorSendAsDenied"):
        EmailHook("box").send(draft)
    graph_at_authority.mailbox(ALICE).send_as.add("boss@example.test")
    assert EmailHook("box").send(draft).accepted == (BOB,)
    with pytest.raises(DraftError, match="SMTPUTF8"):
        EmailHook("box").send(Draft(to=["jörg@example.test"], subject="x", text="x"))
    assert len(graph_at_authority.sent) == 1


def test_throttled(define: Define, graph_at_authority: GraphServer) -> None:
    """A server that wants to be left alone for long is believed at once."""
    graph_at_authority.fault(
        "GET .*", status=429, code="ApplicationThrottled", headers={"Retry-After": "77"}, times=None
    )
    start = time.monotonic()
    ok, told = EmailHook("box").test_connection()
    assert not ok
    assert "too many requests to this mailbox" in told
    assert "ApplicationThrottled" in told
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("credential", ["secret", "none", None])
def test_credentials_that_microsoft_does_not_take(define: Define, credential: str | None) -> None:
    """One problem, with the field and the choices; nothing is asked."""
    define({"credential": credential})
    done = run("test", "box")
    assert (done.code, done.out) == (1, "")
    assert done.err.count("Microsoft 365 signs in with OAuth; choose oauth_client_credentials") == 1
    assert "Sign-in: Credential (credential)" in done.err
    assert rows(run("status", "box", "-o", "json"))[0]["state"] == "invalid"
