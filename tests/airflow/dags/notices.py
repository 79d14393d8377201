"""Everything that a notifier can be called for, in one deployment; see test_notices.py."""

from __future__ import annotations

import os
import signal
from datetime import datetime, timedelta, timezone

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, AsyncCallback, DeadlineAlert, DeadlineReference, SyncCallback, task

from airflow_email_conn.notifications.mail import EmailNotifier

TEAM = "robot@example.test"
START = datetime(2026, 1, 1, tzinfo=timezone.utc)

with DAG("failing", schedule=None, start_date=START, on_failure_callback=EmailNotifier(TEAM)):

    @task(
        retries=1,
        retry_delay=timedelta(seconds=1),
        on_retry_callback=EmailNotifier(TEAM),
        on_failure_callback=EmailNotifier(TEAM),
        email=TEAM,
        email_on_retry=True,
    )
    def load() -> None:
        """Fail, with what a mail must neither show as HTML nor render."""
        raise ValueError("<img src=x onerror=alert(1)> {{ 7 * 7 }}")

    load()

with DAG("killed", schedule=None, start_date=START):

    @task(on_failure_callback=EmailNotifier(TEAM))
    def die() -> None:
        """Die without a word, and with it the process that would tell: as when a machine is lost."""
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    die()

with DAG("working", schedule=None, start_date=START, on_success_callback=EmailNotifier(TEAM)):

    @task(on_success_callback=EmailNotifier(TEAM, html="<p>{{ occasion.task_id }} is done</p>"))
    def work(number: int) -> None:
        """Work."""

    work.expand(number=[1])

# Alone, since how it ends is none of ours: Airflow 3.3.2 fails a task that goes on before the scheduler has
# heard from the executor that it had stopped to wait.
with DAG("asking", schedule=None, start_date=START):
    ApprovalOperator(
        task_id="ask",
        subject="May <b>it</b> go on?",
        body="The file has {{ 7 * 7 }} rows.",
        notifiers=[EmailNotifier(TEAM)],
        defaults="Approve",
        response_timeout=timedelta(seconds=1),
    )

# The worker that runs a SyncCallback may not read Airflow's stored connections (3.3.2): "Access denied".
for kind, conn_id in ((AsyncCallback, "email_default"), (SyncCallback, "email_env")):
    with DAG(
        f"late_{kind.__name__.removesuffix('Callback').lower()}",
        schedule=None,
        start_date=START,
        deadline=DeadlineAlert(
            reference=DeadlineReference.DAGRUN_QUEUED_AT,
            interval=timedelta(seconds=1),
            callback=kind(EmailNotifier, kwargs={"to": TEAM, "email_conn_id": conn_id}),
        ),
    ):

        @task
        def dawdle() -> None:
            """Take longer than the deadline allows."""
            import time  # noqa: PLC0415 - only here

            time.sleep(8)

        dawdle()
