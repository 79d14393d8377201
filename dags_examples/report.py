"""Send a report: text and HTML, a picture in the text, the figures attached from object storage."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timezone

from airflow.sdk import DAG, ObjectStoragePath, Param, task

from airflow_email_conn.operators.mail import SendEmailOperator

# A red dot, 1 x 1 pixel; a real report would draw a chart.
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108020000009077"
    "53de0000000c4944415408d763f8cfc000000301010018dd8db00000000049454e44ae426082"
)

with DAG(
    dag_id="report",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    params={
        "to": Param("robot@example.test", description="addresses, separated by commas"),
        "path": Param("file:///tmp/report", description="a folder, local or in object storage"),
    },
    doc_md=__doc__,
) as report_dag:

    @task
    def write(path: str) -> dict[str, str]:
        """Write the figures and the picture; return where they lie."""
        folder = ObjectStoragePath(path)
        folder.mkdir(parents=True, exist_ok=True)
        table = io.StringIO()
        csv.writer(table).writerows([["month", "amount"], ["January", 10], ["February", 20]])
        (folder / "figures.csv").write_bytes(table.getvalue().encode())
        (folder / "chart.png").write_bytes(PICTURE)
        return {"figures": str(folder / "figures.csv"), "chart": str(folder / "chart.png")}

    written = write("{{ params.path }}")

    SendEmailOperator(
        task_id="send",
        to="{{ params.to }}",
        subject="Figures of {{ dag_run.run_after.strftime('%Y-%m-%d') }}",
        text="The figures are attached.\n",
        html="<p>The figures of run <b>{{ run_id }}</b>:</p><p><img src='cid:chart'></p>",
        inline={"chart": written["chart"]},
        attachments=[written["figures"]],
        headers={"X-Report": "{{ dag.dag_id }}"},
    )
