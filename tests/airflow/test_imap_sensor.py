"""A DAG of the official provider's sensor and hook, moved over by its imports, run by Airflow."""

from __future__ import annotations

import json
import os
import runpy
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.imap.sensors.imap_attachment import (
    ImapAttachmentSensor as OfficialImapAttachmentSensor,
)
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout, AirflowSkipException

from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.sensors.imap_attachment import ImapAttachmentSensor
from tests.airflow.conftest import ROBOT
from tests.contract.mails import CSV, invoice

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_email_conn.backends.base import Mailbox
    from tests.servers.embedded import EmbeddedServers

CSV_NAME = "rechnung märz.csv"


@pytest.fixture
def robot(
    connect: Callable[..., None], mailboxes: Callable[[str], Mailbox], monkeypatch: pytest.MonkeyPatch
) -> Mailbox:
    """The robot's mailbox, empty; its connection has the official default's name too."""
    rename(monkeypatch)
    return mailboxes(ROBOT)


def rename(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    """Define `imap_default` as `email_default` is, with changes."""
    form = json.loads(os.environ["AIRFLOW_CONN_EMAIL_DEFAULT"])
    monkeypatch.setenv("AIRFLOW_CONN_IMAP_DEFAULT", json.dumps(form | changes))


def sensor(**arguments: object) -> ImapAttachmentSensor:
    """A sensor that looks often and not for long."""
    return ImapAttachmentSensor(
        **{
            "task_id": "wait",
            "attachment_name": CSV_NAME,
            "poke_interval": 0.1,
            "timeout": 0.3,
            **arguments,
        }
    )


OFFICIAL_DAG = """
from datetime import datetime, timezone
from pathlib import Path

from airflow.providers.imap.hooks.imap import ImapHook
from airflow.providers.imap.sensors.imap_attachment import ImapAttachmentSensor
from airflow.sdk import DAG, task

with DAG("PACKAGE", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)) as dag:
    wait = ImapAttachmentSensor(
        task_id="wait",
        attachment_name="{{ dag_run.conf.name }}",
        mail_filter='SUBJECT "{{ dag_run.conf.subject }}"',
        conn_id="mail_in",
        timeout=10,
    )

    @task
    def load(dag_run):
        with ImapHook("mail_in") as hook:
            hook.download_mail_attachments(dag_run.conf["name"], dag_run.conf["path"], latest_only=True)
        return Path(dag_run.conf["path"], dag_run.conf["name"]).stat().st_size

    wait >> load()
"""
MOVES = {
    "official": {},
    "moved": {"airflow.providers.imap.": "airflow_email_conn."},
}


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("package", MOVES)
def test_a_dag_moves_over_by_its_imports(
    package: str,
    robot: Mailbox,
    embedded: EmbeddedServers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same DAG runs before and after; the mail is marked as read by the official one alone."""
    monkeypatch.setenv("AIRFLOW_CONN_MAIL_IN", os.environ["AIRFLOW_CONN_EMAIL_DEFAULT"])
    if package == "official":
        form = json.loads(os.environ["AIRFLOW_CONN_EMAIL_DEFAULT"])
        form |= {"conn_type": "imap", "port": embedded.imap_port, "extra": {"use_ssl": False}}
        monkeypatch.setenv("AIRFLOW_CONN_MAIL_IN", json.dumps(form))
    text = OFFICIAL_DAG.replace("PACKAGE", package)
    for old, new in MOVES[package].items():
        text = text.replace(old, new)
    embedded.append(ROBOT, invoice(csv_name="report.csv"))
    conf = {"name": "report.csv", "subject": "Rechnung", "path": str(tmp_path / "out")}
    (tmp_path / "out").mkdir()
    run = dag_of(text, tmp_path / "dags", monkeypatch).test(run_conf=conf)
    assert {ti.task_id: ti.state for ti in run.get_task_instances()} == {"wait": "success", "load": "success"}
    assert (tmp_path / "out/report.csv").read_bytes().rstrip() == CSV.rstrip()  # pymap adds a line end
    assert [mail.seen for mail in robot.search(MailQuery())] == [package == "official"]


def dag_of(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The DAG of a file in a DAG folder that Airflow knows."""
    folder.mkdir()
    (folder / "dags.py").write_text(text, encoding="utf-8")
    local = "airflow.dag_processing.bundles.local.LocalDagBundle"
    bundles = [{"name": folder.parent.name, "classpath": local, "kwargs": {"path": str(folder)}}]
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps(bundles))
    return runpy.run_path(str(folder / "dags.py"))["dag"]


def test_it_is_an_official_sensor(robot: Mailbox) -> None:
    """With its arguments and templates."""
    mine = sensor()
    assert isinstance(mine, OfficialImapAttachmentSensor)
    assert set(mine.template_fields) >= set(OfficialImapAttachmentSensor.template_fields)
    assert mine.conn_id == "imap_default"


def test_poke(robot: Mailbox, embedded: EmbeddedServers) -> None:
    """No mail, no success; every argument counts."""
    with pytest.raises(AirflowSensorTimeout):
        sensor().execute({})
    with pytest.raises(AirflowSkipException):
        sensor(soft_fail=True).execute({})
    embedded.append(ROBOT, invoice(), folder="Invoices")
    assert not sensor().poke({})
    assert sensor(mail_folder="Invoices").poke({})
    assert not sensor(mail_folder="Invoices", mail_filter="SEEN").poke({})
    assert not sensor(mail_folder="Invoices", attachment_name="rech").poke({})
    assert sensor(mail_folder="Invoices", attachment_name="rech", check_regex=True).poke({})


@pytest.mark.parametrize("soft_fail", [True, False])
def test_what_never_heals_fails_for_good(
    robot: Mailbox, monkeypatch: pytest.MonkeyPatch, soft_fail: bool
) -> None:
    """A wrong password, a missing folder: no retries, no skip."""
    with pytest.raises(AirflowFailException, match="no folder 'Missing'"):
        sensor(mail_folder="Missing", soft_fail=soft_fail).execute({})
    rename(monkeypatch, password="wrong-password")
    with pytest.raises(AirflowFailException, match="refused the sign-in"):
        sensor(soft_fail=soft_fail).execute({})
