"""EmailSensor when it leaves the waiting to the triggerer, and what becomes of it when no mail comes."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferralError,
    TaskDeferred,
)

from airflow_email_conn import backoff
from airflow_email_conn.errors import NetworkError
from airflow_email_conn.sensors.mail import EmailSensor
from airflow_email_conn.triggers.mail import EmailTrigger
from tests.airflow.conftest import ROBOT
from tests.airflow.test_tasks import Instance
from tests.airflow.waits import event
from tests.contract.imap_script import imap_script
from tests.contract.mails import invoice
from tests.servers.scripted import ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_email_conn.backends.base import Mailbox
    from tests.servers.embedded import EmbeddedServers

UNTIL = "2026-01-31T08:00:00+00:00"


@pytest.fixture(autouse=True)
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried again at once."""
    monkeypatch.setattr(backoff, "_FIRST", 0.01)


@pytest.fixture(autouse=True)
def robot(connect: Callable[..., None], mailboxes: Callable[[str], Mailbox]) -> Mailbox:
    """The robot's mailbox, empty."""
    return mailboxes(ROBOT)


def sensor(**arguments: Any) -> EmailSensor:
    """A sensor that looks often and not for long."""
    usual = {"task_id": "wait", "poke_interval": 0.1, "timeout": 0.3, "sender": "@acme.com"}
    return EmailSensor(**{**usual, **arguments})


def run(waiting: EmailSensor) -> tuple[Any, dict[str, Any]]:
    """What it returns and pushes, with the triggerer and the second worker, as Airflow has it."""
    instance = Instance()
    context: Any = {"ti": instance}
    try:
        return waiting.execute(context), instance.pushed
    except TaskDeferred as deferred:
        path, arguments = deferred.trigger.serialize()
        assert path.endswith(".EmailTrigger")
        payload = asyncio.run(event(EmailTrigger(**json.loads(json.dumps(arguments)))))
        # With the event alone: dag.test() of Airflow 3.3.2 loses `deferred.kwargs`.
        return waiting.resume_execution(deferred.method_name, {"event": payload}, context), instance.pushed


def resumed(waiting: EmailSensor, event: dict[str, Any]) -> Any:
    """What it does about an event."""
    return waiting.resume_execution(
        "execute_complete", {"event": {"until": UNTIL, **event}}, {"ti": Instance()}
    )


# ------------------------------------------------------------ deferring


def test_mail_that_is_there_is_not_waited_for(embedded: EmbeddedServers) -> None:
    """The worker has looked, so the triggerer need not."""
    embedded.append(ROBOT, invoice())
    (mail,) = sensor(deferrable=True).execute({"ti": Instance()})  # type: ignore[arg-type]
    assert mail["ref"]["message_id"] == "<invoice-1@acme.com>"


def test_both_ways_give_the_same(embedded: EmbeddedServers) -> None:
    """The list of dicts that the next task takes."""
    waiting = sensor(deferrable=True, timeout=30)
    with pytest.raises(TaskDeferred) as deferred:
        waiting.execute({"ti": Instance()})  # type: ignore[arg-type]
    embedded.append(ROBOT, invoice())
    _, arguments = deferred.value.trigger.serialize()
    found = resumed(waiting, asyncio.run(event(EmailTrigger(**arguments))))
    assert found == run(sensor())[0]


def test_what_is_deferred(embedded: EmbeddedServers) -> None:
    """Where the worker stopped, what is wanted, and until when."""
    embedded.append(ROBOT, invoice().replace(b"acme", b"other"))
    now = datetime.now(timezone.utc)
    with pytest.raises(TaskDeferred) as caught:
        sensor(deferrable=True, timeout=60, limit="7", idle_refresh=90).execute({"ti": Instance()})  # type: ignore[arg-type]
    _, arguments = caught.value.trigger.serialize()
    assert arguments["position"]["uid"] > 0
    assert arguments["query"] == {"sender": ["@acme.com"]}
    assert (arguments["limit"], arguments["poll_interval"], arguments["idle_refresh"]) == (7, 0.1, 90)
    assert 58 < (datetime.fromisoformat(arguments["until"]) - now).total_seconds() < 62
    assert caught.value.timeout is not None
    assert 120 < caught.value.timeout.total_seconds() < 300


