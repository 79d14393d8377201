"""Tasks on Microsoft 365: what is its own. What any connection does stands in test_tasks.py and others."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.exceptions import AirflowFailException

from airflow_email_conn.backends.graph import limits, sender
from airflow_email_conn.errors import (
    DeliveryUnknownError,
    EmailError,
    NetworkError,
    RefusedError,
    UnavailableError,
)
from airflow_email_conn.hooks.imap import ImapHook
from airflow_email_conn.hooks.smtp import SmtpHook
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.notifications.mail import EmailNotifier
from airflow_email_conn.operators.mail import FetchEmailOperator, SendEmailOperator, UpdateEmailOperator
from airflow_email_conn.sensors.imap_attachment import ImapAttachmentSensor
from airflow_email_conn.sensors.mail import EmailSensor
from tests.airflow.conftest import MICROSOFT, ROBOT, VENDOR
from tests.airflow.test_tasks import execute
from tests.contract.mails import CSV, PNG, RECEIVED, invoice, plain
from tests.servers.graph.blobs import Blob
from tests.servers.graph.mime import Attachment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_email_conn.backends.base import Mailbox
    from airflow_email_conn.model.message import Mail
    from tests.servers.graph.server import GraphServer

pytestmark = pytest.mark.usefixtures("connect")
ACCOUNTING = "accounting@example.test"


@pytest.fixture
def kind() -> str:
    """What `email_default` is here."""
    return MICROSOFT


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses between tries, but those that the server asks for; a lost mail is looked for for a moment."""
    monkeypatch.setattr(limits, "_LONGEST", 0.01)
    monkeypatch.setattr(sender, "_LOOKS", (0.1, 0.2))


def wait(**arguments: Any) -> EmailSensor:
    """A sensor that looks once."""
    return EmailSensor(**{"task_id": "wait", "poke_interval": 0.1, "timeout": 0.1, **arguments})


def fetch(path: Path, **arguments: Any) -> FetchEmailOperator:
    """A fetch of all mails."""
    return FetchEmailOperator(**{"task_id": "fetch", "path": path.as_uri(), **arguments})


def update(**arguments: Any) -> UpdateEmailOperator:
    """An update."""
    return UpdateEmailOperator(**{"task_id": "update", **arguments})


def send(**arguments: Any) -> SendEmailOperator:
    """A mail to the vendor."""
    return SendEmailOperator(**{"task_id": "send", "to": VENDOR, "subject": "s", "text": "t", **arguments})


# ------------------------------------------------------------ fetch


def test_items_and_links(graph: GraphServer, tmp_path: Path) -> None:
    """Events, contacts and mails become files; a link is none, and the mail says so."""
    mail = graph.append(ROBOT, plain(), when=RECEIVED)
    contents = {
        "event": b"BEGIN:VCALENDAR\r\n",
        "contact": b"BEGIN:VCARD\r\n",
        "message": b"Subject: x\r\n\r\n",
    }
    for item, content in contents.items():
        graph.attach(ROBOT, mail, Attachment(f"An/{item}", Blob([content]), kind="item", item=item))
    link = Attachment("plan.xlsx", Blob([]), kind="reference", url="https://contoso.sharepoint.com/plan.xlsx")
    graph.attach(ROBOT, mail, link)
    files, pushed = execute(fetch(tmp_path))
    assert {
        file["name"]: (file["content_type"], ObjectStoragePath(file["path"]).read_bytes()) for file in files
    } == {
        "An/event.ics": ("text/calendar", contents["event"]),
        "An/contact.vcf": ("text/vcard", contents["contact"]),
        "An/message.eml": ("message/rfc822", contents["message"]),
    }
    (told,) = pushed["mails"]
    assert told["defects"] == ["the attachment 'plan.xlsx' is a link to a file elsewhere: it cannot be saved"]
    again, _ = execute(fetch(tmp_path))
    assert again == files


