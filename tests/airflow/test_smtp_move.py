"""Code of apache-airflow-providers-smtp moves over by a change of its imports: same calls, same mails."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from airflow.providers.smtp.hooks.smtp import SmtpHook as OfficialHook
from airflow.providers.smtp.notifications.smtp import SmtpNotifier as OfficialNotifier
from airflow.providers.smtp.operators.smtp import EmailOperator as OfficialOperator
from airflow.sdk.exceptions import AirflowFailException

from airflow_email_conn.backends.imap.mailbox import ImapMailbox
from airflow_email_conn.errors import DraftError
from airflow_email_conn.hooks.smtp import SmtpHook
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.notifications.smtp import SmtpNotifier, send_smtp_notification
from airflow_email_conn.operators.smtp import EmailOperator
from tests.airflow.conftest import MICROSOFT, ROBOT, VENDOR, every_kind
from tests.contract.places import ignore, imap_server
from tests.servers.scripted import Conversation, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_email_conn.backends.base import Mailbox
    from airflow_email_conn.model.message import Mail
    from tests.servers.embedded import EmbeddedServers

HOOKS = [OfficialHook, SmtpHook]
OPERATORS = [OfficialOperator, EmailOperator]
NOTIFIERS = [OfficialNotifier, SmtpNotifier]


@pytest.fixture
def both(
    embedded: EmbeddedServers, kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connections `official` and `mail` to the same server without sign-in; `mail` of Microsoft 365."""
    extra = {"disable_ssl": True, "disable_tls": True, "from_email": ROBOT}
    official = {"conn_type": "smtp", "host": "localhost", "port": embedded.smtp_port, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_OFFICIAL", json.dumps(official))
    extra = {
        "incoming_protocol": "none",
        "outgoing_security": "none",
        "credential": "none",
        "from_address": ROBOT,
    }
    ours = {"conn_type": "email", "host": "localhost", "port": embedded.smtp_port, "extra": extra}
    if kind == MICROSOFT:
        ours = request.getfixturevalue("microsoft")
    monkeypatch.setenv("AIRFLOW_CONN_MAIL", json.dumps(ours))


def conn_id(kind: type) -> str:
    """The connection of a class: all that changes beside the import."""
    return "official" if kind.__module__.startswith("airflow.providers") else "mail"


@pytest.fixture
def received(
    mailboxes: Callable[[str], Mailbox], embedded: EmbeddedServers, kind: str
) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What the vendor sees of the mails it has received, first those of the SMTP server."""

    def shown(mail: Mail) -> dict[str, Any]:
        return {
            "subject": mail.subject,
            "sender": mail.sender,
            "to": mail.to,
            "cc": mail.cc,
            "html": (mail.html or "").strip(),
            "files": sorted(a.name or "" for a in mail.attachments),
            "x": mail.header("X-Kind"),
        }

    with ExitStack() as stack:
        opened = [mailboxes(VENDOR)]
        if kind == MICROSOFT:
            embedded.empty(VENDOR)
            opened.insert(0, stack.enter_context(ImapMailbox.open(imap_server(embedded, VENDOR), ignore)))
        yield lambda: [
            shown(mailbox.fetch(mail.ref)) for mailbox in opened for mail in mailbox.search(MailQuery())
        ]


def arguments(folder: Path) -> dict[str, Any]:
    """A mail with everything."""
    (folder / "a.csv").write_bytes(b"1;2\n")
    (folder / "b.pdf").write_bytes(b"%PDF")
    return {
        "to": f"{VENDOR}; robot@example.test",
        "subject": "Zahlen für März",
        "html_content": "<p>ä</p>",
        "files": [str(folder / "a.csv"), str(folder / "b.pdf")],
        "cc": "accounting@example.test",
        "bcc": [VENDOR],
        "custom_headers": {"X-Kind": "report"},
    }


@every_kind
@pytest.mark.usefixtures("both")
def test_hook(received: Callable[[], list[dict[str, Any]]], tmp_path: Path) -> None:
    """`send_email_smtp` in a `with` block; the first argument of the hook is its connection."""
    for kind in HOOKS:
        with kind(smtp_conn_id=conn_id(kind)) as hook:
            assert hook.from_email == ROBOT
            assert hook.send_email_smtp(**arguments(tmp_path)) is None
    official, ours = received()
    assert ours == official


@every_kind
@pytest.mark.usefixtures("both")
def test_hook_awaited(received: Callable[[], list[dict[str, Any]]], tmp_path: Path) -> None:
    """`async with` and `asend_email_smtp`."""

    async def send(kind: type) -> None:
        async with kind(smtp_conn_id=conn_id(kind)) as hook:
            await hook.asend_email_smtp(**arguments(tmp_path))

    for kind in HOOKS:
        asyncio.run(send(kind))
    official, ours = received()
    assert ours == official


@every_kind
@pytest.mark.usefixtures("both")
def test_operator(received: Callable[[], list[dict[str, Any]]], tmp_path: Path) -> None:
    """Same arguments, same template fields, no result."""
    assert set(EmailOperator.template_fields) == set(OfficialOperator.template_fields)
    for kind in OPERATORS:
        operator = kind(task_id="send", conn_id=conn_id(kind), from_email=None, **arguments(tmp_path))
        assert operator.execute({}) is None
    official, ours = received()
    assert ours == official


@every_kind
@pytest.mark.usefixtures("both")
def test_notifier(received: Callable[[], list[dict[str, Any]]], tmp_path: Path) -> None:
    """With words of one's own, in a file as well."""
    (tmp_path / "alert.html").write_text("<p>{{ run_id }}</p>", encoding="utf-8")
    for kind in NOTIFIERS:
        for words in ({"html_content": "<b>{{ run_id }}</b>"}, {"template": str(tmp_path / "alert.html")}):
            kind(VENDOR, None, "run {{ run_id }}", smtp_conn_id=conn_id(kind), **words)({"run_id": "r1"})
    one, two, three, four = received()
    assert [one, two] == [three, four]
    assert send_smtp_notification is SmtpNotifier


@pytest.mark.usefixtures("both")
def test_notifier_without_words(received: Callable[[], list[dict[str, Any]]]) -> None:
    """The default mail instead of templates of the connection; the connection of `[email] email_conn_id`."""
    assert SmtpNotifier(VENDOR).smtp_conn_id == "smtp_default"
    SmtpNotifier(to=VENDOR, smtp_conn_id="mail")({"run_id": "r1"})
    assert received()[0]["subject"] == "Airflow has something to tell"


# ------------------------------------------------------------ better


@pytest.mark.usefixtures("both")
def test_one_connection_for_all_mails(embedded: EmbeddedServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a `with` block; and a mail that went out is not sent again."""
    seen: list[bytes] = []

    def serve(c: Conversation) -> None:
        c.send(b"220 mx\r\n")
        while line := c.readline():
            seen.append(line.split()[0])
            if line.startswith(b"DATA"):
                c.send(b"354 go on\r\n")
                while c.readline() != b".\r\n":
                    pass
            c.send(b"250 ok\r\n")

    with ScriptedServer(serve) as server:
        extra = {"incoming_protocol": "none", "outgoing_security": "none", "credential": "none"}
        form = {"conn_type": "email", "host": "localhost", "port": server.port, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_MAIL", json.dumps(form))
        with SmtpHook("mail") as hook:
            for _ in range(3):
                hook.send_email_smtp(to=VENDOR, subject="s", html_content="h", from_email=ROBOT)
    assert seen.count(b"EHLO") == 1
    assert seen.count(b"DATA") == 3


@pytest.mark.usefixtures("both")
def test_sending_at_the_same_time(mailboxes: Callable[[str], Mailbox]) -> None:
    """`gather` over one hook: each mail arrives once and whole."""
    mailbox = mailboxes(VENDOR)
    body = "<p>" + "line of some length\n" * 5000 + "</p>"

    async def send() -> None:
        async with SmtpHook("mail") as hook:
            mails = (
                hook.asend_email_smtp(to=VENDOR, subject=f"mail {number}", html_content=body)
                for number in range(20)
            )
            await asyncio.gather(*mails)

    asyncio.run(send())
    mails = [mailbox.fetch(mail.ref) for mail in mailbox.search(MailQuery())]
    assert sorted(mail.subject for mail in mails) == sorted(f"mail {number}" for number in range(20))
    assert {len(mail.html or "") for mail in mails} == {len(mails[0].html or "")}


@pytest.mark.usefixtures("both")
@pytest.mark.parametrize("name", ["my plot.png", "Übersicht.png", "plot.png"])
def test_pictures_of_any_name(mailboxes: Callable[[str], Mailbox], tmp_path: Path, name: str) -> None:
    """Shown by their name, as it is or percent-encoded (RFC 2392), by hook and notifier."""
    (tmp_path / name).write_bytes(b"PNG")
    mailbox = mailboxes(VENDOR)
    for written in (name, quote(name)):
        html, files = f"<img src='cid:{written}'>", [str(tmp_path / name)]
        with SmtpHook("mail") as hook:
            hook.send_email_smtp(to=VENDOR, subject="s", html_content=html, files=files)
        SmtpNotifier(VENDOR, subject="s", html_content=html, files=files, smtp_conn_id="mail")({})
    for summary in mailbox.search(MailQuery()):
        (picture,) = summary.attachments
        assert (picture.name, picture.inline) == (name, True)
        content_id = (picture.content_id or "").strip("<>")
        assert f"cid:{content_id}'" in (mailbox.fetch(summary.ref).html or "")


@pytest.mark.usefixtures("both")
def test_notifier_like_hook(mailboxes: Callable[[str], Mailbox], tmp_path: Path) -> None:
    """Headers that are arguments, numbers as values, one file as text, addresses one a line, a subclass."""

    class Own(SmtpNotifier):
        def __init__(self) -> None:
            super().__init__(
                f"{VENDOR},\n {ROBOT}\n",
                custom_headers={"Reply-To": "desk@example.test", "X-Priority": 1},
                files=str(tmp_path / "a.csv"),  # type: ignore[arg-type]
                smtp_conn_id="mail",
            )
            self.subject = "mine"
            self.html_content = "<p>{{ run_id }}</p>"
            self.from_email = "own@example.test"

    (tmp_path / "a.csv").write_bytes(b"1")
    Own()({"run_id": "r1"})
    mailbox = mailboxes(VENDOR)
    (summary,) = mailbox.search(MailQuery())
    mail = mailbox.fetch(summary.ref)
    assert mail.sender
    assert (mail.subject, mail.sender.email) == ("mine", "own@example.test")
    assert (mail.html or "").strip() == "<p>r1</p>"
    assert [a.email for a in mail.reply_to] == ["desk@example.test"]
    assert mail.header("X-Priority") == "1"
    assert [a.name for a in mail.attachments] == ["a.csv"]


@pytest.mark.usefixtures("both")
def test_what_is_missing_is_named() -> None:
    """Subject and content, and the `with` block."""
    with SmtpHook("mail") as hook, pytest.raises(DraftError, match="html_content: is missing"):
        hook.send_email_smtp(to=VENDOR, subject="s")
    with pytest.raises(RuntimeError, match="the hook is not open"):
        SmtpHook("mail").send_email_smtp(to=VENDOR, subject="s", html_content="h")
    with pytest.raises(AirflowFailException, match="subject: is missing"):
        EmailOperator(task_id="send", to=VENDOR, conn_id="mail").execute({})


@pytest.mark.usefixtures("both")
def test_dry_run(received: Callable[[], list[dict[str, Any]]]) -> None:
    """Checked and not sent, by both."""
    for kind in HOOKS:
        with kind(smtp_conn_id=conn_id(kind)) as hook:
            hook.send_email_smtp(to=VENDOR, subject="s", html_content="h", dryrun=True)
    assert received() == []
