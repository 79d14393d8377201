"""Sensor and operators, executed as tasks do."""

from __future__ import annotations

import json
import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
)

from airflow_email_conn.errors import NetworkError
from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.operators.mail import FetchEmailOperator, SendEmailOperator, UpdateEmailOperator
from airflow_email_conn.operators.manifest import MANIFEST
from airflow_email_conn.operators.storage import MailStore, Stored
from airflow_email_conn.sensors.mail import EmailSensor
from tests.airflow.conftest import KINDS, MICROSOFT, ROBOT, VENDOR, only_standard
from tests.contract.mails import CSV, RECEIVED, invoice, plain
from tests.servers.faultproxy import Fault, FaultProxy
from tests.servers.scripted import Conversation, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_email_conn.backends.base import Mailbox
    from tests.servers.embedded import EmbeddedServers
    from tests.servers.graph.server import GraphServer

    Servers = EmbeddedServers | GraphServer


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Both."""
    return str(request.param)


class Instance:
    """Takes what a task pushes."""

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def get_first_reschedule_date(self, context: Any) -> None:
        """Not rescheduled yet."""

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep it, if JSON can."""
        self.pushed[key] = json.loads(json.dumps(value))


def execute(operator: Any) -> tuple[Any, dict[str, Any]]:
    """What a task returns, as JSON has it, and what it pushes."""
    instance = Instance()
    result = operator.execute({"ti": instance})
    return json.loads(json.dumps(result)), instance.pushed


@pytest.fixture
def robot(connect: Callable[..., None], mailboxes: Callable[[str], Mailbox]) -> Mailbox:
    """The robot's mailbox, empty."""
    return mailboxes(ROBOT)


# ------------------------------------------------------------ sensor


def sensor(**arguments: Any) -> EmailSensor:
    """A sensor that looks often and not for long."""
    return EmailSensor(**{"task_id": "wait", "poke_interval": 0.1, "timeout": 0.3, **arguments})


def test_sensor_gives_the_mails(robot: Mailbox, servers: Servers) -> None:
    """Small dicts in order of arrival, nothing changed."""
    for number in range(3):
        servers.append(ROBOT, invoice(number), when=RECEIVED)
    mails, _ = execute(sensor(sender="@acme.com", attachment="*.csv", limit=2))
    assert [mail["ref"]["message_id"] for mail in mails] == ["<invoice-0@acme.com>", "<invoice-1@acme.com>"]
    assert mails[0]["received"] == RECEIVED.isoformat()
    assert not any(mail.seen for mail in robot.search(MailQuery()))


def test_sensor_waits_and_times_out(robot: Mailbox) -> None:
    """No mail, no success."""
    with pytest.raises(AirflowSensorTimeout):
        execute(sensor(subject="never"))


def test_sensor_frees_the_worker_between_two_looks(robot: Mailbox, servers: Servers) -> None:
    """mode="reschedule": no mail means a new date, mail means success."""
    waiting = sensor(mode="reschedule", poke_interval=60, timeout=3600)
    with pytest.raises(AirflowRescheduleException):
        execute(waiting)
    servers.append(ROBOT, plain(1))
    mails, _ = execute(sensor(mode="reschedule", poke_interval=60, timeout=3600))
    assert len(mails) == 1


@only_standard
def test_sensor_does_not_try_a_wrong_password_twice(robot: Mailbox, connect: Callable[..., None]) -> None:
    """One sign-in, then the task fails for good: retries lock accounts."""

    def refuse(conversation: Conversation) -> None:
        conversation.send(b"* OK ready\r\n")
        while line := conversation.readline():
            tag, verb = line.split()[:2]
            if verb == b"CAPABILITY":
                conversation.send(b"* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\n" + tag + b" OK\r\n")
            else:
                conversation.send(tag + b" NO [AUTHENTICATIONFAILED] no s3cret-pw\r\n")

    with ScriptedServer(refuse) as server:
        connect({"incoming_security": "none"}, port=server.port, password="s3cret-pw")
        with pytest.raises(AirflowFailException, match="refused the sign-in") as caught:
            execute(sensor())
    assert server.received.count(b"AUTHENTICATE") == 1
    assert b"LOGIN" not in server.received
    assert "s3cret-pw" not in str(caught.value)


