"""One task on Microsoft 365, in a process of its own: ``python -m tests.soak.graph_task <number> <folder>``.

It begins when it is told to: importing Airflow takes longer than the task.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from airflow_email_conn.operators.mail import FetchEmailOperator, SendEmailOperator, UpdateEmailOperator
from tests.airflow.test_tasks import Instance

__all__ = ["SUBJECT"]

#: Of the mails of one task.
SUBJECT = "for task {}"


def executed(operator: Any) -> Any:
    """What a task returns, as JSON has it."""
    return json.loads(json.dumps(operator.execute({"ti": Instance()})))


def work(number: int, storage: str) -> dict[str, int]:
    """Store the files of its mails, move these away, and send one. :returns: what was done."""
    mine = {"subject": SUBJECT.format(number), "attachment": "*.csv"}
    files = executed(FetchEmailOperator(task_id="fetch", path=storage, limit=None, **mine))
    update = {"seen": True, "move_to": f"Done {number}", "create_folder": True}
    moved = executed(UpdateEmailOperator(task_id="move", limit=None, **update, **mine))
    executed(SendEmailOperator(task_id="send", to="vendor@example.test", subject="Done", text=f"By {number}"))
    return {"files": len(files), "moved": len(moved["mails"])}


def main(number: int, storage: str) -> None:
    """Wait for a line, work, and tell."""
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    try:
        done: dict[str, Any] = work(number, storage)
    except Exception as exc:  # noqa: BLE001 - whatever it was, the test tells
        done = {"error": f"{type(exc).__name__}: {exc}"}
    print(json.dumps({**done, "seconds": round(time.monotonic() - began, 1)}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
