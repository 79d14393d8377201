"""The notifier and the failure-mail function; test_notices.py runs them in a whole deployment."""

from __future__ import annotations

import asyncio
import copy
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG
from airflow.triggers.callback import CallbackTrigger
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn.errors import DeadlineError, UnavailableError
from airflow_email_conn.hooks import delivery
from airflow_email_conn.model.draft import Draft
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.notifications.mail import EmailNotifier
from airflow_email_conn.notifications.notice import notice_of
from airflow_email_conn.notifications.occasion import Occasion
from airflow_email_conn.wire.compose.message import check
from tests.airflow.conftest import ROBOT, VENDOR
from tests.servers.scripted import Conversation, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_email_conn.backends.base import Mailbox
    from airflow_email_conn.model.message import Mail

DEADLINE = {
    "dag_run": {
        "dag_id": "late",
        "dag_run_id": "run 1",
        "state": "running",
        "start_date": "2026-01-01T00:00:00Z",
    },
    "deadline": {"id": "1", "deadline_time": "2026-01-01T01:00:00+00:00"},
}


def failed(**changes: Any) -> dict[str, Any]:
    """The context of a task that failed."""
    instance = SimpleNamespace(
        **{
            "dag_id": "acme",
            "task_id": "load",
            "run_id": "run 1",
            "state": "failed",
            "try_number": 2,
            "max_tries": 1,
            "map_index": -1,
            **changes,
        }
    )
    return {"ti": instance, "run_id": "run 1", "exception": ValueError("broken <b>")}


# ------------------------------------------------------------ the default mail


def test_default_mail(vendor: Callable[[], Mail]) -> None:
    """Subject, text and HTML say what happened."""
    EmailNotifier(VENDOR)(failed(map_index=3))
    mail = vendor()
    assert mail.subject == "Airflow: Task acme.load[3] failed (try 2 of 2)"
    assert "ValueError: broken <b>" in (mail.text or "")
    assert "ValueError: broken &lt;b&gt;" in (mail.html or "")
    assert "/dags/acme/runs/run%201/tasks/load/mapped/3?try_number=2" in (mail.text or "")


@pytest.mark.parametrize(
    ("changes", "listed", "headline"),
    [
        ({"state": "up_for_retry"}, "", "failed and will be tried again"),
        ({"state": "success"}, "", "succeeded"),
        ({"state": "skipped"}, "", "was skipped"),
        ({"state": "running"}, "on_execute_callback", "starts"),
        ({"state": "running"}, "notifiers", "waits for your answer"),
        ({"state": None}, "on_failure_callback", "failed"),
        ({"state": None, "try_number": 1}, "on_retry_callback", "failed and will be tried again"),
        ({"state": None}, "on_retry_callback", "has something to tell"),
        ({"state": None}, "", "has something to tell"),
    ],
)
def test_event(changes: dict[str, Any], listed: str, headline: str) -> None:
    """By the state; for a task that runs or died, by the list that the notifier stands in."""
    notifier = EmailNotifier(VENDOR)
    context = {**failed(**changes), "task": SimpleNamespace(**{listed: [notifier]} if listed else {})}
    del context["exception"]
    subject = notice_of(Occasion.of(context, notifier)).subject
    assert subject.removeprefix("Airflow: Task acme.load ").partition(" (")[0] == headline


@pytest.mark.parametrize(
    ("reason", "told", "shown"),
    [
        ("task_failure", "failed", "a task failed"),
        ("timed_out", "failed", "dagrun_timeout"),
        ("all_tasks_deadlocked", "failed", "no task can run"),
        ("success", "succeeded", ""),
        ("some new reason", "failed", "some new reason"),
    ],
)
def test_run(reason: str, told: str, shown: str) -> None:
    """Also without a task that decided."""
    context = {"dag": SimpleNamespace(dag_id="acme"), "run_id": "run 1", "reason": reason}
    notice = notice_of(Occasion.of(context, EmailNotifier(VENDOR)))
    assert notice.subject == f"Airflow: DAG acme {told} (run run 1)"
    assert shown in notice.text