def test_a_mail_that_cannot_be_read_stays_to_come(connect: Callable[..., None]) -> None:
    """The triggerer begins before it."""
    answers = {
        "EXAMINE": b"* OK [UIDVALIDITY 1] ok\r\n* OK [UIDNEXT 8] ok\r\n%b OK ok\r\n",
        "SEARCH": b"* SEARCH 6 7\r\n%b OK done\r\n",
        "FETCH": b"%b NO [SERVERBUG] Internal error occurred\r\n",
    }
    with ScriptedServer(imap_script(answers)) as server:
        connect({"incoming_security": "none"}, port=server.port)
        with pytest.raises(TaskDeferred) as caught:
            sensor(deferrable=True).execute({"ti": Instance()})  # type: ignore[arg-type]
    assert caught.value.trigger.serialize()[1]["position"]["uid"] == 5


def test_an_error_before_it_defers(connect: Callable[..., None]) -> None:
    """As in the other modes: the task fails, or with `silent_fail` the triggerer goes on from nowhere."""
    connect(port=1)
    with pytest.raises(NetworkError):
        run(sensor(deferrable=True, soft_fail=True))
    with pytest.raises(AirflowSkipException):
        run(sensor(deferrable=True, never_fail=True))
    with pytest.raises(TaskDeferred) as caught:
        sensor(deferrable=True, silent_fail=True).execute({"ti": Instance()})  # type: ignore[arg-type]
    assert caught.value.trigger.serialize()[1]["position"] is None
    connect()
    with pytest.raises(AirflowFailException):
        run(sensor(deferrable=True, silent_fail=True, folder="Nowhere"))


ERROR = {"status": "error", "message": "no route", "server_text": "", "retryable": True}


def test_errors_of_the_triggerer() -> None:
    """One that may heal is retried by Airflow, `soft_fail` or not; the others fail for good."""
    with pytest.raises(NetworkError, match="no route"):
        resumed(sensor(soft_fail=True), ERROR)
    with pytest.raises(AirflowSkipException):
        resumed(sensor(never_fail=True), ERROR)
    with pytest.raises(AirflowSensorTimeout):
        resumed(sensor(silent_fail=True), ERROR)
    for choice in ("soft_fail", "never_fail", "silent_fail"):
        with pytest.raises(AirflowFailException, match="no route"):
            resumed(sensor(**{choice: True}), {**ERROR, "retryable": False})


def test_a_triggerer_that_died_or_never_was(embedded: EmbeddedServers) -> None:
    """It failed: an error even with `soft_fail`. Airflow's own time limit: a last look."""

    def fail(reason: str, **arguments: Any) -> Any:
        return sensor(**arguments).resume_execution("__fail__", {"error": reason}, {"ti": Instance()})  # type: ignore[arg-type]

    with pytest.raises(TaskDeferralError):
        fail("Trigger failure", soft_fail=True)
    with pytest.raises(AirflowSensorTimeout):
        fail("Trigger timeout")
    assert fail("Trigger timeout", on_missing="report") == []
    embedded.append(ROBOT, invoice())
    assert len(fail("Trigger timeout")) == 1


# ------------------------------------------------------------ no mail

MODES: dict[str, dict[str, Any]] = {
    "poke": {},
    "reschedule": {"mode": "reschedule", "timeout": 0},
    "deferrable": {"deferrable": True},
}


@pytest.mark.parametrize("mode", MODES)
def test_no_mail(mode: str) -> None:
    """Failed, skipped, or a report: the same in each mode."""
    with pytest.raises(AirflowSensorTimeout, match=r"No mail came to 'INBOX' from .* sender="):
        run(sensor(**MODES[mode]))
    for choice in ({"on_missing": "skip"}, {"soft_fail": True}):
        with pytest.raises(AirflowSkipException):
            run(sensor(**MODES[mode], **choice))
    mails, pushed = run(sensor(**MODES[mode], on_missing="report"))
    assert mails == []
    missing = pushed["missing"]
    assert missing["folder"] == "INBOX"
    assert missing["email_conn_id"] == "email_default"
    assert missing["filters"] == {"sender": ["@acme.com"]}
    assert missing["since"] <= missing["until"]


def test_an_error_is_no_missing_mail(connect: Callable[..., None]) -> None:
    """A task that is to skip or to report fails when it cannot look."""
    connect(port=1)
    for mode in MODES.values():
        for outcome in ("skip", "report"):
            with pytest.raises(NetworkError):
                run(sensor(**mode, on_missing=outcome))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"on_missing": "ignore"}, "none of fail, skip, report"),
        ({"on_missing": "report", "soft_fail": True}, "contradicts soft_fail"),
        ({"on_missing": "fail", "soft_fail": True}, "contradicts soft_fail"),
        ({"idle_refresh": 0}, "idle_refresh"),
    ],
)
def test_contradictions(arguments: dict[str, Any], message: str) -> None:
    """Found when the DAG is parsed."""
    with pytest.raises(ValueError, match=message):
        sensor(**arguments)
