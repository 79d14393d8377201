"""`airflow email-conn usage`, on DAGs that Airflow serialised into its database."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.models import DagModel
from airflow.models.connection import Connection
from airflow.models.dag_version import DagVersion
from airflow.models.dagbundle import DagBundleModel
from airflow.models.serialized_dag import SerializedDagModel
from airflow.sdk import DAG, Asset, AssetWatcher
from airflow.sdk.definitions.deadline import AsyncCallback, DeadlineAlert, DeadlineReference
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from airflow.triggers.base import BaseEventTrigger
from airflow.utils.session import create_session
from sqlalchemy import delete, select, update

from airflow_email_conn.notifications.mail import EmailNotifier
from airflow_email_conn.operators.mail import FetchEmailOperator, SendEmailOperator
from airflow_email_conn.sensors.mail import EmailSensor
from airflow_email_conn.triggers.mail import EmailTrigger
from tests.airflow.commands import run

if TYPE_CHECKING:
    from collections.abc import Iterator

FILLED = {"host": "imap.example.test", "login": "robot@example.test", "password": "s3cret-word"}


class Watching(BaseEventTrigger, EmailTrigger):
    """A trigger that a watcher may have."""


@pytest.fixture
def stored(database: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Connections `used` and `idle`, and one of another type; no DAG that is there, and none left behind."""
    monkeypatch.delenv("AIRFLOW_CONN_EMAIL_DEFAULT", raising=False)
    names = {"used": "email", "idle": "email", "bank": "http"}
    with create_session() as session:
        for conn_id, kind in names.items():
            session.merge(Connection(conn_id=conn_id, conn_type=kind, **FILLED))
        session.merge(DagBundleModel(name="cli"))
        others = list(session.scalars(select(DagModel.dag_id).where(~DagModel.is_stale)))
        session.execute(update(DagModel).where(DagModel.dag_id.in_(others)).values(is_stale=True))
    yield
    with create_session() as session:
        session.execute(update(DagModel).where(DagModel.dag_id.in_(others)).values(is_stale=False))
        session.execute(delete(Connection).where(Connection.conn_id.in_(names)))
        for model in (SerializedDagModel, DagVersion, DagModel):
            session.execute(delete(model).where(model.dag_id.like("cli_%")))


def store(dag: DAG) -> None:
    """Serialise a DAG as the DAG processor does."""
    with create_session() as session:
        if session.get(DagModel, dag.dag_id) is None:
            session.add(DagModel(dag_id=dag.dag_id, bundle_name="cli", is_stale=False))
    SerializedDagModel.write_dag(LazyDeserializedDAG.from_dag(dag), bundle_name="cli", min_update_interval=0)


def found(*arguments: str) -> set[tuple[Any, ...]]:
    """What the command lists."""
    done = run("usage", *arguments, "--output", "json")
    assert done.code == 0
    return {tuple(row.values()) for row in json.loads(done.out)}


def test_tasks_mapped_tasks_and_templates(stored: None) -> None:
    """Each task by its operator; a default is a use; what only a run knows is shown as written."""
    with DAG("cli_tasks", schedule=None) as dag:
        EmailSensor(task_id="wait", email_conn_id="used")
        SendEmailOperator(task_id="send", to="a@b.test", subject="x", email_conn_id="{{ params.box }}")
        SendEmailOperator.partial(task_id="each", subject="x", email_conn_id="used").expand(to=["a@b.test"])
        FetchEmailOperator.partial(task_id="many", path="file:///tmp/x").expand(
            email_conn_id=["used", "other"]
        )
        SendEmailOperator.partial(task_id="default", subject="x").expand(to=["a@b.test"])
    store(dag)
    assert found() == {
        ("used", "cli_tasks", "task", "wait", "EmailSensor"),
        ("{{ params.box }}", "cli_tasks", "task", "send", "SendEmailOperator"),
        ("used", "cli_tasks", "task", "each", "SendEmailOperator"),
        ("used", "cli_tasks", "task", "many", "FetchEmailOperator"),
        ("other", "cli_tasks", "task", "many", "FetchEmailOperator"),
        ("email_default", "cli_tasks", "task", "default", "SendEmailOperator"),
        ("idle", None, "unused", None, None),
    }


