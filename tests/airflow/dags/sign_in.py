"""A person signs in by OAuth, and a second task uses the mailbox. See test_sign_in.py."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG

from airflow_email_conn.operators.mail import EmailSignInOperator, SendEmailOperator
from airflow_email_conn.sensors.mail import EmailSensor

ALICE = "alice@example.test"

with DAG("sign_in", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)):
    sign_in = EmailSignInOperator(
        task_id="sign_in",
        email_conn_id="{{ dag_run.conf['conn_id'] }}",
        force="{{ dag_run.conf.get('force', False) }}",
        response_timeout=timedelta(minutes=5),
    )
    send = SendEmailOperator(
        task_id="send",
        email_conn_id="{{ dag_run.conf['conn_id'] }}",
        to=ALICE,
        subject="{{ run_id }}",
        text="{{ ti.xcom_pull(task_ids='sign_in') }}",
    )
    wait = EmailSensor(
        task_id="wait",
        email_conn_id="{{ dag_run.conf['conn_id'] }}",
        subject="{{ run_id }}",
        deferrable=True,
        timeout=60,
    )
    sign_in >> send >> wait