@only_standard
def test_soft_fail_does_not_hide_a_wrong_password(robot: Mailbox, connect: Callable[..., None]) -> None:
    """A skip is for mail that does not come."""
    connect(password="wrong-password")
    with pytest.raises(AirflowFailException, match="refused the sign-in"):
        execute(sensor(soft_fail=True))
    connect()
    with pytest.raises(AirflowSkipException):
        execute(sensor(soft_fail=True))


@only_standard
def test_sensor_lets_airflow_retry_what_may_heal(robot: Mailbox, connect: Callable[..., None]) -> None:
    """A refused connection is a plain failure."""
    connect(port=1)
    with pytest.raises(NetworkError):
        execute(sensor())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sender": "not an address"}, "sender: 'not an address' is neither"),
        ({"folder": "Nowhere"}, "no folder 'Nowhere'; the folders are: INBOX"),
        ({"since": datetime(2026, 1, 1)}, "since: .* no time zone"),  # noqa: DTZ001 - that is the point
        ({"subject": ""}, "subject: an empty text"),
        ({"subject": {"regex": "("}}, "subject: not a regular expression"),
        ({"folder": "a\r\nb"}, "folder: must not contain NUL, CR or LF"),
    ],
)
def test_sensor_refuses_bad_arguments(robot: Mailbox, arguments: dict[str, Any], message: str) -> None:
    """One clear error that names the argument."""
    with pytest.raises(AirflowFailException, match=message):
        execute(sensor(**arguments))


# ------------------------------------------------------------ fetch


def fetch(path: Path, **arguments: Any) -> FetchEmailOperator:
    """A fetch into a folder."""
    return FetchEmailOperator(**{"task_id": "fetch", "path": path.as_uri(), **arguments})


def test_fetch_by_filters(robot: Mailbox, servers: Servers, tmp_path: Path) -> None:
    """Layout, contents, manifest, outputs."""
    raw = invoice()
    servers.append(ROBOT, raw, when=RECEIVED)
    files, pushed = execute(fetch(tmp_path, sender="billing@acme.com", inline=True, eml=True))
    folder = tmp_path / "dt=2026-03-14" / "invoice-1@acme.com"
    assert {path.name for path in folder.iterdir()} == {
        "logo.png",
        "rechnung märz.csv",
        "The order.eml",
        "mail.eml",
        MANIFEST,
    }
    assert (folder / "rechnung märz.csv").read_bytes() == CSV
    assert (folder / "mail.eml").read_bytes() == raw
    assert pushed["files"] == files
    assert [mail["ref"]["message_id"] for mail in pushed["mails"]] == ["<invoice-1@acme.com>"]
    (csv,) = [file for file in files if file["content_type"] == "text/csv"]
    assert csv["size"] == len(CSV)
    assert csv["message_id"] == "<invoice-1@acme.com>"
    assert ObjectStoragePath(csv["path"]).read_bytes() == CSV
    manifest = json.loads((folder / MANIFEST).read_text())
    assert len(manifest["files"]) == 4


def test_fetch_of_given_mails_selects_files(robot: Mailbox, servers: Servers, tmp_path: Path) -> None:
    """The sensor's mails, one or many; `attachment` picks files, pictures of the text are left out."""
    servers.append(ROBOT, invoice(), when=RECEIVED)
    mails, _ = execute(sensor())
    for given in (mails, mails[0]):
        files, _ = execute(fetch(tmp_path, mails=given, attachment="*.csv"))
        assert [file["name"] for file in files] == ["rechnung märz.csv"]
    files, _ = execute(fetch(tmp_path, mails=mails))
    assert [file["name"] for file in files] == ["rechnung märz.csv", "The order.eml"]


def test_fetch_again_finds_what_is_there(robot: Mailbox, servers: Servers, tmp_path: Path) -> None:
    """A rerun downloads nothing, also when the mail is gone; a new wish is added."""
    servers.append(ROBOT, invoice(), when=RECEIVED)
    mails, _ = execute(sensor())
    first, _ = execute(fetch(tmp_path, mails=mails, attachment="*.csv"))
    stored = tmp_path / "dt=2026-03-14" / "invoice-1@acme.com" / "rechnung märz.csv"
    stored.write_bytes(b"touched")
    more, _ = execute(fetch(tmp_path, mails=mails))
    assert more[0] == first[0]
    assert len(more) == 2
    assert stored.read_bytes() == b"touched"
    robot.delete([mail.ref for mail in robot.search(MailQuery())])
    again, _ = execute(fetch(tmp_path, mails=mails))
    assert again == more


