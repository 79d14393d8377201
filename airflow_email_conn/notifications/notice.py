"""The default mail of a notifier: subject, text and HTML of an occasion."""

from __future__ import annotations

import traceback
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import jinja2

from airflow_email_conn.notifications.wording import Words, masked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from airflow_email_conn.notifications.occasion import Event, Occasion

__all__ = ["notice_of"]

_MAX_DETAILS: Final = 10_000  # characters of an exception or a question: beginning and end tell most
_MAX_CAUSES: Final = 5  # exceptions that one was raised from, and those in a group

# What happened, as it ends a sentence, and a colour that white text can be read on (WCAG AA, 4.5 : 1).
_TOLD: Final[dict[Event, tuple[str, str]]] = {
    "failure": ("failed", "#b3261e"),
    "retry": ("failed and will be tried again", "#9a5300"),
    "success": ("succeeded", "#1b6e3c"),
    "skipped": ("was skipped", "#5f6368"),
    "start": ("starts", "#0b57d0"),
    "deadline": ("missed a deadline", "#8430a8"),
    "input": ("waits for your answer", "#0b57d0"),
    "notice": ("has something to tell", "#5f6368"),
}


def notice_of(occasion: Occasion, remark: str = "") -> Words:
    """The default mail.

    What an exception says stands in it as data, never as a template or as HTML.

    :param remark: of the notifier itself, shown below everything else.
    """
    told, colour = _TOLD[occasion.event]
    values = {
        "headline": f"{_name(occasion)} {told}",
        "colour": colour,
        "facts": list(_facts(occasion)),
        "details_title": "Question" if occasion.event == "input" else "Exception",
        "details": _details(occasion),
        "links": list(_links(occasion)),
        "remark": masked(remark),
    }
    return Words(
        subject=_subject(occasion, told),
        text=_environment().get_template("notice.txt").render(values),
        html=_environment().get_template("notice.html").render(values),
    ).cleared()


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("airflow_email_conn.notifications"),
        autoescape=jinja2.select_autoescape(),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _name(occasion: Occasion) -> str:
    if not occasion.dag_id:
        return "Airflow"
    if occasion.about_run:
        return f"DAG {occasion.dag_id}"
    index = "" if occasion.map_index is None else f"[{occasion.map_index}]"
    return f"Task {occasion.dag_id}.{occasion.task_id}{index}"


def _subject(occasion: Occasion, told: str) -> str:
    if not occasion.dag_id:
        return f"Airflow {told}"
    more = f"run {occasion.run_id}" if occasion.about_run else f"try {occasion.tries}"
    return f"Airflow: {_name(occasion)} {told} ({more})"


def _facts(occasion: Occasion) -> Iterator[tuple[str, str]]:
    """What is known, by label."""
    index = "" if occasion.map_index is None else f"[{occasion.map_index}]"
    task = f"{occasion.task_id}{index}"
    deciding = occasion.about_run and occasion.task_id
    facts = (
        ("DAG", occasion.dag_id),
        ("Run", occasion.run_id),
        ("Reason", occasion.reason),
        ("Deadline", _shown(occasion.deadline)),
        ("State of the run", occasion.state),
        ("Deciding task" if deciding else "Task", f"{task}, try {occasion.tries}" if deciding else task),
        ("Try", "" if deciding else occasion.tries),
        ("Started", _shown(occasion.started)),
        ("Took", _took(occasion)),
        ("Host", "" if deciding else occasion.host),
    )
    return ((label, value) for label, value in facts if value)


def _links(occasion: Occasion) -> Iterator[tuple[str, str]]:
    """Titles and addresses of Airflow's pages, the most wanted one first."""
    if occasion.event == "input":
        yield "Answer", occasion.input_url
    if occasion.log_url:
        yield "Log", occasion.log_url
    yield "Run", occasion.run_url


def _details(occasion: Occasion) -> str:
    exception = occasion.exception
    text = occasion.question or (
        _said(exception) if isinstance(exception, BaseException) else str(exception or "")
    )
    return _shortened(masked(text))


def _said(exception: BaseException, depth: int = _MAX_CAUSES) -> str:
    """Type, text and notes of an exception, those of a group's members, and what it was raised from."""
    # Not str(exception), which may itself raise.
    said = "".join(traceback.format_exception_only(type(exception), exception)).strip()
    if not depth:
        return said
    members = getattr(exception, "exceptions", ())[:_MAX_CAUSES]
    lines = [said, *(f"- {_said(member, depth - 1)}" for member in members)]
    if exception.__cause__ is not None:
        lines.append(f"Raised from: {_said(exception.__cause__, depth - 1)}")
    return "\n".join(lines)


def _shortened(text: str) -> str:
    """The beginning and the end of a long text."""
    if len(text) <= _MAX_DETAILS:
        return text
    half = _MAX_DETAILS // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters ...]\n{text[-half:]}"


def _shown(time: datetime | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %Z") if time else ""


def _took(occasion: Occasion) -> str:
    if not occasion.started or not occasion.ended:
        return ""
    seconds = max(0.0, (occasion.ended - occasion.started).total_seconds())
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
    )
