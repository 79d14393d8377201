"""Every DAG of dags_examples, run by Airflow: with IMAP and SMTP, and with Microsoft 365."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import dags_examples
from airflow_email_conn.model.query import MailQuery
from tests.airflow.conftest import ROBOT, VENDOR, every_kind
from tests.contract.mails import CSV, invoice, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_email_conn.backends.base import Mailbox
    from tests.servers.embedded import EmbeddedServers
    from tests.servers.graph.server import GraphServer

    Servers = EmbeddedServers | GraphServer

pytestmark = pytest.mark.usefixtures("database", "connect")


def run(dag_id: str, **conf: Any) -> Any:
    """Run a DAG to its end in this process."""
    dag = getattr(import_module(f"dags_examples.{dag_id}"), f"{dag_id}_dag")
    result = dag.test(run_conf=conf)
    assert result.state == "success", {ti.task_id: ti.state for ti in result.get_task_instances()}
    return result


@every_kind
def test_vendor_csv(servers: Servers, mailboxes: Callable[[str], Mailbox], tmp_path: Path) -> None:
    """Wait, fetch, load by mapping over files, answer, file: the DAG of the README."""
    robot, vendor = mailboxes(ROBOT), mailboxes(VENDOR)
    servers.append(ROBOT, plain(7))
    servers.append(
        ROBOT, invoice().replace(b"billing@acme.com", VENDOR.encode()).replace(b"Reply-To", b"X-No")
    )
    run("vendor_csv", sender=VENDOR, path=tmp_path.as_uri())
    (stored,) = tmp_path.glob("dt=*/invoice-1@acme.com/*.csv")
    assert stored.read_bytes() == CSV
    assert [mail.subject for mail in vendor.search(MailQuery(sender=ROBOT))] == [
        "Re: Rechnung für März € 2026"
    ]
    assert [mail.subject for mail in robot.search(MailQuery(), folder="Done")] == ["Rechnung für März € 2026"]
    assert [mail.subject for mail in robot.search(MailQuery())] == ["Hello"]


def test_what_a_mail_says_is_no_template(
    servers: Servers, mailboxes: Callable[[str], Mailbox], tmp_path: Path
) -> None:
    """Its subject goes through XCom into the answer as it is, though it looks like a template."""
    subject = "{{ 7 * 7 }} {% include 'secret.html' %} ${HOME} x.html"
    vendor = mailboxes(VENDOR)
    servers.append(
        ROBOT,
        re.sub(rb"Subject: .*\r\n(?: .*\r\n)*", f"Subject: {subject}\r\n".encode(), invoice())
        .replace(b"billing@acme.com", VENDOR.encode())
        .replace(b"Reply-To", b"X-No"),
    )
    run("vendor_csv", sender=VENDOR, path=tmp_path.as_uri())
    assert [mail.subject for mail in vendor.search(MailQuery())] == [f"Re: {subject}"]


@every_kind
def test_report(mailboxes: Callable[[str], Mailbox], tmp_path: Path) -> None:
    """Text, HTML with a picture, an attachment from storage."""
    run("report", to=VENDOR, path=tmp_path.as_uri())
    vendor = mailboxes(VENDOR)
    (summary,) = vendor.search(MailQuery(subject="Figures of"))
    mail = vendor.fetch(summary.ref)
    assert {(a.name, a.inline) for a in mail.attachments} == {("chart.png", True), ("figures.csv", False)}
    assert "cid:chart" in mail.html
    assert mail.text.strip() == "The figures are attached."
    assert mail.header("X-Report") == "report"


@every_kind
def test_many_mails(servers: Servers, mailboxes: Callable[[str], Mailbox], tmp_path: Path) -> None:
    """One mapped task for each mail."""
    robot = mailboxes(ROBOT)
    for number in range(3):
        servers.append(ROBOT, invoice(number))
    servers.append(ROBOT, plain(9))
    run("many_mails", path=tmp_path.as_uri())
    assert len(list(tmp_path.glob("dt=*/*/_manifest.json"))) == 3
    assert {mail.message_id: mail.seen for mail in robot.search(MailQuery())} == {
        **{f"<invoice-{number}@acme.com>": True for number in range(3)},
        "<plain-9@acme.com>": False,
    }


@every_kind
def test_mailroom(servers: Servers, mailboxes: Callable[[str], Mailbox], tmp_path: Path) -> None:
    """Each mail has an answer that lists its files; test_same_dag.py compares all that it does."""
    robot, vendor = mailboxes(ROBOT), mailboxes(VENDOR)
    for number in range(2):
        raw = invoice(number).replace(b"billing@acme.com", VENDOR.encode()).replace(b"Reply-To", b"X-No")
        servers.append(ROBOT, raw)
    servers.append(ROBOT, plain(9))
    run("mailroom", path=tmp_path.as_uri(), folder="Filed")
    answers = [vendor.fetch(mail.ref) for mail in vendor.search(MailQuery())]
    assert {answer.in_reply_to for answer in answers} == {
        (f"<invoice-{number}@acme.com>",) for number in (0, 1)
    }
    for answer in answers:
        assert [line.partition(":")[0] for line in answer.text.splitlines()[1:4]] == [
            "logo.png",
            "rechnung märz.csv",
            "The order.eml",
        ]
    assert [mail.seen for mail in robot.search(MailQuery(), folder="Filed")] == [True, True]
    assert [mail.message_id for mail in robot.search(MailQuery())] == ["<plain-9@acme.com>"]


def test_every_example_is_tested() -> None:
    """A new DAG needs a test here. Others: demo.py runs by `poe demo`, alerts.py in test_notices.py."""
    modules = {path.stem for path in Path(dags_examples.__file__).parent.glob("*.py")} - {"__init__", "demo"}
    assert modules == {"vendor_csv", "report", "many_mails", "mailroom", "alerts"}
