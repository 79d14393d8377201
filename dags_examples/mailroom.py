"""Store the files of all new mails, tell each sender what came, and file the mails.

Nothing here knows of a protocol: the connection may be IMAP with SMTP, or Microsoft 365.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_email_conn.operators.mail import FetchEmailOperator, SendEmailOperator, UpdateEmailOperator
from airflow_email_conn.sensors.mail import EmailSensor

with DAG(
    dag_id="mailroom",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    default_args={"email_conn_id": "{{ params.connection }}"},
    params={
        "connection": Param("email_default", description="a connection of type Email"),
        "path": Param("file:///tmp/mailroom", description="a folder, local or in object storage"),
        "folder": Param("Done", description=r"where mails go; a special use such as \Archive works too"),
    },
    doc_md=__doc__,
) as mailroom_dag:
    wait = EmailSensor(
        task_id="wait", has_attachments=True, deferrable=True, poke_interval=60, timeout=24 * 60 * 60
    )

    fetch = FetchEmailOperator(task_id="fetch", mails=wait.output, inline=True, path="{{ params.path }}")

    @task
    def answers(mails: list[dict[str, Any]], files: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """For each mail the arguments of its answer: a list of its files."""
        lines: dict[str | None, str] = {}
        for file in files:
            line = f"{file['name']}: {file['size']} bytes, SHA-256 {file['sha256']}\n"
            lines[file["message_id"]] = lines.get(file["message_id"], "Received:\n") + line
        return [
            {"answers": mail, "text": lines.get(mail["ref"]["message_id"], "No files.\n")} for mail in mails
        ]

    reply = SendEmailOperator.partial(task_id="reply").expand_kwargs(
        answers(fetch.output["mails"], fetch.output["files"])
    )

    done = UpdateEmailOperator(
        task_id="done",
        mails=fetch.output["mails"],
        seen=True,
        move_to="{{ params.folder }}",
        create_folder=True,
    )

    # Side by side: a reply that fails must not leave the mails where the next run would find them again.
    fetch >> [reply, done]
