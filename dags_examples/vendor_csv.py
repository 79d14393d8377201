"""Wait for a vendor's mail with a CSV, store the file, read it, answer, and file the mail.

Run as it is by `poe demo` and by the tests. The connection `email_default` describes the mailbox.
"""

from __future__ import annotations

import csv
from datetime import datetime, timezone
from typing import Any

from airflow.sdk import DAG, ObjectStoragePath, Param, task

from airflow_email_conn.operators.mail import FetchEmailOperator, SendEmailOperator, UpdateEmailOperator
from airflow_email_conn.sensors.mail import EmailSensor

with DAG(
    dag_id="vendor_csv",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    params={
        "sender": Param("@example.test", description="whose mails: an address, or @domain"),
        "path": Param("file:///tmp/vendor_csv", description="where files go, such as s3://conn@bucket/mail"),
    },
    doc_md=__doc__,
) as vendor_csv_dag:
    wait = EmailSensor(
        task_id="wait",
        sender="{{ params.sender }}",
        attachment="*.csv",
        mode="reschedule",
        poke_interval=60,
        timeout=6 * 60 * 60,
    )

    fetch = FetchEmailOperator(
        task_id="fetch", mails=wait.output, attachment="*.csv", path="{{ params.path }}"
    )

    @task
    def load(file: dict[str, Any]) -> int:
        """Read one CSV where it was stored; a real DAG would load it into a table."""
        with ObjectStoragePath(file["path"]).open("r", encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter=";"))
        print(f"{file['name']}: {len(rows)} rows, columns {', '.join(rows[0])}")
        return len(rows)

    loaded = load.expand(file=fetch.output["files"])

    reply = SendEmailOperator.partial(task_id="reply", text="Thank you, your file was loaded.\n").expand(
        answers=wait.output
    )

    done = UpdateEmailOperator(
        task_id="done", mails=fetch.output["mails"], seen=True, move_to="Done", create_folder=True
    )

    # Side by side: a reply that fails must not leave the mail where the next run would find it again.
    loaded >> [reply, done]
