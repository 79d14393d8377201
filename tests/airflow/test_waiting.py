"""A deferrable sensor in a whole Airflow: worker, triggerer, and worker again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.airflow.stage import ROBOT
from tests.contract.mails import plain

if TYPE_CHECKING:
    from tests.airflow.stage import Stage


@dataclass(frozen=True)
class Runs:
    """The paths of the sensors' task instances.

    :param early: gets its mail while the triggerer runs.
    :param late: gets it when the triggerer was killed, and another one started.
    :param in_vain: gets none.
    """

    early: str
    late: str
    in_vain: str


@pytest.fixture(scope="module")
def runs(stage: Stage) -> Runs:
    """All of them at once, since an Airflow takes seconds for every step; they have ended well."""
    airflow = stage.airflow
    airflow.wait_for_dags("waiting", "in_vain")
    early = airflow.trigger("waiting", subject="Comes later")
    late = airflow.trigger("waiting", subject="While nobody looked")
    in_vain = airflow.trigger("in_vain")
    runs = Runs(task_of("waiting", early), task_of("waiting", late), task_of("in_vain", in_vain))
    wait_for_state(stage, runs.early, "deferred")
    wait_for_state(stage, runs.late, "deferred")
    stage.servers.append(ROBOT, plain(subject="Comes later"))
    assert airflow.wait_for_run("waiting", early) == "success"
    assert airflow.wait_for_run("in_vain", in_vain) == "success"
    airflow.kill("triggerer")
    stage.servers.append(ROBOT, plain(subject="While nobody looked"))
    airflow.start("triggerer")
    assert airflow.wait_for_run("waiting", late) == "success"
    return runs


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


def test_a_deferred_task_gets_its_mail(stage: Stage, runs: Runs) -> None:
    """It holds no worker, and succeeds with the mail that comes later."""
    assert subjects(xcom(stage, runs.early, "return_value")) == ["Comes later"]


def test_a_report_of_what_did_not_come(stage: Stage, runs: Runs) -> None:
    """The task succeeds with no mails, and says what it waited for."""
    assert xcom(stage, runs.in_vain, "return_value") == []
    missing = xcom(stage, runs.in_vain, "missing")
    assert missing["filters"] == {"subject": ["Never"], "attachment": ["*.csv"]}


def test_a_triggerer_that_is_killed_loses_no_mail(stage: Stage, runs: Runs) -> None:
    """The mail comes while none runs; the next one finds it."""
    assert subjects(xcom(stage, runs.late, "return_value")) == ["While nobody looked"]
