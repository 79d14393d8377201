"""Mail when a task fails or is tried again, when a run fails or succeeds, and when a run takes too long.

The mails need no words of their own: each tells what happened, with links to the log and the run. The
subject of the last one shows that all arguments are templates.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, AsyncCallback, DeadlineAlert, DeadlineReference, Param, task

from airflow_email_conn.notifications.mail import EmailNotifier

TEAM = "robot@example.test"

with DAG(
    dag_id="alerts",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    default_args={
        "retries": 1,
        "retry_delay": timedelta(seconds=1),
        "on_retry_callback": EmailNotifier(TEAM),
        "on_failure_callback": EmailNotifier(TEAM),
    },
    on_failure_callback=EmailNotifier(TEAM),
    on_success_callback=EmailNotifier(
        TEAM, subject="{{ params.rows }} rows loaded", text="By run {{ run_id }}.\n"
    ),
    # A missed deadline is told by the triggerer, which knows no params: plain values only.
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(hours=1),
        callback=AsyncCallback(EmailNotifier, kwargs={"to": TEAM}),
    ),
    params={"rows": Param(3, type="integer", description="0 fails")},
    doc_md=__doc__,
) as alerts_dag:

    @task
    def load(params: dict[str, int] | None = None) -> None:
        """Pretend to load rows."""
        if not (params or {}).get("rows"):
            raise ValueError("the file holds no <rows>")

    load()