def test_fetch_of_a_vanished_mail_fails(robot: Mailbox, servers: Servers, tmp_path: Path) -> None:
    """Never a silent loss: a given mail that is gone is an error, once all the others are stored."""
    for number in (1, 2, 3):
        servers.append(ROBOT, invoice(number), when=RECEIVED)
    mails, _ = execute(sensor())
    robot.delete([mail.ref for mail in robot.search(MailQuery(message_id="invoice-1@acme.com"))])
    with pytest.raises(AirflowFailException, match="gone"):
        execute(fetch(tmp_path, mails=mails))
    stored = {path.parent.name for path in tmp_path.glob("dt=*/*/_manifest.json")}
    assert stored == {"invoice-2@acme.com", "invoice-3@acme.com"}
    assert list(tmp_path.glob("dt=*/invoice-1@acme.com/*")) == []


def test_mail_that_vanishes_between_search_and_fetch_is_left_out(
    robot: Mailbox, servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody filed it in that moment; the next run would not have found it either."""
    for number in (1, 2):
        servers.append(ROBOT, invoice(number), when=RECEIVED)
    operator = fetch(tmp_path)
    found = operator.found

    def found_then_gone(mailbox: Mailbox) -> Any:
        mails = found(mailbox)
        robot.delete([mail.ref for mail in robot.search(MailQuery(message_id="invoice-1@acme.com"))])
        return mails

    monkeypatch.setattr(operator, "found", found_then_gone)
    files, pushed = execute(operator)
    assert {file["message_id"] for file in files} == {"<invoice-2@acme.com>"}
    assert len(pushed["mails"]) == 1


@pytest.mark.parametrize("message_id", [b"", b"Message-ID: <same@x>\r\n"])
def test_mails_that_look_alike_are_both_stored(
    robot: Mailbox, servers: Servers, tmp_path: Path, message_id: bytes
) -> None:
    """Scanners send mails of one size in one second; only what is in them tells them apart."""
    raw = message_id + b"From: scan@x\r\nContent-Type: text/csv; name=a.csv\r\n\r\n%d\r\n"
    for content in (1111, 2222, 1111):
        servers.append(ROBOT, raw % content, when=RECEIVED)
    for _ in range(2):
        files, _ = execute(fetch(tmp_path))
        contents = sorted(ObjectStoragePath(file["path"]).read_bytes().strip() for file in files)
        assert contents == [b"1111", b"2222"]


def test_two_tasks_that_store_look_alikes_at_once(
    robot: Mailbox, servers: Servers, mailboxes: Callable[[str], Mailbox], tmp_path: Path
) -> None:
    """Mapped tasks run side by side: both files are kept, and found again."""
    raw = b"Message-ID: <same@x>\r\nContent-Type: text/csv; name=a.csv\r\n\r\n%d\r\n"
    for content in (1111, 2222):
        servers.append(ROBOT, raw % content, when=RECEIVED)
    meeting = threading.Barrier(2, timeout=10)
    results: dict[int, str] = {}

    class Meeting(MailStore):
        """Waits for the other one between finding its place and storing."""

        def _placed(self, *arguments: Any) -> Any:
            place = super()._placed(*arguments)
            meeting.wait()
            return place

    def store(index: int) -> None:
        mailbox = opened[index]
        mail = list(mailbox.search(MailQuery()))[index]
        wanted = [Stored(mail, list(mail.attachments))]
        (stored,) = Meeting(ObjectStoragePath(tmp_path.as_uri()), mailbox).store(wanted)
        results[index] = stored.files[0]["path"]

    opened = [mailboxes(ROBOT), mailboxes(ROBOT)]
    threads = [threading.Thread(target=store, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    contents = [ObjectStoragePath(results[index]).read_bytes().strip() for index in range(2)]
    assert contents == [b"1111", b"2222"]
    files, _ = execute(fetch(tmp_path))
    assert [file["path"] for file in files] == [results[0], results[1]]


@pytest.mark.parametrize("damage", ["", "{", '{"files": []}', '{"mail": {}, "files": [{}]}', "[]"])
def test_damaged_manifest_is_written_again(
    robot: Mailbox, servers: Servers, tmp_path: Path, damage: str
) -> None:
    """A worker that was killed while it wrote must not block the mail for ever."""
    servers.append(ROBOT, invoice(), when=RECEIVED)
    first, _ = execute(fetch(tmp_path))
    (manifest,) = tmp_path.glob("dt=*/*/_manifest.json")
    whole = manifest.read_text()
    manifest.write_text(damage)
    again, _ = execute(fetch(tmp_path))
    assert again == first
    assert manifest.read_text() == whole


def test_outputs_of_mapped_tasks_are_taken(robot: Mailbox, servers: Servers, tmp_path: Path) -> None:
    """Lists of lists, as a mapped sensor or fetch gives them."""
    servers.append(ROBOT, invoice(1), when=RECEIVED)
    servers.append(ROBOT, invoice(2), when=RECEIVED)
    mails, _ = execute(sensor())
    nested = [[mails[0]], [mails[1]]]
    files, _ = execute(fetch(tmp_path, mails=nested, attachment="*.csv"))
    assert len(files) == 2
    receipt, _ = execute(send(attachments=[[files[0]], [files[1]]], to=ROBOT, subject="both"))
    assert receipt["accepted"] == [ROBOT]
    (mail,) = robot.search(MailQuery(subject="both"))
    assert len(mail.attachments) == 2
    result, _ = execute(update(mails=nested, seen=True))
    assert len(result["mails"]) == 2


def test_fetch_keeps_files_and_mails_apart(robot: Mailbox, servers: Servers, tmp_path: Path) -> None:
    """Equal file names in a mail, and another mail that forges the first one's Message-ID."""
    boundary = b'\r\n--b\r\nContent-Type: text/csv; name="%s"\r\n\r\n%s'
    body = b"".join(
        boundary % pair
        for pair in (
            (b"report.csv", b"1"),
            (b"../report.csv", b"2"),
            (b"REPORT.csv", b"3"),
            (b"_manifest.json", b"4"),
        )
    )
    raw = b"Message-ID: <one@x>\r\nContent-Type: multipart/mixed; boundary=b\r\n" + body + b"\r\n--b--\r\n"
    servers.append(ROBOT, raw, when=RECEIVED)
    servers.append(ROBOT, raw.replace(b"\r\n\r\n1", b"\r\n\r\nother"), when=RECEIVED)
    files, _ = execute(fetch(tmp_path))
    contents = [ObjectStoragePath(file["path"]).read_bytes().strip() for file in files]
    assert contents == [b"1", b"2", b"3", b"4", b"other", b"2", b"3", b"4"]
    assert len({file["path"] for file in files}) == 8
    assert all(str(tmp_path) in file["path"] for file in files)
    names = {path.name for path in (tmp_path / "dt=2026-03-14" / "one@x").iterdir()}
    assert names == {"report.csv", "report-2.csv", "REPORT-3.csv", "_manifest-2.json", MANIFEST}


@only_standard
def test_fetch_survives_a_cut_and_completes(
    robot: Mailbox, embedded: EmbeddedServers, connect: Callable[..., None], tmp_path: Path
) -> None:
    """A file over which the connection always breaks has no manifest; breaks once, and the task goes on."""
    big = bytes(range(256)) * 4000
    embedded.append(ROBOT, invoice(csv=big), when=RECEIVED)
    with FaultProxy(embedded.imap_port) as proxy:
        connect({"incoming_security": "none"}, port=proxy.port)
        proxy.fault = Fault("cut", side="server", after=500_000)
        with pytest.raises(NetworkError):
            execute(fetch(tmp_path, attachment="*.csv"))
        assert list(tmp_path.glob("dt=*/*/_manifest.json")) == []
        proxy.fault = Fault("cut", side="server", after=500_000, once=True)
        files, _ = execute(fetch(tmp_path, attachment="*.csv"))
    assert ObjectStoragePath(files[0]["path"]).read_bytes() == big


def test_fetch_refuses_filters_beside_mails(robot: Mailbox, tmp_path: Path) -> None:
    """They would select nothing."""
    with pytest.raises(AirflowFailException, match=r"sender, unseen: .*leave out `mails`"):
        execute(fetch(tmp_path, mails=[], sender="@acme.com", unseen=True))
    with pytest.raises(AirflowFailException, match="mails: wants what EmailSensor"):
        execute(fetch(tmp_path, mails=[{"x": 1}]))


# ------------------------------------------------------------ update


def update(**arguments: Any) -> UpdateEmailOperator:
    """An update."""
    return UpdateEmailOperator(**{"task_id": "update", **arguments})


def test_update_does_it_all_in_order(robot: Mailbox, servers: Servers) -> None:
    """Mark, flag, copy and move; the output leads to the mails."""
    servers.append(ROBOT, plain(1))
    mails, _ = execute(sensor())
    result, _ = execute(
        update(mails=mails, seen=True, flag=True, copy_to="Copies", move_to="Done", create_folder=True)
    )
    (mail,) = result["mails"]
    assert (mail["ref"]["folder"], mail["seen"], mail["flagged"]) == ("Done", True, True)
    (moved,) = robot.search(MailQuery(), folder="Done")
    assert moved.ref.as_dict() == mail["ref"]
    assert (moved.seen, moved.flagged) == (True, True)
    assert len(list(robot.search(MailQuery(), folder="Copies"))) == 1
    assert list(robot.search(MailQuery())) == []


def test_update_twice_succeeds(robot: Mailbox, servers: Servers) -> None:
    """A rerun after a move: nothing left to do is no failure."""
    servers.append(ROBOT, plain(1))
    mails, _ = execute(sensor())
    execute(update(mails=mails, move_to="Done", create_folder=True))
    result, _ = execute(update(mails=mails, move_to="Done"))
    assert result == {"mails": []}


def test_update_by_filters_and_delete(robot: Mailbox, servers: Servers) -> None:
    """Only what the filters find."""
    servers.append(ROBOT, plain(1, subject="old"))
    servers.append(ROBOT, plain(2, subject="new"))
    result, _ = execute(update(subject="old", delete=True))
    assert len(result["mails"]) == 1
    assert [mail.subject for mail in robot.search(MailQuery())] == ["new"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"move_to": "Dnoe"}, "no folder 'Dnoe'; the folders are: INBOX"),
        ({"move_to": "Done", "delete": True}, "move_to, delete: one of them"),
        ({"move_to": ""}, "move_to: is empty"),
        ({"limit": 0}, "limit: a number from 1 on"),
        ({"limit": "many"}, "limit: a number from 1 on"),
        ({"newest_first": "maybe"}, "newest_first: True, False"),
    ],
)
def test_update_refuses(robot: Mailbox, servers: Servers, arguments: dict[str, Any], message: str) -> None:
    """A typo moves nothing."""
    servers.append(ROBOT, plain(1))
    with pytest.raises(AirflowFailException, match=message):
        execute(update(**{"larger_than": 0, **arguments}))
    assert len(list(robot.search(MailQuery()))) == 1


