"""A deferrable sensor in a whole Airflow: worker, triggerer, and worker again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.airflow.stage import ROBOT
from tests.contract.mails import plain

if TYPE_CHECKING:
    from tests.airflow.stage import Stage

DAGS = ("waiting", "in_vain")


@pytest.fixture(autouse=True)
def parsed(stage: Stage) -> None:
    """The DAGs are known."""
    stage.airflow.wait_for_dags(*DAGS)


def task_of(dag_id: str, run_id: str) -> str:
    """The path of the sensor's task instance."""
    return f"dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/wait"


def wait_for_state(stage: Stage, path: str, state: str, seconds: float = 90) -> None:
    """Wait until the task is in a state."""
    end = time.monotonic() + seconds
    while (now := stage.airflow.api("GET", path)["state"]) != state:
        assert time.monotonic() < end, f"it is {now}"
        time.sleep(0.5)


def xcom(stage: Stage, path: str, key: str) -> Any:
    """A value that the task left."""
    return stage.airflow.api("GET", f"{path}/xcomEntries/{key}")["value"]


def subjects(found: Any) -> list[str]:
    """Of the mails in an XCom."""
    return [mail["subject"] for mail in found]


def test_a_deferred_task_gets_its_mail(stage: Stage) -> None:
    """It holds no worker, and succeeds with the mail that comes later."""
    run_id = stage.airflow.trigger("waiting", subject="Comes later")
    path = task_of("waiting", run_id)
    wait_for_state(stage, path, "deferred")
    stage.servers.append(ROBOT, plain(subject="Comes later"))
    assert stage.airflow.wait_for_run("waiting", run_id) == "success"
    assert subjects(xcom(stage, path, "return_value")) == ["Comes later"]


def test_a_report_of_what_did_not_come(stage: Stage) -> None:
    """The task succeeds with no mails, and says what it waited for."""
    run_id = stage.airflow.trigger("in_vain")
    assert stage.airflow.wait_for_run("in_vain", run_id) == "success"
    path = task_of("in_vain", run_id)
    assert xcom(stage, path, "return_value") == []
    missing = xcom(stage, path, "missing")
    assert missing["filters"] == {"subject": ["Never"], "attachment": ["*.csv"]}


def test_a_triggerer_that_is_killed_loses_no_mail(stage: Stage) -> None:
    """The mail comes while none runs; the next one finds it."""
    run_id = stage.airflow.trigger("waiting", subject="While nobody looked")
    path = task_of("waiting", run_id)
    wait_for_state(stage, path, "deferred")
    time.sleep(3)
    stage.airflow.kill("triggerer")
    stage.servers.append(ROBOT, plain(subject="While nobody looked"))
    stage.airflow.start("triggerer")
    assert stage.airflow.wait_for_run("waiting", run_id) == "success"
    assert subjects(xcom(stage, path, "return_value")) == ["While nobody looked"]