def test_a_mail_that_lies_there_twice_is_stored_once(
    graph: GraphServer, mailboxes: Callable[[str], Mailbox], tmp_path: Path
) -> None:
    """The copy's attachments have ids of their own; the files are the same."""
    graph.append(ROBOT, invoice(), when=RECEIVED)
    first, _ = execute(fetch(tmp_path, attachment="*.csv"))
    robot = mailboxes(ROBOT)
    robot.create_folder("Copies")
    robot.copy([mail.ref for mail in robot.search(MailQuery())], "Copies")
    copied, _ = execute(fetch(tmp_path, folder="Copies", attachment="*.csv"))
    assert copied == first
    assert len(list(tmp_path.glob("dt=*/*"))) == 1
    more, _ = execute(fetch(tmp_path, folder="Copies"))
    assert [ObjectStoragePath(file["path"]).read_bytes()[:4] for file in more] == [CSV[:4], b"Subj"]
    assert more[0] == first[0]
    for folder in ("INBOX", "Copies"):
        graph.site.requests.clear()
        again, _ = execute(fetch(tmp_path, folder=folder))
        assert again == more
    assert not [seen for seen in graph.requests if "$value" in seen.path]  # the last one is the manifest's
    assert len(list(tmp_path.glob("dt=*/*"))) == 1


def test_a_rerun_takes_nothing_again(graph: GraphServer, tmp_path: Path) -> None:
    """Also after the mail was moved."""
    graph.append(ROBOT, invoice(), when=RECEIVED)
    mails, _ = execute(wait())
    first, _ = execute(fetch(tmp_path, mails=mails))
    execute(update(mails=mails, move_to="\\Archive"))
    graph.site.requests.clear()
    again, _ = execute(fetch(tmp_path, mails=mails))
    assert again == first
    assert not [seen for seen in graph.requests if "$value" in seen.path]


def test_a_file_that_breaks_off_completes(graph: GraphServer, tmp_path: Path) -> None:
    """Once, and the task goes on; always, and it has no manifest and may be retried."""
    big = bytes(range(256)) * 16_000
    graph.append(ROBOT, invoice(csv=big), when=RECEIVED)
    fault = graph.fault(r"GET .*/attachments/.*/\$value", kind="cut", octets=500_000, times=None)
    with pytest.raises(NetworkError):
        execute(fetch(tmp_path, attachment="*.csv"))
    assert list(tmp_path.glob("dt=*/*/_manifest.json")) == []
    fault.times = fault.hits + 1
    files, _ = execute(fetch(tmp_path, attachment="*.csv"))
    assert ObjectStoragePath(files[0]["path"]).read_bytes() == big


# ------------------------------------------------------------ update


def test_by_special_use(graph: GraphServer) -> None:
    """The same word in any language: the folder is called otherwise here."""
    graph.append(ROBOT, plain())
    result, _ = execute(update(larger_than=0, seen=True, flag=True, move_to="\\Archive"))
    (mail,) = result["mails"]
    (there,) = graph.messages(ROBOT, "archive")
    assert (there.is_read, there.flag) == (True, "flagged")
    assert mail["ref"]["folder"] == there.folder.name
    execute(update(folder="\\Archive", larger_than=0, delete=True))
    assert graph.messages(ROBOT, "archive") == []
    assert graph.messages(ROBOT, "deleteditems") == []


def test_a_move_that_stops_in_the_middle_is_completed_by_the_retry(graph: GraphServer) -> None:
    """Airflow runs the task again: nothing is moved twice, nothing stays."""
    for number in range(3):
        graph.append(ROBOT, plain(number))
    mails, _ = execute(wait())
    graph.fault(r"POST .*/move", skip=1, times=None)
    with pytest.raises(EmailError) as caught:
        execute(update(mails=mails, move_to="Done", create_folder=True))
    assert caught.value.retryable
    graph.faults.clear()
    result, _ = execute(update(mails=mails, move_to="Done", create_folder=True))
    assert len(result["mails"]) == 2
    assert len(graph.messages(ROBOT, "Done")) == 3
    assert graph.messages(ROBOT) == []


def test_a_move_whose_answer_is_lost_is_no_failure(graph: GraphServer) -> None:
    """The id stays the same, so the mail can be seen where it is."""
    graph.append(ROBOT, plain())
    mails, _ = execute(wait())
    graph.fault(r"POST .*/move", kind="close", after=True)
    result, _ = execute(update(mails=mails, move_to="\\Archive"))
    assert len(result["mails"]) == 1
    assert len(graph.messages(ROBOT, "archive")) == 1


# ------------------------------------------------------------ send