@pytest.mark.parametrize("given", [None, [], [[]]])
def test_update_of_nothing_changes_nothing(robot: Mailbox, servers: Servers, given: Any) -> None:
    """A skipped or silent task before it gives None: that must never mean every mail."""
    servers.append(ROBOT, plain(1))
    result, _ = execute(update(mails=given, delete=True))
    assert result == {"mails": []}
    assert len(list(robot.search(MailQuery()))) == 1


def test_update_refuses_a_filter_beside_mails(robot: Mailbox, servers: Servers) -> None:
    """`attachment` too: it would choose nothing, and all the mails would go."""
    servers.append(ROBOT, plain(1))
    mails, _ = execute(sensor())
    with pytest.raises(AirflowFailException, match="attachment: filters choose nothing"):
        execute(update(mails=mails, attachment="*.csv", delete=True))
    assert len(list(robot.search(MailQuery()))) == 1


def test_update_wants_mails_or_a_filter(robot: Mailbox, servers: Servers) -> None:
    """Every mail only when it is said; a header that may be anything is no filter."""
    servers.append(ROBOT, plain(1))
    with pytest.raises(AirflowFailException, match="neither mails nor a filter"):
        execute(update(header={"X-Kind": None}, delete=True))
    with pytest.raises(AirflowFailException, match="neither mails nor a filter"):
        execute(update(delete=True))
    assert len(list(robot.search(MailQuery()))) == 1
    execute(update(delete=True, larger_than=0))
    assert list(robot.search(MailQuery())) == []


