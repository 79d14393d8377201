"""Airflow's own mail: `send_email` as `[email] email_backend`; test_notices.py runs it in a deployment."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from airflow_email_conn.errors import DraftError, SettingsError
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.notifications.mail import send_email
from airflow_email_conn.wire.mime import parse
from tests.airflow.conftest import KINDS, MICROSOFT, ROBOT, VENDOR
from tests.servers.graph.server import GraphServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_email_conn.backends.base import Mailbox
    from airflow_email_conn.model.message import Mail
    from tests.servers.embedded import EmbeddedServers


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Both."""
    return str(request.param)


@pytest.mark.parametrize(
    ("from_email", "from_address", "expected"),
    [
        ("airflow@airflow", None, ROBOT),
        ("Airflow <AIRFLOW@airflow> ", None, ROBOT),
        (None, None, ROBOT),
        ("", None, ROBOT),
        ("airflow@airflow", "Data <data@example.test>", "data@example.test"),
        ("alerts@example.test", "Data <data@example.test>", "alerts@example.test"),
    ],
)
def test_sender(
    vendor: Callable[[], Mail],
    connect: Callable[..., None],
    servers: EmbeddedServers | GraphServer,
    from_email: str | None,
    from_address: str | None,
    expected: str,
) -> None:
    """What was asked for, else the connection's; Airflow's default asks for nothing."""
    if isinstance(servers, GraphServer):
        servers.mailbox(ROBOT).send_as |= {"data@example.test", "alerts@example.test"}
    connect({"from_address": from_address})
    send_email(VENDOR, "s", "<p>h</p>", from_email=from_email)
    sender = vendor().sender
    assert sender
    assert sender.email == expected


def test_every_argument_of_the_signature(vendor: Callable[[], Mail], kind: str, tmp_path: Path) -> None:
    """As `airflow.utils.email.send_email` hands them on."""
    # Microsoft 365 is not known to take addresses that are not ASCII.
    other = ROBOT if kind == MICROSOFT else "jürgen@example.test"
    (tmp_path / "a.csv").write_text("1;2\n", encoding="utf-8")
    (tmp_path / "plot.png").write_bytes(b"PNG")
    send_email(
        f"{VENDOR}; {other}",
        "A subject\nof two lines",
        "<p>h</p><img src='cid:plot.png'>",
        files=[str(tmp_path / "a.csv"), str(tmp_path / "plot.png")],
        dryrun=False,
        cc="accounting@example.test",
        bcc=[ROBOT],
        mime_subtype="related",
        mime_charset="latin-1",
        conn_id="email_default",
        from_email="airflow@airflow",
        custom_headers={"X-A": 1, "Reply-To": "desk@example.test", "In-Reply-To": "<a@b>"},
        something="else",
    )
    mail = vendor()
    assert mail.subject == "A subject of two lines"
    assert {(a.name, a.inline) for a in mail.attachments} == {("a.csv", False), ("plot.png", True)}
    assert [a.email for a in mail.to] == [VENDOR, other]
    assert [a.email for a in mail.cc] == ["accounting@example.test"]
    assert [a.email for a in mail.reply_to] == ["desk@example.test"]
    assert mail.in_reply_to == ("<a@b>",)
    assert mail.header("X-A") == "1"
    assert mail.header("Bcc") is None


def test_secrets_in_airflows_own_mail_are_masked(vendor: Callable[[], Mail]) -> None:
    """Its exceptions hold them, as the logs' do."""
    send_email(ROBOT, "s", "h")  # reads the connection
    send_email(VENDOR, "s", "<p>login with robot-pw failed</p>")
    assert (vendor().html or "").strip() == "<p>login with *** failed</p>"


def test_dry_run_checks_and_sends_nothing(
    mailboxes: Callable[[str], Mailbox], connect: Callable[..., None]
) -> None:
    """What is wrong is found all the same."""
    send_email(VENDOR, "s", "<p>h</p>", dryrun=True)
    assert not list(mailboxes(VENDOR).search(MailQuery()))
    with pytest.raises(DraftError, match="to"):
        send_email("nobody", "s", "<p>h</p>", dryrun=True)


def test_airflow_calls_it(vendor: Callable[[], Mail], monkeypatch: pytest.MonkeyPatch) -> None:
    """By the configuration's name of it."""
    from airflow.utils.email import send_email as of_airflow  # noqa: PLC0415 - warns when imported

    monkeypatch.setenv("AIRFLOW__EMAIL__EMAIL_BACKEND", "airflow_email_conn.notifications.mail.send_email")
    monkeypatch.setenv("AIRFLOW__EMAIL__EMAIL_CONN_ID", "email_default")
    of_airflow([VENDOR], "s", "<p>h</p>")
    assert parse(b"Subject: s\r\n\r\n").subject == vendor().subject


def test_connection_of_another_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """One clear error, and no password to a wrong port."""
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", "smtp://u:p@localhost:1")
    with pytest.raises(SettingsError, match="choose Email"):
        send_email(VENDOR, "s", "<p>h</p>", conn_id="smtp_default")


REPR = (
    "id=UUID('01a208bc-582b-783a-ade7-421622f89e05') task_id='load' dag_id='acme' run_id='manual__1'"
    " try_number=2 dag_version_id=UUID('01a208bc-40dd-715e-baf3-d582230849c0') map_index={}"
    " hostname='vm' context_carrier={{}} queue='default' task=<Task(_PythonDecoratedOperator): load>"
    " sentry_integration=''"
)


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        (f"Airflow alert: {REPR.format(-1)}", "Airflow alert: acme.load, run manual__1, try 2"),
        (
            f"[PROD] {REPR.format(3)} failed, call us",
            "[PROD] acme.load[3], run manual__1, try 2 failed, call us",
        ),
        ("id=UUID( task_id='x' is new", "id=UUID( task_id='x' is new"),
    ],
)
def test_subject_of_airflows_own_mail(vendor: Callable[[], Mail], subject: str, shown: str) -> None:
    """Airflow 3.3.2 writes a whole object into it."""
    send_email(VENDOR, subject, "<p>h</p>")
    assert vendor().subject == shown


@pytest.mark.usefixtures("connect")
def test_no_subject_takes_long() -> None:
    """Whatever somebody else made of it: time grows with its length, not faster."""
    hostile = "id=UUID('" + " task_id='x" * 3000 + "' dag_id='" * 3000 + "' run_id='" * 3000
    started = time.process_time()
    send_email(VENDOR, hostile, "<p>h</p>", dryrun=True, conn_id="email_default")
    assert time.process_time() - started < 5  # 3 kB took 14 s once


def test_what_no_mail_can_carry(vendor: Callable[[], Mail]) -> None:
    """An undecodable file name in an exception: the mail goes out."""
    send_email(VENDOR, "x\udc80", "Exception:<br>x\udc80\x00")
    assert (vendor().html or "").strip() == "Exception:<br>x\ufffd\ufffd"


@pytest.mark.usefixtures("connect")
def test_without_content() -> None:
    """An error, not an empty mail."""
    with pytest.raises(DraftError, match="html_content: is missing"):
        send_email(VENDOR, "s", None)