def test_watchers_and_deadlines(stored: None) -> None:
    """Those of assets' triggers, and a notifier that is told when a run takes too long."""
    trigger = Watching(email_conn_id="used", until="2030-01-01T00:00:00+00:00")
    inbox = Asset("cli_inbox", watchers=[AssetWatcher(name="inbox", trigger=trigger)])
    late = DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(hours=1),
        callback=AsyncCallback(EmailNotifier, kwargs={"to": "a@b.test", "email_conn_id": "idle"}),
    )
    with DAG("cli_events", schedule=[inbox], deadline=late) as dag:
        EmailSensor(task_id="wait", email_conn_id="used")
    store(dag)
    assert found() == {
        ("used", "cli_events", "watcher", "inbox", "Watching"),
        ("used", "cli_events", "task", "wait", "EmailSensor"),
        ("idle", "cli_events", "deadline", None, "EmailNotifier"),
    }


def test_one_connection_and_what_may_be_it(stored: None) -> None:
    """Another one's uses are left out, templates are not: they may mean this one."""
    with DAG("cli_one", schedule=None) as dag:
        EmailSensor(task_id="wait", email_conn_id="used")
        EmailSensor(task_id="maybe", email_conn_id="{{ params.box }}")
    store(dag)
    maybe = ("{{ params.box }}", "cli_one", "task", "maybe", "EmailSensor")
    assert found("used") == {maybe, ("used", "cli_one", "task", "wait", "EmailSensor")}
    assert found("idle") == {maybe, ("idle", None, "unused", None, None)}


def test_newest_version_of_dags_that_are_there(stored: None) -> None:
    """What a DAG used before it was changed is no use any more, nor is one whose file is gone."""
    for conn_id in ("idle", "used"):
        with DAG("cli_changed", schedule=None) as dag:
            EmailSensor(task_id=f"wait_{conn_id}", email_conn_id=conn_id)
        store(dag)
    with DAG("cli_gone", schedule=None) as gone:
        EmailSensor(task_id="wait", email_conn_id="idle")
    store(gone)
    with create_session() as session:
        session.get(DagModel, "cli_gone").is_stale = True
    assert found() == {
        ("used", "cli_changed", "task", "wait_used", "EmailSensor"),
        ("idle", None, "unused", None, None),
    }


def test_callbacks_are_named_as_not_seen(stored: None) -> None:
    """Airflow serialises only that there are some: a connection that is unused may be theirs."""
    with DAG("cli_callback", schedule=None, on_failure_callback=EmailNotifier(to="a@b.test")) as dag:
        EmailSensor(task_id="wait", email_conn_id="used")
    store(dag)
    assert "callbacks (notifiers) of cli_callback" in run("usage").err


def test_airflows_own_mails(stored: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection of `[email]` is used when this package sends them."""
    monkeypatch.setenv("AIRFLOW__EMAIL__EMAIL_BACKEND", "airflow_email_conn.notifications.mail.send_email")
    monkeypatch.setenv("AIRFLOW__EMAIL__EMAIL_CONN_ID", "idle")
    assert ("idle", None, "setting", "[email] email_conn_id", "send_email") in found()
    assert "[email] email_conn_id" in run("usage", "idle").out


def test_five_hundred_dags(stored: None) -> None:
    """No DAG file is loaded, and not all DAGs are held at once."""
    with DAG("cli_first", schedule=None) as dag:
        EmailSensor(task_id="wait", email_conn_id="used")
    store(dag)
    with create_session() as session:
        data = session.query(SerializedDagModel).filter_by(dag_id="cli_first").one().data
        for number in range(500):
            dag_id = f"cli_{number:03}"
            session.add(DagModel(dag_id=dag_id, bundle_name="cli", is_stale=False))
            version = DagVersion(dag_id=dag_id, version_number=1, bundle_name="cli")
            session.add(version)
            session.flush()
            copy = json.loads(json.dumps(data))
            copy["dag"]["dag_id"] = dag_id
            row = SerializedDagModel(LazyDeserializedDAG(data=copy))
            row.dag_version = version
            session.add(row)
    assert len(found("used")) == 501