def test_keywords(robot: Mailbox, servers: Servers, kind: str) -> None:
    """One or many, added and taken away; the embedded IMAP server keeps none, and the task says so."""
    servers.append(ROBOT, plain(1))
    if kind == "standard":
        with pytest.raises(AirflowFailException, match="keeps no 'Paid'"):
            execute(update(larger_than=0, add_keywords="Paid"))
        return
    execute(update(larger_than=0, add_keywords=["Paid", "Open"]))
    result, _ = execute(update(larger_than=0, add_keywords="In Office", remove_keywords=["open"]))
    assert result["mails"][0]["keywords"] == ["Paid", "In Office"]
    (mail,) = robot.search(MailQuery())
    assert mail.keywords == ("Paid", "In Office")
    for bad in ([""], 5, {"a": 1}, [None]):
        with pytest.raises(AirflowFailException, match="add_keywords: give a text"):
            execute(update(larger_than=0, add_keywords=bad))


def test_switches_as_templates_render_them(robot: Mailbox, servers: Servers) -> None:
    """The text False is not true."""
    servers.append(ROBOT, plain(1), flags="\\Seen")
    result, _ = execute(update(larger_than=0, delete="False", seen="False", flag="true", create_folder="no"))
    assert (result["mails"][0]["seen"], result["mails"][0]["flagged"]) == (False, True)
    (mail,) = robot.search(MailQuery())
    assert (mail.seen, mail.flagged) == (False, True)
    for name in ("delete", "seen", "flag", "create_folder"):
        with pytest.raises(AirflowFailException, match=f"{name}: True, False or None, not 'maybe'"):
            execute(update(larger_than=0, **{name: "maybe"}))
    assert {"delete", "seen", "flag", "create_folder", "limit"} <= set(update().template_fields)


