"""Eight tasks and a trigger at once on one mailbox of Microsoft 365, which takes four requests at a time."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

import pytest

from tests.airflow.oauth import graph_form
from tests.airflow.waits import event, trigger
from tests.contract.mails import invoice
from tests.soak.graph_task import SUBJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.authority import Authority
    from tests.servers.graph.server import GraphServer

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]

ALICE = "alice@example.test"
TASKS = 8
MAILS = 15  # of each task


@pytest.fixture
def graph(graph_at_authority: GraphServer) -> GraphServer:
    """Microsoft 365, as far away as it is as a rule."""
    graph_at_authority.site.latency = 0.1
    return graph_at_authority


@pytest.fixture(autouse=True)
def connection(
    graph: GraphServer, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection `email_default`, for all processes."""
    store = "airflow_email_conn.token_store.FileTokenStore"
    monkeypatch.setenv("AIRFLOW__EMAIL_CONN__TOKEN_STORE", store)
    kwargs = json.dumps({"directory": str(tmp_path / "tokens")})
    monkeypatch.setenv("AIRFLOW__EMAIL_CONN__TOKEN_STORE_KWARGS", kwargs)
    form = graph_form(graph, authority, ALICE, timeout=30)
    monkeypatch.setenv("AIRFLOW_CONN_EMAIL_DEFAULT", json.dumps(form))


def mail_for(task: int, number: int) -> bytes:
    """A mail with a CSV."""
    mail = EmailMessage()
    mail["From"] = "ann@acme.org"
    mail["Message-ID"] = f"<{task}-{number}@acme.org>"
    mail["Subject"] = SUBJECT.format(task)
    mail.set_content("See the file")
    mail.add_attachment(b"id;amount\n" * 100, "text", "csv", filename="data.csv")
    return mail.as_bytes()


@contextmanager
def tasks(storage: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that are ready to begin."""
    command = [sys.executable, "-m", "tests.soak.graph_task"]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [*command, str(number), str(storage / str(number))],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for number in range(TASKS)
        ]
        for process in processes:
            stack.callback(process.kill)
        for process in processes:
            lines(process, "ready")
        yield processes


def lines(process: subprocess.Popen[str], end: str) -> str:
    """What it prints, up to a line that begins with this."""
    assert process.stdout
    return next(line for line in process.stdout if line.startswith(end))


def begin(processes: list[subprocess.Popen[str]]) -> list[dict[str, Any]]:
    """Let all begin at once; what each tells in the end."""
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    return [json.loads(lines(process, "{")) for process in processes]


def test_eight_tasks_and_a_trigger(graph: GraphServer, tmp_path: Path) -> None:
    """All succeed, and no mail is lost: what is too much for Exchange is refused, and comes again later."""
    for task in range(TASKS):
        for number in range(MAILS):
            graph.append(ALICE, mail_for(task, number))

    async def run(processes: list[subprocess.Popen[str]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        waiting = asyncio.create_task(event(trigger(600, poll_interval=0.5)))
        told = await asyncio.to_thread(begin, processes)
        assert not waiting.done(), waiting.result()
        graph.append(ALICE, invoice())
        return told, await asyncio.wait_for(waiting, 60)

    with tasks(tmp_path) as processes:
        began = time.monotonic()
        told, found = asyncio.run(run(processes))
        took = time.monotonic() - began
    seen = list(graph.requests)
    refused = [each for each in seen if each.status == 429]
    print(
        f"\n{TASKS} tasks with {MAILS} mails each, and a trigger: {took:.0f} s, {len(seen)} requests,"
        f" {len(refused)} of them refused; {graph.peak(ALICE)} in flight at most,"
        f" {max(each.in_flight for each in seen if each.status not in {0, 429})} of those answered"
    )
    print(*told, sep="\n")
    assert [task.get("error") for task in told] == [None] * TASKS
    assert [(task["files"], task["moved"]) for task in told] == [(MAILS, MAILS)] * TASKS
    assert [mail["ref"]["message_id"] for mail in found["mails"]] == ["<invoice-1@acme.com>"]
    assert len(graph.sent) == TASKS
