"""The mails of notifiers and of Airflow itself, from a whole deployment: worker, DAG processor, triggerer."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_email_conn.model.message import Mail
    from tests.airflow.stage import Stage

DAGS = ("failing", "working", "asking", "late_async", "late_sync", "alerts", "killed")
KILLED = "Airflow: Task killed.die failed (try 1 of 1)"
EXPECTED = {
    "Airflow: Task failing.load failed and will be tried again (try 1 of 2)",
    "Airflow: Task failing.load failed (try 2 of 2)",
    "Airflow: DAG failing failed",
    "Airflow alert: failing.load, try 1",
    "Airflow alert: failing.load, try 2",
    "Airflow: Task working.work[0] succeeded (try 1 of 1)",
    "Airflow: Task asking.ask waits for your answer (try 1 of 1)",
    "Airflow: DAG working succeeded",
    "Airflow: DAG late_async missed a deadline",
    "Airflow: DAG late_sync missed a deadline",
    "3 rows loaded",
    KILLED,
}


def bare(subject: str, runs: dict[str, str]) -> str:
    """A subject without the id of its run."""
    for run_id in runs.values():
        subject = subject.replace(f" (run {run_id})", "").replace(f", run {run_id}", "")
    return subject


@pytest.fixture(scope="module")
def runs(stage: Stage) -> dict[str, str]:
    """The id of each DAG's run; empty until `mails` has started them."""
    stage.airflow.wait_for_dags(*DAGS)
    return {}


@pytest.fixture(scope="module")
def mails(stage: Stage, runs: dict[str, str]) -> dict[str, Mail]:
    """The mails that came of the runs, by subject without the run."""

    def came(*expected: str) -> Callable[[list[Mail]], bool]:
        return lambda mails: {bare(mail.subject, runs) for mail in mails}.issuperset(expected)

    *others, killed = DAGS
    runs.update({dag_id: stage.airflow.trigger(dag_id) for dag_id in others})
    stage.wait_for_mail(came(*EXPECTED - {KILLED}))
    # Alone: with its worker dies whatever else that one was given to do.
    runs[killed] = stage.airflow.trigger(killed)
    return {bare(mail.subject, runs): mail for mail in stage.wait_for_mail(came(KILLED))}


def test_each_event_is_told(mails: dict[str, Mail]) -> None:
    """Retry, failure, success, a question, two kinds of deadline, a lost worker: nothing else is sent."""
    assert set(mails) == EXPECTED


def test_every_mail_is_from_the_connection_and_of_a_machine(mails: dict[str, Mail]) -> None:
    """`airflow@airflow` is replaced, and no vacation message answers."""
    for mail in mails.values():
        assert mail.sender
        assert mail.sender.email == "robot@example.test"
        assert mail.header("Auto-Submitted") == "auto-generated"


def test_exceptions_are_data(mails: dict[str, Mail]) -> None:
    """Neither HTML nor template, in text and HTML."""
    mail = mails["Airflow: Task failing.load failed (try 2 of 2)"]
    assert "ValueError: <img src=x onerror=alert(1)> {{ 7 * 7 }}" in (mail.text or "")
    assert "ValueError: &lt;img src=x onerror=alert(1)&gt; {{ 7 * 7 }}" in (mail.html or "")
    assert "<img" not in (mail.html or "")
    assert "<img" not in (mails["Airflow alert: failing.load, try 2"].html or "")


def test_links_lead_to_log_and_run(mails: dict[str, Mail], stage: Stage, runs: dict[str, str]) -> None:
    """As Airflow's UI has them, of the right try."""
    run = runs["failing"].replace(":", "%3A").replace("+", "%2B")
    page = f"{stage.airflow.url}/dags/failing/runs/{run}"
    for number, name in (
        (1, "Airflow: Task failing.load failed and will be tried again (try 1 of 2)"),
        (2, "Airflow: Task failing.load failed (try 2 of 2)"),
        (2, "Airflow: DAG failing failed"),
    ):
        assert f"Log: {page}/tasks/load?try_number={number}\n" in (mails[name].text or "").replace(
            "\r\n", "\n"
        )
        assert f'href="{page}"' in (mails[name].html or "")


def test_details_of_a_run(mails: dict[str, Mail]) -> None:
    """Why it failed, and the deadline that was missed."""
    assert "Reason:           a task failed" in (mails["Airflow: DAG failing failed"].text or "")
    for kind in ("async", "sync"):
        text = mails[f"Airflow: DAG late_{kind} missed a deadline"].text or ""
        assert "Deadline:         20" in text
        # A busy scheduler starts the run later than its deadline.
        assert re.search(r"State of the run: (queued|running)\r?\n", text)


def test_a_question_is_shown_with_the_way_to_answer(mails: dict[str, Mail]) -> None:
    """Subject and body of the task, escaped."""
    mail = mails["Airflow: Task asking.ask waits for your answer (try 1 of 1)"]
    assert "May <b>it</b> go on?" in (mail.text or "")
    assert "May &lt;b&gt;it&lt;/b&gt; go on?" in (mail.html or "")
    assert "/tasks/ask/required_actions" in (mail.text or "")


def test_own_words(mails: dict[str, Mail], runs: dict[str, str]) -> None:
    """Templates of one's own, of a task and of a DAG."""
    mail = mails["Airflow: Task working.work[0] succeeded (try 1 of 1)"]
    assert (mail.html or "").strip() == "<p>work is done</p>"
    assert (mails["3 rows loaded"].text or "").strip() == f"By run {runs['alerts']}."


def test_nothing_is_told_twice(stage: Stage, mails: dict[str, Mail], runs: dict[str, str]) -> None:
    """One mail for each call of a notifier."""
    for dag_id in DAGS:
        stage.airflow.wait_for_run(dag_id, runs[dag_id])
    told = Counter(bare(mail.subject, runs) for mail in stage.wait_for_mail(bool))
    # Airflow 3.3.2 itself calls back twice for a task whose worker is gone.
    told.pop(KILLED)
    assert set(told.values()) == {1}
