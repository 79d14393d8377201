"""The job by FetchEmailOperator: what a DAG does, with storage, digests and manifests."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import airflow_email_conn.backends.imap.mailbox  # noqa: F401 - imports are a case of their own
from airflow_email_conn.operators.mail import FetchEmailOperator
from tests.bench.mails import PATTERN, SENDER
from tests.servers.base import HOST

if TYPE_CHECKING:
    from tests.bench.case import Begin, Place

__all__ = ["find_reports"]


def find_reports(place: Place, begin: Begin) -> None:
    """Execute the operator."""
    form = {"conn_type": "email", "host": HOST, "port": place.port}
    extra = {"incoming_security": "none", "outgoing_protocol": "none"}
    form |= {"login": place.user, "password": place.password, "extra": extra}
    os.environ["AIRFLOW_CONN_MAIL"] = json.dumps(form)
    operator = FetchEmailOperator(
        task_id="fetch",
        email_conn_id="mail",
        folder=place.folder,
        sender=SENDER,
        attachment=PATTERN,
        path=Path(place.out).as_uri(),
    )
    begin()
    operator.execute({"ti": _Instance()})


class _Instance:
    """As much of a task instance as the operator needs."""

    def xcom_push(self, key: str, value: object) -> None:
        """Turn it into JSON, as Airflow does."""
        json.dumps(value)