def test_everything_in_one_mail(graph: GraphServer, vendor: Callable[[], Mail], tmp_path: Path) -> None:
    """Texts, a picture in the HTML, a file of 5 MB, every recipient, more headers than JSON may have."""
    large = tmp_path / "Zahlen März.bin"
    large.write_bytes(bytes(range(256)) * 20_000)
    (tmp_path / "logo.png").write_bytes(PNG)
    (tmp_path / "a.csv").write_bytes(CSV)
    receipt, _ = execute(
        send(
            cc=[ACCOUNTING],
            bcc=ROBOT,
            reply_to="desk@example.test",
            html='<p>ü</p><img src="cid:logo">',
            inline={"logo": str(tmp_path / "logo.png")},
            attachments=[f"file://{large}", {"path": str(tmp_path / "a.csv")}],
            headers={f"X-{number}": str(number) for number in range(7)} | {"Precedence": "bulk"},
        )
    )
    mail = vendor()
    assert receipt == {
        "message_id": mail.message_id,
        "accepted": [VENDOR, ACCOUNTING, ROBOT],
        "refused": {},
    }
    assert {(each.name, each.inline) for each in mail.attachments} == {
        ("logo.png", True),
        ("Zahlen März.bin", False),
        ("a.csv", False),
    }
    assert max(each.size for each in mail.attachments) == 5_120_000
    assert [mail.header(f"X-{number}") for number in range(7)] == list("0123456")
    assert (mail.header("Precedence"), mail.header("Bcc")) == ("bulk", None)
    assert [str(each) for each in mail.reply_to] == ["desk@example.test"]
    assert graph.messages(ROBOT, "drafts") == []
    assert len(graph.sent) == 1


def test_nobody_is_said_to_be_refused(graph: GraphServer) -> None:
    """Graph does not tell: of an address that does not exist the mailbox hears by a mail."""
    receipt, _ = execute(send(to=[VENDOR, "nobody@example.test"]))
    assert receipt["accepted"] == [VENDOR, "nobody@example.test"]
    assert receipt["refused"] == {}


def test_an_unknown_outcome_is_never_retried(graph: GraphServer) -> None:
    """By Airflow, wherever it is raised: the mail may have gone out."""
    graph.fault(r"POST .*/sendMail", kind="close", times=None)
    with pytest.raises(AirflowFailException, match="may have gone out") as caught:
        execute(send())
    assert isinstance(caught.value, DeliveryUnknownError)
    with pytest.raises(AirflowFailException), SmtpHook("email_default") as hook:
        hook.send_email_smtp(to=VENDOR, subject="s", html_content="h")
    assert len([seen for seen in graph.requests if seen.path.endswith("/sendMail")]) == 2


def test_the_retry_of_a_large_mail_sends_it_once(graph: GraphServer, tmp_path: Path) -> None:
    """What was begun is taken away before the task fails."""
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(4_000_000))
    graph.fault(r"PUT .*/uploads/", skip=1, times=None)
    with pytest.raises(EmailError) as caught:
        execute(send(attachments=[str(large)]))
    assert caught.value.retryable
    assert graph.messages(ROBOT, "drafts") == []
    graph.faults.clear()
    execute(send(attachments=[str(large)]))
    assert len(graph.sent) == 1


# ------------------------------------------------------------ errors


def everything(path: Path) -> dict[str, Callable[[], Any]]:
    """A task of each kind."""
    return {
        "wait": lambda: execute(wait(soft_fail=True)),
        "fetch": lambda: execute(fetch(path)),
        "update": lambda: execute(update(larger_than=0, seen=True)),
        "send": lambda: execute(send()),
    }


@pytest.mark.parametrize(
    ("task", "permission"),
    [("wait", "Mail.Read"), ("fetch", "Mail.Read"), ("update", "Mail.ReadWrite"), ("send", "Mail.Send")],
)
def test_a_missing_permission_fails_the_task_for_good(
    graph: GraphServer, tmp_path: Path, task: str, permission: str
) -> None:
    """The error names it, and where it is given; asked twice, as it may be younger than the token."""
    graph.append(ROBOT, plain())
    match = {"update": r"PATCH .*/messages/", "send": r"POST .*/sendMail"}.get(task, r"GET .*/mailFolders/")
    fault = graph.fault(match, status=403, code="ErrorAccessDenied", times=None)
    with pytest.raises(
        AirflowFailException, match=rf"takes the permission {permission}\. .*RBAC.*request-id"
    ):
        everything(tmp_path)[task]()
    assert fault.hits == 2
    assert graph.sent == []


@pytest.mark.parametrize("task", ["wait", "fetch", "update", "send"])
@pytest.mark.parametrize("address", ["nobody@example.test", ROBOT])
def test_no_mailbox_fails_the_task_for_good(
    graph: GraphServer, connect: Callable[..., None], tmp_path: Path, task: str, address: str
) -> None:
    """An address nobody has, or one without a license."""
    graph.mailbox(ROBOT).enabled = False
    connect(login=address)
    with pytest.raises(AirflowFailException, match=rf"no mailbox '{address}' .*correct user .*license"):
        everything(tmp_path)[task]()