def test_without_any_context() -> None:
    """Called by hand."""
    assert notice_of(Occasion.of({}, EmailNotifier(VENDOR))).subject == "Airflow has something to tell"


@given(st.text(st.characters(), max_size=300))
def test_any_exception_can_be_sent(text: str) -> None:
    """Surrogates, controls, braces, tags: the mail can be composed, and nothing of it becomes a tag."""
    notice = notice_of(Occasion.of({**failed(), "exception": ValueError(text)}, EmailNotifier(VENDOR)))
    check(Draft(to=VENDOR, subject=notice.subject, text=notice.text, html=notice.html), sender=ROBOT)
    shown = notice.html.partition('class="details"')[2].partition(">")[2].partition("</div>")[0]
    assert "<" not in shown


def test_long_exceptions_keep_beginning_and_end() -> None:
    """A mail of a million characters helps nobody."""
    text = notice_of(
        Occasion.of({**failed(), "exception": "begin" + "x" * 10**6 + "end"}, EmailNotifier(VENDOR))
    ).text
    assert len(text) < 12_000
    assert "begin" in text
    assert "end\n" in text


def test_secrets_in_exceptions_are_masked(vendor: Callable[[], Mail], connect: Callable[..., None]) -> None:
    """As Airflow masks them in its logs."""
    password = "robot-pw"  # of the connection that sends
    EmailNotifier(VENDOR)(failed())  # the first mail reads the connection
    notice = notice_of(
        Occasion.of({**failed(), "exception": f"login with {password} failed"}, EmailNotifier(VENDOR))
    )
    assert password not in notice.text + notice.html
    assert "login with *** failed" in notice.text


# ------------------------------------------------------------ own words


def test_values_in_html_are_escaped_and_in_text_are_not(vendor: Callable[[], Mail]) -> None:
    """HTML needs it; `safe` is for those who know."""
    EmailNotifier(
        VENDOR,
        subject="{{ occasion.task_id }}:\n{{ exception }}",
        text="{{ exception }}",
        html="<p>{{ exception }}</p>{{ '<hr>' | safe }}",
    )(failed())
    mail = vendor()
    assert mail.subject == "load: broken <b>"
    assert (mail.text or "").strip() == "broken <b>"
    assert (mail.html or "").strip() == "<p>broken &lt;b&gt;</p><hr>"


@pytest.mark.parametrize(
    ("field", "template"),
    [
        ("subject", "{{ nothing.at.all }}"),
        ("text", "{{ unclosed"),
        ("html", "{{ 1 / 0 }}"),
        ("text", "no-such-file.txt"),
        ("html", "no-such-file.html"),
    ],
)
def test_a_broken_template_does_not_lose_the_mail(
    vendor: Callable[[], Mail], field: str, template: str
) -> None:
    """The default mail goes out and says so."""
    EmailNotifier(VENDOR, **{field: template})(failed())
    mail = vendor()
    assert mail.subject == "Airflow: Task acme.load failed (try 2 of 2)"
    assert "ValueError: broken <b>" in (mail.text or "")
    assert "The notifier's own text could not be rendered" in (mail.text or "")


def test_a_notifier_can_notify_again(
    connect: Callable[..., None], mailboxes: Callable[[str], Mailbox]
) -> None:
    """Each mail is rendered anew, and the notifier stays as it was written."""
    mailbox = mailboxes(VENDOR)
    notifier = EmailNotifier("{{ to_whom }}", subject="{{ ti.task_id }}", text="x")
    before = copy.copy(vars(notifier))
    for name in ("one", "two"):
        notifier({**failed(task_id=name), "to_whom": VENDOR})
    assert [mail.subject for mail in mailbox.search(MailQuery())] == ["one", "two"]
    assert vars(notifier) == before


