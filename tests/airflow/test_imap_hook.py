"""The official IMAP hook and ours on one Dovecot: what differs, and our connection."""

from __future__ import annotations

import time
from contextlib import suppress
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.imap.hooks.imap import ImapHook as OfficialImapHook
from airflow.sdk.exceptions import AirflowException
from structlog.testing import capture_logs

from airflow_email_conn.errors import (
    AuthenticationError,
    DeadlineError,
    FolderNotFoundError,
    NetworkError,
    QueryError,
    SettingsError,
)
from airflow_email_conn.hooks.imap import ImapHook
from airflow_email_conn.hooks.mail import EmailHook
from tests.airflow.imap_site import HEAD, USER, Site, mail, raw
from tests.contract.mails import CSV, invoice, plain
from tests.servers.faultproxy import Fault, FaultProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.bed import Bed


@pytest.fixture
def site(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> Site:
    """An empty mailbox."""
    return Site(bed, monkeypatch)


@pytest.fixture
def ours(site: Site) -> Iterator[ImapHook]:
    """Our hook, open."""
    with ImapHook() as hook:
        yield hook


@pytest.fixture
def official(site: Site) -> Iterator[OfficialImapHook]:
    """The official hook, open."""
    with OfficialImapHook("official") as hook:
        yield hook


@pytest.fixture
def logged() -> Iterator[Callable[[], str]]:
    """Gives what was logged since it was last asked, by structlog, as Airflow's tasks do."""
    with capture_logs() as entries:

        def text() -> str:
            told = "\n".join(str(entry["event"]) for entry in entries)
            entries.clear()
            return told

        yield text


def file_mail(number: int = 1) -> bytes:
    """A mail with `report.csv`."""
    return mail((CSV * number, "text/csv", "report.csv"))


# ------------------------------------------------------------ what differs


@pytest.mark.parametrize("body", [b"gr\xfc\xdfe;1\r\n", "grüße €;1\r\n".encode()], ids=["latin-1", "utf-8"])
def test_8_bit_mail(site: Site, ours: ImapHook, official: OfficialImapHook, body: bytes) -> None:
    """The official hook fails on Latin-1, and changes the bytes of UTF-8."""
    site.append(
        raw(
            "Content-Type: text/csv\nContent-Transfer-Encoding: 8bit\n"
            "Content-Disposition: attachment; filename=x.csv",
            body,
        )
    )
    assert ours.retrieve_mail_attachments("x.csv") == [("x.csv", body)]
    with suppress(UnicodeDecodeError):
        assert official.retrieve_mail_attachments("x.csv") != [("x.csv", body)]


def test_one_8_bit_mail_hides_no_other(site: Site, ours: ImapHook, official: OfficialImapHook) -> None:
    """The official hook reads no mail older than it."""
    site.append(file_mail(), HEAD + b"\r\nGr\xfc\xdfe")
    assert ours.has_mail_attachment("report.csv")
    with pytest.raises(UnicodeDecodeError):
        official.has_mail_attachment("report.csv")


def test_reading_changes_nothing(
    site: Site, ours: ImapHook, official: OfficialImapHook, tmp_path: Path
) -> None:
    """The official hook marks as read, and expunges what somebody had marked as deleted."""
    site.append(file_mail(), plain(1))
    site.append(file_mail(2), flags="\\Deleted")
    ours.retrieve_mail_attachments("report.csv", mail_filter="UNSEEN")
    ours.download_mail_attachments("report.csv", str(tmp_path))
    assert site.seen() == [False, False, False]
    official.retrieve_mail_attachments("report.csv")
    assert site.seen() == [True, True]


def test_unread_mail_is_found_again(site: Site, ours: ImapHook, logged: Callable[[], str]) -> None:
    """The log says so to whoever comes from the official hook; a quoted word is no search key."""
    site.append(file_mail())
    for _ in range(2):
        assert ours.has_mail_attachment("report.csv", mail_filter='(UNSEEN SUBJECT "Files")')
    assert logged().count("Reading marks no mail as read") == 2
    ours.has_mail_attachment("report.csv", mail_filter='SUBJECT "a new one"')
    assert "Reading marks" not in logged()


def test_without_content_disposition(site: Site, ours: ImapHook, official: OfficialImapHook) -> None:
    """A named part is a file."""
    site.append(raw("Content-Type: text/csv; name=x.csv", b"1"))
    assert ours.retrieve_mail_attachments("x.csv") == [("x.csv", b"1")]
    assert not official.has_mail_attachment("x.csv")


def test_a_mail_that_is_one_file(site: Site, ours: ImapHook, official: OfficialImapHook) -> None:
    """Scanners send such."""
    site.append(
        HEAD
        + b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n"
        + b"Content-Disposition: attachment; filename=scan.pdf\r\n\r\nJVBERi0xLjc=\r\n"
    )
    assert ours.retrieve_mail_attachments("scan.pdf") == [("scan.pdf", b"%PDF-1.7")]
    assert not official.has_mail_attachment("scan.pdf")


def test_a_forwarded_mail_is_a_file(site: Site, ours: ImapHook, official: OfficialImapHook) -> None:
    """The official hook gives None for its bytes."""
    site.append(invoice())
    ((name, content),) = ours.retrieve_mail_attachments("The order.eml")
    assert (name, content.startswith(b"Subject: The order\r\n")) == ("The order.eml", True)
    assert ("", None) in official.retrieve_mail_attachments(".*", check_regex=True)


def test_unknown_charset_in_a_name(site: Site, ours: ImapHook, official: OfficialImapHook) -> None:
    """The official hook fails with LookupError."""
    site.append(raw('Content-Disposition: attachment; filename="=?x-odd?Q?a.csv?="', b"1"))
    assert ours.retrieve_mail_attachments("a.csv") == [("a.csv", b"1")]
    with pytest.raises(LookupError, match="x-odd"):
        official.has_mail_attachment("a.csv")


def test_text_to_read_is_no_file(site: Site, ours: ImapHook, official: OfficialImapHook) -> None:
    """Some programs write `inline` at the text of every mail; a file without a name gets one."""
    site.append(
        raw("Content-Disposition: inline", b"Hi"),
        raw("Content-Type: application/pdf\nContent-Disposition: attachment", b"1"),
    )
    assert ours.retrieve_mail_attachments("", check_regex=True) == [("attachment-2.pdf", b"1")]
    assert official.retrieve_mail_attachments("", check_regex=True) == [("", b"1"), ("", b"Hi")]


def test_missing_folder(site: Site, ours: ImapHook, official: OfficialImapHook) -> None:
    """The error names those that exist, not a state of the protocol."""
    with pytest.raises(FolderNotFoundError, match=r"no folder 'Missing'; the folders are: .*INBOX"):
        ours.has_mail_attachment("x", mail_folder="Missing")
    with pytest.raises(Exception, match="SEARCH illegal in state AUTH"):
        official.has_mail_attachment("x", mail_folder="Missing")


def test_folder_with_a_space(site: Site, ours: ImapHook, official: OfficialImapHook) -> None:
    """It needs no quotes."""
    site.append(file_mail(), folder="All Mail")
    assert ours.has_mail_attachment("report.csv", mail_folder="All Mail")
    with pytest.raises(Exception, match=r"EXAMINE|SELECT"):
        official.has_mail_attachment("report.csv", mail_folder="All Mail")


@pytest.mark.parametrize("found", [True, False])
def test_misspelt_mode(site: Site, ours: ImapHook, official: OfficialImapHook, found: bool) -> None:
    """An error at once; the official hook logs it, on the day when there is no mail."""
    site.append(*[file_mail()] * found)
    with pytest.raises(ValueError, match="not_found_mode must be 'raise', 'warn' or 'ignore', not 'Raise'"):
        ours.retrieve_mail_attachments("report.csv", not_found_mode="Raise")
    assert len(official.retrieve_mail_attachments("report.csv", not_found_mode="Raise")) == int(found)


@pytest.mark.parametrize("mail_filter", ["", "ALL\r\na1 DELETE INBOX", "SUBJECT ä"])
def test_filter_that_cannot_be_sent(ours: ImapHook, mail_filter: str) -> None:
    """Nothing of it reaches the server."""
    with pytest.raises(QueryError, match="raw: "):
        ours.has_mail_attachment("x", mail_filter=mail_filter)


def test_evil_names(site: Site, ours: ImapHook, official: OfficialImapHook, tmp_path: Path) -> None:
    """Kept under safe names; the official hook leaves such files out, or fails."""
    site.append(mail((b"1", "text/csv", "../../evil.csv")), mail((b"2", "text/csv", "/etc/evil.csv")))
    directory = tmp_path / "in"
    directory.mkdir()
    official.download_mail_attachments("../../evil.csv", str(directory))
    assert list(directory.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        official.download_mail_attachments("/etc/evil.csv", str(directory))
    ours.download_mail_attachments(".*evil.csv", str(directory), check_regex=True)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == {
        "evil.csv": b"2",
        "evil_1.csv": b"1",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


class Trap(str):
    """A name that does something when a file name is compared with it."""

    __slots__ = ("spring",)
    __hash__ = str.__hash__
    spring: Callable[[], object]

    def __eq__(self, other: object) -> bool:
        self.spring()
        return str.__eq__(self, other)


def test_mail_that_vanishes(site: Site, ours: ImapHook, tmp_path: Path) -> None:
    """Deleted by somebody between the search and the fetch: left out, not an error."""
    name = Trap("report.csv")
    name.spring = lambda: site.bed.empty(USER)
    for mode, directory in (("retrieve", None), ("download", str(tmp_path))):
        site.append(file_mail(), file_mail(2))
        call = getattr(ours, f"{mode}_mail_attachments")
        with pytest.raises(AirflowException, match="No mail attachments found!"):
            call(name, *([directory] if directory else []))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["stall", "cut"])
def test_a_break_ends_in_time_and_leaves_no_half_file(site: Site, tmp_path: Path, kind: Any) -> None:
    """The connection's timeout is every step's; nothing new appears, nothing old is lost."""
    site.append(mail((bytes(300_000), "application/zip", "a.zip")), mail((b"1", "application/zip", "a.zip")))
    (tmp_path / "a.zip").write_bytes(b"old")
    with FaultProxy(site.bed.imap_port) as proxy:
        proxy.fault = Fault(kind, side="server", after=100_000)
        site.define(
            "imap_default",
            port=proxy.port,
            extra={"outgoing_protocol": "none", "incoming_security": "none", "timeout": 1},
        )
        start = time.monotonic()
        with ImapHook() as hook, pytest.raises(DeadlineError if kind == "stall" else NetworkError):
            hook.download_mail_attachments("a.zip", str(tmp_path), overwrite=False)
        assert time.monotonic() - start < 6
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.zip": b"old"}


def test_depth_of_forwarded_mails_is_bounded(site: Site, ours: ImapHook, logged: Callable[[], str]) -> None:
    """Each is held in memory while the next is looked into."""
    inner = message_from_bytes(mail((b"1", "text/csv", "a.csv")), policy=SMTP)
    for level in range(1, 7):
        outer = EmailMessage(policy=SMTP)
        outer["Subject"] = f"Fwd {level}"
        outer.set_content("see below")
        outer.add_attachment(inner)
        site.append(outer.as_bytes())
        inner = outer
    assert len(ours.retrieve_mail_attachments("a.csv")) == 4
    assert "too large or too deep" in logged()


# ------------------------------------------------------------ the connection


def test_not_open(site: Site) -> None:
    """Before and after the `with` statement."""
    hook = ImapHook()
    with pytest.raises(RuntimeError, match="the hook is not open: use it as `with ImapHook"):
        hook.has_mail_attachment("x")
    with hook:
        assert not hook.has_mail_attachment("x")
    with pytest.raises(RuntimeError, match="not open"):
        hook.retrieve_mail_attachments("x")
    with hook.get_conn() as again:  # opened by hand, closed by the statement; and a second time
        assert again is hook
        assert hook.get_conn() is hook
        assert not hook.has_mail_attachment("x")


def test_no_imaplib(ours: ImapHook) -> None:
    """One clear error for whoever used the official hook's own client."""
    with pytest.raises(AttributeError, match=r"no imaplib client.*EmailHook\('imap_default'\)\.mailbox\(\)"):
        ours.mail_client.logout()
    with pytest.raises(AttributeError, match="mail_client"):
        ours.mail_client = None


def test_wrong_password(site: Site) -> None:
    """Nobody's password in the error."""
    site.define("imap_default", password="wrong-password")
    with pytest.raises(AuthenticationError) as caught, ImapHook():
        pass
    assert "wrong-password" not in repr(caught.value)


def test_a_forgotten_imap_connection_says_what_is_wrong(site: Site) -> None:
    """The official type's fields are not ours."""
    with pytest.raises(SettingsError, match="Connection Type: is 'imap'"), ImapHook("official"):
        pass


def test_the_official_type_stays_the_official_hook_s() -> None:
    """Our subclass is no hook of a connection type of its own."""
    from airflow.providers_manager import ProvidersManager  # noqa: PLC0415 - slow to import

    hooks = ProvidersManager().hooks
    assert {kind: hook.hook_class_name for kind in ("imap", "email") if (hook := hooks[kind])} == {
        "imap": f"{OfficialImapHook.__module__}.{OfficialImapHook.__name__}",
        "email": f"{EmailHook.__module__}.{EmailHook.__name__}",
    }
