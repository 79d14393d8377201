"""The notifier and the failure-mail function; test_notices.py runs them in a whole deployment."""

from __future__ import annotations

import asyncio
import copy
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.log import mask_secret
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
from tests.airflow.conftest import ROBOT, VENDOR, every_kind
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


@every_kind
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
        ({"state": "running"}, "", "has something to tell"),
        ({"state": None}, "", "failed"),
        ({"state": None, "try_number": 1}, "", "failed and will be tried again"),
    ],
)
def test_event(changes: dict[str, Any], listed: str, headline: str) -> None:
    """By the state; while the task runs by the list, though the notifier stands in others too."""
    notifier = EmailNotifier(VENDOR)
    lists = {name: [notifier] for name in ("on_failure_callback", "on_retry_callback", "on_success_callback")}
    context = {**failed(**changes), "task": SimpleNamespace(**lists, **{listed: notifier} if listed else {})}
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


class UnspeakableError(Exception):
    """One whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    "changes",
    [
        {"exception": UnspeakableError()},
        {"ti": SimpleNamespace(max_tries="three", try_number=None)},
        {"ti": object()},
        {"deadline": "soon"},
        {"dag_run": None, "reason": "task_failure"},
    ],
)
def test_a_context_of_any_shape_is_told(vendor: Callable[[], Mail], changes: dict[str, Any]) -> None:
    """With gaps."""
    EmailNotifier(VENDOR)({**failed(), **changes})
    assert vendor().subject.startswith("Airflow")


def test_exceptions_tell_what_they_were_raised_from() -> None:
    """Causes, and the members of a group, which Python 3.10 does not have."""
    error = ValueError("outer")
    error.__cause__ = OSError("inner")
    error.exceptions = (KeyError("member"),)  # type: ignore[attr-defined]
    text = notice_of(Occasion.of({**failed(), "exception": error}, EmailNotifier(VENDOR))).text
    assert "ValueError: outer\n    - KeyError: 'member'\n    Raised from: OSError: inner" in text


def test_long_exceptions_keep_beginning_and_end() -> None:
    """A mail of a million characters helps nobody."""
    text = notice_of(
        Occasion.of({**failed(), "exception": "begin" + "x" * 10**6 + "end"}, EmailNotifier(VENDOR))
    ).text
    assert len(text) < 12_000
    assert "begin" in text
    assert "end\n" in text


def test_secrets_in_exceptions_are_masked(vendor: Callable[[], Mail], connect: Callable[..., None]) -> None:
    """As Airflow masks them in its logs; those of the connection that sends from its first mail on."""
    connect(
        password="Zq7-sent-by-it",
        extra={"outgoing_credential": "secret", "outgoing_user": ROBOT, "outgoing_secret": "robot-pw"},
    )
    EmailNotifier(VENDOR)({**failed(), "exception": "login with Zq7-sent-by-it failed"})
    mail = vendor()
    assert "Zq7" not in (mail.text or "") + (mail.html or "")
    assert "login with *** failed" in (mail.text or "")


# ------------------------------------------------------------ own words


@every_kind
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


@pytest.mark.parametrize(
    "wrong",
    [
        {"attachments": "/no/such/report.csv"},
        {"attachments": [{"name": "no path"}]},
        {"cc": "{{ nothing.at.all }}"},
        {"cc": "nobody"},
        {"headers": {"X-A": "{{ exception }}"}},
        {"headers": {"Subject": "mine"}},
        {"inline": {"logo": "/no/such/logo.png"}},
        {"sender": "not an address"},
    ],
)
def test_what_cannot_be_composed_does_not_lose_the_mail(
    vendor: Callable[[], Mail], wrong: dict[str, Any]
) -> None:
    """A file that the failed task did not write, say: the default mail goes out and says why."""
    context = {**failed(), "exception": ValueError("two\r\nlines")}
    EmailNotifier(VENDOR, subject="mine", text="mine", **wrong)(context)
    mail = vendor()
    assert mail.subject == "Airflow: Task acme.load failed (try 2 of 2)"
    assert "The mail could not be composed as asked for" in (mail.text or "")


def test_nobody_to_tell() -> None:
    """Found when the DAG is parsed, not in the night when it should have told."""
    with pytest.raises(ValueError, match="who is to be told"):
        EmailNotifier()


def test_the_occasion_is_known_in_every_argument(vendor: Callable[[], Mail]) -> None:
    """As the README says."""
    EmailNotifier(
        VENDOR, headers={"X-Task": "{{ occasion.task_id }}"}, cc=["{{ occasion.dag_id }}@example.test"]
    )(failed())
    mail = vendor()
    assert mail.header("X-Task") == "load"
    assert [a.email for a in mail.cc] == ["acme@example.test"]


def test_recipients_one_a_line(vendor: Callable[[], Mail]) -> None:
    """As they stand in a Variable, with a line end after the last one."""
    EmailNotifier(f"{VENDOR},\n  accounting@example.test;\n")(failed())
    assert [a.email for a in vendor().to] == [VENDOR, "accounting@example.test"]


def test_secrets_in_own_words_are_masked(vendor: Callable[[], Mail]) -> None:
    """In subject, text and HTML, escaped or not, and in the remark."""
    secret = "pw<of>&'the\"robot"
    mask_secret(secret)
    EmailNotifier(
        VENDOR, subject="{{ exception }}", text="{{ exception }}", html="<p>{{ exception }}</p>{{ 1 }}"
    )({**failed(), "exception": ValueError(f"login with {secret} failed")})
    mail = vendor()
    assert mail.subject == "login with *** failed"
    assert (mail.text or "").strip() == "login with *** failed"
    assert (mail.html or "").strip() == "<p>login with *** failed</p>1"


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


def test_silent_servers_hold_up_nobody_elses_threads(
    connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names are resolved in the event loop's own threads, for every trigger."""
    monkeypatch.setattr(delivery, "_SECONDS", 0.1)

    async def run() -> float:
        notices = [EmailNotifier(VENDOR).async_notify(dict(DEADLINE)) for _ in range(12)]
        waiting = asyncio.gather(*notices, return_exceptions=True)
        await asyncio.sleep(0.3)
        started = time.monotonic()
        await asyncio.to_thread(lambda: None)
        waited = time.monotonic() - started
        assert all(isinstance(result, DeadlineError) for result in await waiting)
        return waited

    with ScriptedServer(Conversation.read_to_end) as server:
        connect({"outgoing_port": server.port, "timeout": 2})
        assert asyncio.run(run()) < 1


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
    monkeypatch.setattr(delivery, "_SECONDS", 3.5)

    def serve(c: Conversation) -> None:
        c.send(b"421 busy\r\n")

    with ScriptedServer(serve) as server:
        connect({"outgoing_port": server.port, "outgoing_security": "none", "outgoing_credential": "none"})
        with pytest.raises(UnavailableError):
            EmailNotifier(VENDOR)(failed())
    assert 1 < len(server.conversations) <= 4