# ------------------------------------------------------------ send


def send(**arguments: Any) -> SendEmailOperator:
    """A mail to the vendor."""
    return SendEmailOperator(**{"task_id": "send", "to": VENDOR, "subject": "s", "text": "t", **arguments})


def test_send_and_answer(
    robot: Mailbox, servers: Servers, mailboxes: Callable[[str], Mailbox], tmp_path: Path
) -> None:
    """A mail with stored files, and an answer in its thread."""
    servers.append(ROBOT, invoice(), when=RECEIVED)
    files, _ = execute(fetch(tmp_path, attachment="*.csv"))
    receipt, _ = execute(send(attachments=files, cc=[ROBOT]))
    assert receipt["accepted"] == [VENDOR, ROBOT]
    (mail,) = mailboxes(VENDOR).search(MailQuery())
    assert mail.message_id == receipt["message_id"]
    assert [a.name for a in mail.attachments] == ["rechnung märz.csv"]
    received, _ = execute(sensor(sender="@acme.com"))
    execute(SendEmailOperator(task_id="answer", text="thanks", to=VENDOR, answers=received))
    *_, answer = mailboxes(VENDOR).search(MailQuery())
    assert answer.subject == "Re: Rechnung für März € 2026"
    assert answer.in_reply_to == ("<invoice-1@acme.com>",)
    assert answer.references == ("<order-6@example.test>", "<order-7@example.test>", "<invoice-1@acme.com>")
    assert mailboxes(VENDOR).fetch(answer.ref).header("Auto-Submitted") == "auto-replied"


@pytest.mark.parametrize("header", ["Auto-Submitted: auto-generated; x=y", "Precedence: bulk"])
def test_programs_are_not_answered(
    robot: Mailbox, servers: Servers, mailboxes: Callable[[str], Mailbox], header: str
) -> None:
    """Two programs that answer each other never end; unless the DAG's author says so."""
    servers.append(ROBOT, f"From: {VENDOR}\r\nSubject: hi\r\n{header}\r\n\r\nx".encode())
    mails, _ = execute(sensor())
    assert mails[0]["automatic"] is True
    receipt, _ = execute(SendEmailOperator(task_id="answer", text="thanks", answers=mails))
    assert receipt == {"message_id": "", "accepted": [], "refused": {}}
    assert list(mailboxes(VENDOR).search(MailQuery())) == []
    receipt, _ = execute(
        SendEmailOperator(task_id="answer", text="thanks", answers=mails, answer_automatic="true")
    )
    assert receipt["accepted"] == [VENDOR]