def test_send_as_denied_fails_the_task_for_good(graph: GraphServer) -> None:
    """With the mend."""
    with pytest.raises(AirflowFailException, match=r"change from_address, or grant 'Send As'") as caught:
        execute(send(sender="stranger@example.test"))
    assert isinstance(caught.value.__cause__, RefusedError)
    assert graph.sent == []


@pytest.mark.parametrize("task", ["wait", "fetch", "update", "send"])
@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_left_to_airflows_retries(
    graph: GraphServer, tmp_path: Path, task: str, status: int
) -> None:
    """One that asks to be left alone for long is, and the error says how long; then the retry succeeds."""
    graph.append(ROBOT, invoice(), when=RECEIVED)
    fault = graph.fault(".", status=status, headers={"Retry-After": "600"}, times=None)
    with pytest.raises(UnavailableError) as caught:
        everything(tmp_path)[task]()
    assert not isinstance(caught.value, AirflowFailException)
    assert caught.value.retry_after == 600
    assert fault.hits == 1
    graph.faults.clear()
    everything(tmp_path)[task]()


def test_what_cannot_be_asked_for_is_told_at_once(graph: GraphServer, tmp_path: Path) -> None:
    """A search in IMAP's words: which argument, and the mend."""
    for task in (
        wait(raw="KEYWORD x"),
        fetch(tmp_path, raw="KEYWORD x"),
        update(raw="KEYWORD x", delete=True),
    ):
        with pytest.raises(AirflowFailException, match=r"raw: Microsoft 365 .*leave it out"):
            execute(task)
    graph.append(ROBOT, invoice())
    sensor = ImapAttachmentSensor(task_id="old", attachment_name="logo.png", conn_id="email_default")
    assert sensor.poke({})
    sensor.mail_filter = "UNSEEN"
    with pytest.raises(AirflowFailException, match=r"mail_filter: .*Microsoft 365 .*leave it out"):
        sensor.poke({})
    assert len(graph.messages(ROBOT)) == 1


# ------------------------------------------------------------ notifier, drop-in hooks


def test_a_notifier_waits_for_a_busy_server(graph: GraphServer, vendor: Callable[[], Mail]) -> None:
    """Callbacks run once: nobody else would try again."""
    fault = graph.fault(r"POST .*/sendMail", status=429, headers={"Retry-After": "1"})
    EmailNotifier(VENDOR, subject="late", text="t")({})
    assert fault.hits == 1
    assert vendor().subject == "late"


def test_a_notifier_does_not_ask_again_after_a_refusal(graph: GraphServer) -> None:
    """It will come again."""
    with pytest.raises(RefusedError, match="Send As"):
        EmailNotifier(VENDOR, subject="s", text="t", sender="stranger@example.test")({})
    assert len([seen for seen in graph.requests if seen.path.endswith("/sendMail")]) == 1


def test_many_mails_by_one_hook(graph: GraphServer) -> None:
    """One sign-in for all of them, awaited together; each goes out once."""

    async def gather() -> None:
        async with SmtpHook("email_default") as hook:
            await asyncio.gather(
                *(
                    hook.asend_email_smtp(to=VENDOR, subject=str(number), html_content="<p>h</p>")
                    for number in range(6)
                )
            )

    asyncio.run(gather())
    assert sorted(mail.parsed.text("Subject") for mail in graph.messages(VENDOR)) == list("012345")
    assert len([seen for seen in graph.requests if seen.path.endswith("/mailFolders/inbox")]) == 1


def test_reading_by_the_old_hook_changes_nothing(graph: GraphServer, tmp_path: Path) -> None:
    """As on any connection: no mail is marked as read; forwarded mails are looked into."""
    graph.append(ROBOT, invoice(), when=datetime(2026, 1, 1, tzinfo=timezone.utc))
    with ImapHook("email_default") as hook:
        assert hook.retrieve_mail_attachments("rechnung märz.csv") == [("rechnung märz.csv", CSV)]
        assert hook.retrieve_mail_attachments("inner.pdf") == [("inner.pdf", b"inner")]
        hook.download_mail_attachments("logo.png", tmp_path)
    assert (tmp_path / "logo.png").read_bytes() == PNG
    assert [mail.is_read for mail in graph.messages(ROBOT)] == [False]
    assert {seen.method for seen in graph.requests} == {"GET"}
