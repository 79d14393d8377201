"""A fetch that only says what it would take, as a task and through the hook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_email_conn.errors import FolderNotFoundError, QueryError
from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.operators.mail import FetchEmailOperator
from tests.airflow.conftest import ROBOT
from tests.airflow.test_tasks import execute
from tests.contract.mails import RECEIVED, invoice, plain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_email_conn.backends.base import Mailbox
    from tests.servers.embedded import EmbeddedServers

RULES: dict[str, Any] = {
    "deny": [{"subject": "^out of office"}],
    "allow": [{"sender": r"@acme\.com$"}, {"subject": "rechnung"}],
    "attachment": "*.csv",
}


@pytest.fixture
def robot(
    connect: Callable[..., None], mailboxes: Callable[[str], Mailbox], embedded: EmbeddedServers
) -> Mailbox:
    """The robot's mailbox with four mails, the first one unread."""
    mailbox = mailboxes(ROBOT)
    for raw in (
        invoice(1),
        plain(2, subject="Out of office: Rechnung"),
        plain(3, sender="Eve\x1b[31m <eve@evil.org>", subject="Buy \u202enow"),
        plain(4, subject="Hello"),
    ):
        embedded.append(ROBOT, raw, when=RECEIVED)
    return mailbox


def preview(path: Path, **arguments: Any) -> FetchEmailOperator:
    """A fetch into a folder that only looks."""
    return FetchEmailOperator(task_id="fetch", path=path.as_uri(), preview="True", **arguments)


def test_preview_stores_nothing_and_says_why(
    robot: Mailbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing for the tasks behind; a small dict and a line of the log for each mail."""
    before = {mail.ref: mail for mail in robot.search(MailQuery())}
    files, pushed = execute(preview(tmp_path, **RULES))
    assert (files, pushed["files"], pushed["mails"]) == ([], [], [])
    assert list(tmp_path.iterdir()) == []
    assert {mail.ref: mail for mail in robot.search(MailQuery())} == before
    assert [(item["taken"], item["reason"]) for item in pushed["preview"]] == [
        (True, "allow[0]: sender matches '@acme\\.com$'"),
        (False, "deny[0]: subject matches '^out of office'"),
        (False, "allow: no rule fits 'Eve [31m <eve@evil.org>', 'Buy \\u202enow'"),
        (False, "attachment: there is none"),
    ]
    assert pushed["preview"][0] | {"ref": None} == {
        "ref": None,
        "message_id": "<invoice-1@acme.com>",
        "subject": "Rechnung für März € 2026",
        "sender": "Müller, Jörg <billing@acme.com>",
        "taken": True,
        "reason": pushed["preview"][0]["reason"],
    }
    told = capsys.readouterr().out.partition("Preview: 1 of 4 mails would be taken\n")[2]
    lines = told.split("\n")[:4]
    assert [line.partition(" ")[0] for line in lines] == ["take", "leave", "leave", "leave"]
    assert all(line.isprintable() for line in lines)
    assert lines[0].startswith("take   2026-03-14 09:26+0000  Müller, Jörg <billing@acme.com>   Rechnung")


def test_what_is_previewed_is_what_is_taken(robot: Mailbox, tmp_path: Path) -> None:
    """The real run takes the same mails."""
    _, pushed = execute(preview(tmp_path, newest_first=True, **RULES))
    real = FetchEmailOperator(task_id="fetch", path=tmp_path.as_uri(), **RULES)
    _, taken = execute(real)
    said = [item["message_id"] for item in pushed["preview"] if item["taken"]]
    assert said == [mail["ref"]["message_id"] for mail in taken["mails"]] == ["<invoice-1@acme.com>"]


def test_preview_of_given_mails(robot: Mailbox, tmp_path: Path) -> None:
    """Their files are what the filters still select; a silent task gives none."""
    given = [mail.as_dict() for mail in robot.search(MailQuery())]
    _, pushed = execute(preview(tmp_path, mails=given, attachment_type="text/*"))
    assert [item["taken"] for item in pushed["preview"]] == [True, False, False, False]
    assert execute(preview(tmp_path, mails=None))[1]["preview"] == []
    with pytest.raises(AirflowFailException, match="sender: filters choose nothing among given mails"):
        execute(preview(tmp_path, mails=given, sender="@acme.com"))


def test_hook_previews(robot: Mailbox) -> None:
    """Newest first, a limit on the mails that are looked at, and the errors of a search."""
    hook = EmailHook()
    shown = hook.preview(MailQuery(subject={"regex": "^Buy|^Out"}), limit=3)
    assert [item.mail.message_id for item in shown] == [f"<plain-{number}@acme.com>" for number in (4, 3, 2)]
    assert [item.explanation.taken for item in shown] == [False, True, True]
    with pytest.raises(FolderNotFoundError):
        hook.preview(MailQuery(), folder="Nowhere")
    with pytest.raises(QueryError, match="raw: ASCII only"):
        hook.preview(MailQuery(raw="é"))