@pytest.mark.parametrize(
    "headers",
    [
        "Reply-To: foo",
        "Reply-To: " + ", ".join(f"x{n}@example.test" for n in range(1200)),
        "Message-ID: <ü@c>",
        "In-Reply-To: <ü@c>",
        "References: " + " ".join(f"<{n}@x>" for n in range(2000)),
        "Reply-To: x@y.z\u200b",
        "Subject: " + "x" * 20_000,
    ],
)
def test_odd_headers_are_no_obstacle_to_an_answer(
    robot: Mailbox, servers: Servers, mailboxes: Callable[[str], Mailbox], headers: str
) -> None:
    """Nobody can make the answer fail, or go to a thousand others, by what they write."""
    servers.append(ROBOT, f"From: {VENDOR}\r\nSubject: hi\r\n{headers}\r\n\r\nx".encode())
    mails, _ = execute(sensor())
    receipt, _ = execute(SendEmailOperator(task_id="answer", text="thanks", answers=mails))
    assert receipt["accepted"] == [VENDOR]
    assert len(list(mailboxes(VENDOR).search(MailQuery(sender=ROBOT)))) == 1


def test_odd_addresses_are_answered(robot: Mailbox, servers: Servers, kind: str) -> None:
    """Japanese carriers gave out addresses with dots at odd places. Exchange refuses later, by a mail."""
    servers.append(ROBOT, b"From: a..b.@example.test\r\nSubject: hi\r\n\r\nx")
    mails, _ = execute(sensor())
    answer = SendEmailOperator(task_id="answer", text="thanks", answers=mails)
    if kind == MICROSOFT:
        receipt, _ = execute(answer)
        assert receipt["accepted"] == ['"a..b."@example.test']
        return
    with pytest.raises(AirflowFailException, match=r'refused every recipient .*"a\.\.b\."@example\.test'):
        execute(answer)


@only_standard
def test_partly_refused_is_told(robot: Mailbox) -> None:
    """The receipt names who did not get it, with the code."""
    receipt, _ = execute(send(to=[VENDOR, "reject@example.test"]))
    assert receipt["accepted"] == [VENDOR]
    assert receipt["refused"]["reject@example.test"]["code"] == 550


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"to": "nobody"}, "to: .*nobody"),
        ({"to": []}, "recipient|to:"),
        ({"subject": "a\r\nBcc: x@y.z"}, "subject"),
        ({"attachments": ["/no/such/file.csv"]}, "/no/such/file.csv"),
        ({"headers": {"X-A": "1\r\nX-B: 2"}}, "X-A"),
        ({"answers": []}, "answers: one mail, not 0"),
        ({"attachments": ["gopher://x/y"]}, "attachments: no storage"),
    ],
)
def test_send_refuses(
    robot: Mailbox, mailboxes: Callable[[str], Mailbox], arguments: dict[str, Any], message: str
) -> None:
    """Nothing is sent, and the task fails for good."""
    with pytest.raises(AirflowFailException, match=message):
        execute(send(**arguments))
    assert list(mailboxes(VENDOR).search(MailQuery())) == []


@only_standard
def test_all_refused(robot: Mailbox) -> None:
    """Nobody got it: the task fails for good."""
    with pytest.raises(AirflowFailException, match=r"reject@example\.test"):
        execute(send(to="reject@example.test"))


@only_standard
def test_all_refused_for_now_may_be_retried(robot: Mailbox) -> None:
    """A 4xx of every recipient is not for good."""
    with pytest.raises(Exception, match="tempfail") as caught:
        execute(send(to="tempfail@example.test"))
    assert not isinstance(caught.value, AirflowFailException)


@only_standard
def test_silent_server_ends_at_the_timeout(robot: Mailbox, connect: Callable[..., None]) -> None:
    """The connection's timeout is the task's."""
    with ScriptedServer(Conversation.read_to_end) as server:
        connect({"outgoing_port": server.port, "timeout": 1})
        with pytest.raises(NetworkError, match=r"not done within 1 s"):
            execute(send())


def test_no_hook_is_needed_to_parse_a_dag() -> None:
    """Every argument that names a connection, a mail or a filter can be a template."""
    for operator in (sensor(), fetch_any(), update(), send()):
        assert "email_conn_id" in operator.template_fields
        assert all(hasattr(operator, name) for name in operator.template_fields)


def fetch_any() -> FetchEmailOperator:
    """A fetch to anywhere."""
    return FetchEmailOperator(task_id="fetch", path="file:///tmp/x")


def test_hook_class_is_the_providers() -> None:
    """The name in the provider's metadata leads to the hook."""
    from airflow.providers_manager import ProvidersManager  # noqa: PLC0415 - slow to import

    info = ProvidersManager().hooks["email"]
    assert info is not None
    assert info.hook_class_name == f"{EmailHook.__module__}.{EmailHook.__name__}"