@pytest.mark.parametrize("native", [False, True])
def test_template_files(vendor: Callable[[], Mail], tmp_path: Path, native: bool) -> None:
    """Of the DAG's template path; a DAG that renders native objects gets texts too, and escaped ones."""
    (tmp_path / "alert.html").write_text("<p>{{ amount }} {{ exception }}</p>\n", encoding="utf-8")
    dag = DAG(
        "acme", schedule=None, template_searchpath=[str(tmp_path)], render_template_as_native_obj=native
    )
    notifier = EmailNotifier(
        ["{{ to_whom }}"], subject="{{ amount }}", html="alert.html", headers={"X-Run": "{{ run_id }}"}
    )
    notifier({**failed(), "dag": dag, "amount": 42, "to_whom": VENDOR})
    mail = vendor()
    assert mail.subject == "42"
    assert (mail.html or "").strip() == "<p>42 broken &lt;b&gt;</p>"
    assert mail.header("X-Run") == "run 1"


# ------------------------------------------------------------ deadlines


def test_by_the_trigger_of_a_deadline(vendor: Callable[[], Mail]) -> None:
    """As the triggerer awaits it, with the little it knows."""

    async def run() -> list[Any]:
        trigger = CallbackTrigger(
            "airflow_email_conn.notifications.mail.EmailNotifier", {"to": VENDOR, "context": dict(DEADLINE)}
        )
        return [event async for event in trigger.run()]

    events = asyncio.run(run())
    assert events[-1].payload["state"] == "success", events
    mail = vendor()
    assert mail.subject == "Airflow: DAG late missed a deadline (run run 1)"
    assert "2026-01-01 01:00:00 UTC" in (mail.text or "")


def test_the_event_loop_goes_on(connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is silent for a second holds up nobody else in the triggerer."""
    monkeypatch.setattr(delivery, "_SECONDS", 0.1)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.05)
            ticks += 1

    async def run() -> None:
        ticking = asyncio.create_task(tick())
        with pytest.raises(DeadlineError):
            await EmailNotifier(VENDOR, context=dict(DEADLINE))
        ticking.cancel()

    with ScriptedServer(Conversation.read_to_end) as server:
        connect({"outgoing_port": server.port, "timeout": 1})
        asyncio.run(run())
    assert ticks > 5  # of 20


# ------------------------------------------------------------ delivery


def test_a_busy_server_is_tried_again(connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """421 twice, then it takes the mail: once."""
    monkeypatch.setattr(delivery, "_SECONDS", 60.0)
    greetings = iter([b"421 busy\r\n", b"421 still busy\r\n"])

    def serve(c: Conversation) -> None:
        greeting = next(greetings, b"")
        c.send(greeting or b"220 mx\r\n")
        while not greeting and (line := c.readline()):
            if line.startswith(b"DATA"):
                c.send(b"354 go on\r\n")
                while c.readline() != b".\r\n":
                    pass
            c.send(b"250 ok\r\n")

    with ScriptedServer(serve) as server:
        connect({"outgoing_port": server.port, "outgoing_security": "none", "outgoing_credential": "none"})
        EmailNotifier(VENDOR)(failed())
    assert len(server.conversations) == 3
    assert server.received.count(b"DATA\r\n") == 1


def test_a_refusal_is_not_tried_again(connect: Callable[..., None]) -> None:
    """A wrong password, say: the account would be locked."""

    def serve(c: Conversation) -> None:
        c.send(b"554 go away\r\n")

    with ScriptedServer(serve) as server:
        connect({"outgoing_port": server.port, "outgoing_security": "none", "outgoing_credential": "none"})
        with pytest.raises(Exception, match="does not take connections"):
            EmailNotifier(VENDOR)(failed())
    assert len(server.conversations) == 1


def test_a_server_that_stays_busy_is_given_up(
    connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The DAG processor kills callbacks after 50 seconds."""
    monkeypatch.setattr(delivery, "_SECONDS", 1.0)

    def serve(c: Conversation) -> None:
        c.send(b"421 busy\r\n")

    with ScriptedServer(serve) as server:
        connect({"outgoing_port": server.port, "outgoing_security": "none", "outgoing_credential": "none"})
        with pytest.raises(UnavailableError):
            EmailNotifier(VENDOR)(failed())
    assert 1 < len(server.conversations) <= 4
