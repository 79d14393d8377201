"""A sensor whose waiting the triggerer does. See test_waiting.py and test_graph_waiting.py."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG

from airflow_email_conn.sensors.mail import EmailSensor

with DAG("waiting", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)):
    EmailSensor(
        task_id="wait",
        email_conn_id="{{ dag_run.conf.get('conn_id', 'email_default') }}",
        subject="{{ dag_run.conf['subject'] }}",
        deferrable=True,
        timeout=300,
        on_missing="report",
    )

with DAG("in_vain", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)):
    EmailSensor(
        task_id="wait",
        subject="Never",
        attachment="*.csv",
        deferrable=True,
        timeout=5,
        on_missing="report",
        # Airflow 3.3.2 fails a task that goes on before the scheduler has heard from the executor that it had
        # stopped to wait: on a machine that is busy these seconds may be too few.
        retries=2,
        retry_delay=timedelta(seconds=1),
    )
