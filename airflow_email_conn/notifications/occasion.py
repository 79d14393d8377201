"""What a notifier is called for, read from the context that Airflow gives it.

Airflow calls notifiers in four places, each with a context of its own:

    callbacks of a task       the worker; for a task that died, the DAG processor, without state or exception
    callbacks of a DAG        the DAG processor; with `reason`, and the task that decided, if one did
    a missed deadline         the triggerer or a worker; `deadline`, and the run as the REST API shows it
    human-in-the-loop         the worker, while the task runs
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from urllib.parse import quote

from airflow.sdk.configuration import conf

if TYPE_CHECKING:
    from airflow.sdk import BaseNotifier

__all__ = ["Event", "Occasion"]

log = logging.getLogger(__name__)

#: What happened; `input` is a task that waits for a person, `notice` anything else.
Event: TypeAlias = Literal["failure", "retry", "success", "skipped", "start", "deadline", "input", "notice"]

# TaskInstanceState of a task that has ended.
_BY_STATE: Final[dict[str, Event]] = {
    "failed": "failure",
    "up_for_retry": "retry",
    "success": "success",
    "skipped": "skipped",
}
# Where a task that still runs lists the notifiers which are called meanwhile.
_WHILE_RUNNING: Final[tuple[tuple[str, Event], ...]] = (
    ("notifiers", "input"),
    ("on_execute_callback", "start"),
)
_REASONS: Final = {
    "task_failure": "a task failed",
    "timed_out": "the run took longer than its dagrun_timeout",
    "all_tasks_deadlocked": "no task can run any more",
    "success": "",
}


@dataclass(frozen=True, slots=True)
class Occasion:
    """What happened, and to what.

    :param task_id: of the task, or of the one that decided the run; empty when there is none.
    :param map_index: of a mapped task, else None.
    :param about_run: it happened to the run, not to the task.
    :param tries: of the task, such as `2 of 3`; or empty.
    :param exception: of the task; None when it is not known.
    :param question: what a person is asked; or empty.
    :param reason: why the run ended so; or empty.
    :param state: of the run, of a missed deadline; or empty.
    :param log_url, run_url, input_url: in Airflow's UI; or empty.
    """

    event: Event
    dag_id: str
    run_id: str
    about_run: bool = False
    task_id: str = ""
    map_index: int | None = None
    tries: str = ""
    host: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    deadline: datetime | None = None
    exception: BaseException | str | None = field(default=None, repr=False)
    question: str = ""
    reason: str = ""
    state: str = ""
    log_url: str = ""
    run_url: str = ""
    input_url: str = ""

    @classmethod
    def of(cls, context: Mapping[str, Any], notifier: BaseNotifier) -> Occasion:
        """Read a context. It raises nothing: a notice with gaps is better than none.

        :param notifier: the one that is called.
        """
        try:
            return _read(context, notifier)
        except Exception:
            # A context of another version of Airflow, or one that somebody made by hand.
            log.exception("The context cannot be read")
            event: Event = "failure" if context.get("exception") else "notice"
            return cls(event, "", str(context.get("run_id") or ""), exception=context.get("exception"))


def _read(context: Mapping[str, Any], notifier: BaseNotifier) -> Occasion:
    # Not by `deadline` alone: Airflow puts the fields of notifiers into their contexts.
    if isinstance(context.get("deadline"), Mapping) and "ti" not in context:
        return _missed_deadline(context)
    ti = context.get("ti")
    about_run = "reason" in context
    run_id = str(context.get("run_id") or "")
    dag_id = str(getattr(ti or context.get("dag"), "dag_id", ""))
    run = context.get("dag_run") if about_run else ti
    event = _run_event(context) if about_run else _task_event(context, notifier)
    reason = str(context.get("reason") or "")
    return Occasion(
        event=event,
        about_run=about_run,
        dag_id=dag_id,
        run_id=run_id,
        **({} if ti is None else _task(ti, context.get("task"), run_id)),
        started=_time(getattr(run, "start_date", None)),
        ended=_time(getattr(run, "end_date", None)),
        exception=None if about_run else context.get("exception"),
        question=_question(context) if event == "input" else "",
        reason=_REASONS.get(reason, reason),
        run_url=_run_url(dag_id, run_id),
    )


def _task(ti: Any, task: Any, run_id: str) -> dict[str, Any]:
    """The fields that tell of a task."""
    index = getattr(ti, "map_index", None)
    mapped = index is not None and index >= 0
    task_id = str(ti.task_id)
    page = f"{_run_url(ti.dag_id, run_id)}/tasks/{quote(task_id, safe='')}"
    if mapped:
        page += f"/mapped/{index}"
    # The callback of a DAG gets a task instance without max_tries; a cleared task has more than retries.
    retries = max(getattr(ti, "max_tries", None) or 0, getattr(task, "retries", None) or 0)
    tries = max(ti.try_number, 1 + retries)
    return {
        "task_id": task_id,
        "map_index": index if mapped else None,
        "tries": f"{ti.try_number} of {tries}",
        "host": str(getattr(ti, "hostname", None) or ""),
        "log_url": f"{page}?try_number={ti.try_number}",
        "input_url": f"{page}/required_actions",
    }


def _missed_deadline(context: Mapping[str, Any]) -> Occasion:
    run = context.get("dag_run") or {}
    deadline = context.get("deadline") or {}
    dag_id, run_id = str(run.get("dag_id") or ""), str(run.get("dag_run_id") or "")
    return Occasion(
        event="deadline",
        about_run=True,
        dag_id=dag_id,
        run_id=run_id,
        started=_time(run.get("start_date")),
        deadline=_time(deadline.get("deadline_time")),
        state=str(run.get("state") or ""),
        run_url=_run_url(dag_id, run_id),
    )


def _run_event(context: Mapping[str, Any]) -> Event:
    return "success" if context["reason"] == "success" else "failure"


def _task_event(context: Mapping[str, Any], notifier: BaseNotifier) -> Event:
    """By the state; while the task runs by the list that the notifier stands in, among others."""
    ti, task = context.get("ti"), context.get("task")
    state = getattr(ti, "state", None)
    text = str(getattr(state, "value", state))
    if event := _BY_STATE.get(text):
        return event
    if text == "running":
        found = (event for name, event in _WHILE_RUNNING if _stands_in(notifier, getattr(task, name, None)))
        return next(found, "notice")
    if ti is None:
        return "failure" if context.get("exception") else "notice"
    # The task died, and the DAG processor speaks for it: it knows neither state nor exception.
    return "retry" if ti.try_number <= (getattr(ti, "max_tries", None) or 0) else "failure"


def _stands_in(notifier: BaseNotifier, listed: Any) -> bool:
    callbacks = listed if isinstance(listed, (list, tuple)) else [listed]
    return any(callback is notifier for callback in callbacks)


def _question(context: Mapping[str, Any]) -> str:
    task = context.get("task")
    parts = (getattr(task, name, None) for name in ("subject", "body"))
    return "\n\n".join(str(part) for part in parts if part)


def _run_url(dag_id: str, run_id: str) -> str:
    base = conf.get("api", "base_url", fallback="") or ""
    if "://" not in base:  # "/" says only where below a host
        base = "http://localhost:8080"
    return f"{base.rstrip('/')}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"


def _time(value: Any) -> datetime | None:
    """A time with its zone: deadlines carry them as ISO 8601 text as well."""
    if isinstance(value, str):
        try:
            # Python 3.10 knows no Z.
            value = datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=timezone.utc)
