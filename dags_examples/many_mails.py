"""A mapped task group for each mail: a mail that fails is retried alone, and does not hold up the others.

Also shows the hook in TaskFlow, for what the operators do not do.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.sdk import DAG, Param, task, task_group

from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn.model.message import MailSummary
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.operators.mail import FetchEmailOperator, UpdateEmailOperator

with DAG(
    dag_id="many_mails",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    default_args={"retries": 2, "retry_delay": timedelta(seconds=5)},
    params={"path": Param("file:///tmp/many_mails", description="a folder, local or in object storage")},
    doc_md=__doc__,
) as many_mails_dag:

    @task
    def unread() -> list[dict[str, Any]]:
        """The unread mails with attachments, as small dicts."""
        with EmailHook("email_default").mailbox() as mailbox:
            wanted = MailQuery(unseen=True, has_attachments=True)
            return [mail.as_dict() for mail in mailbox.search(wanted, limit=100)]

    @task
    def words(mail: dict[str, Any]) -> int:
        """Read the text of one mail; reading leaves it unread."""
        with EmailHook("email_default").mailbox() as mailbox:
            text = mailbox.fetch(MailSummary.from_dict(mail).ref).text
        return len(text.split())

    @task_group
    def one(mail: dict[str, Any]) -> None:
        """All that happens to one mail."""
        fetched = FetchEmailOperator(task_id="fetch", mails=mail, path="{{ params.path }}")
        read = UpdateEmailOperator(task_id="read", mails=mail, seen=True)
        [words(mail), fetched] >> read

    one.expand(mail=unread())
