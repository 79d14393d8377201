"""The official IMAP hook and ours on one Dovecot, ours on Microsoft 365: the same calls, equal results."""

from __future__ import annotations

import inspect
import json
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.imap.hooks.imap import ImapHook as OfficialImapHook
from airflow.sdk.exceptions import AirflowException

from airflow_email_conn.errors import CapabilityError
from airflow_email_conn.hooks.imap import ImapHook
from tests.airflow.conftest import ROBOT
from tests.airflow.imap_site import PDF, Site, mail, raw
from tests.contract.mails import CSV, PNG, RECEIVED, invoice, plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.bed import Bed
    from tests.servers.graph.server import GraphServer


@pytest.fixture(scope="module")
def site(bed: Bed) -> Iterator[Site]:
    """The mails that the official hook can read, in several folders."""
    with pytest.MonkeyPatch.context() as patch:
        site = Site(bed, patch)
        for folder, mails in FOLDERS.items():
            site.append(*mails, folder=folder)
        yield site


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
def at_microsoft(
    graph: GraphServer, microsoft: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[ImapHook]:
    """Our hook, open, on the same mails in Microsoft 365."""
    monkeypatch.setenv("AIRFLOW_CONN_AT_MICROSOFT", json.dumps(microsoft))
    for folder, mails in FOLDERS.items():
        for number, each in enumerate(mails):
            graph.append(ROBOT, each, [folder], when=RECEIVED + timedelta(seconds=number))
    with ImapHook("at_microsoft") as hook:
        yield hook


def forwarded() -> bytes:
    """A file in a mail in a mail."""
    outer = EmailMessage(policy=SMTP)
    outer["Subject"] = "Fwd"
    outer.set_content("see below")
    outer.add_attachment(message_from_bytes(invoice(), policy=SMTP))
    outer.add_attachment(b"after", "text", "csv", filename="after.csv")
    return outer.as_bytes()


ORDINARY = [
    mail((CSV, "text/csv", "report.csv"), (PDF, "application/pdf", "report.pdf")),
    mail((CSV * 2, "text/csv", "report.csv"), cte="quoted-printable"),
    plain(1),
    mail((PNG, "image/png", "logo.png"), disposition="inline"),
    mail((b"1", "text/csv", "rechnung märz.csv"), (b"2", "text/csv", "a" * 90 + "ü.csv")),
    raw(
        "Content-Type: text/csv; charset=us-ascii\n"
        "Content-Disposition: attachment; filename==?UTF-8?B?w7xiZXIuY3N2?=",
        b"coded",
    ),
    raw(
        "Content-Type: application/pdf; name=only-in-type.pdf\nContent-Transfer-Encoding: base64\n"
        "Content-Disposition: attachment",
        b"JVBERi0xLjc=\r\n",
    ),
    raw('Content-Disposition: attachment; filename="a  b.txt"', b"two\r\nlines\r\n"),
    raw("Content-Type: text/html\nContent-Disposition: attachment; filename=page.html", b"<p>Hi</p>"),
    mail((b"x" * 300_000, "application/zip", "big.zip"), (b"", "application/zip", "empty.zip")),
    mail((CSV * 3, "text/csv", "report.csv"), (b"twice", "text/csv", "report.csv")),
]
FOLDERS = {
    "INBOX": ORDINARY,
    "[Gmail].All Mail": ORDINARY[1:2],
    "Rechnungen.März": ORDINARY[1:2],
    'R&D "x"': ORDINARY[1:2],
    "Empty": [plain(1)],
    "Forwarded": [forwarded()],
}
CALLS: list[dict[str, Any]] = [
    {"name": "report.csv"},
    {"name": "report.csv", "latest_only": True},
    {"name": "report.csv", "max_mails": 1},
    {"name": "report.csv", "max_mails": 10},
    {"name": "report.csv", "max_mails": 1000},
    {"name": "REPORT.CSV"},
    {"name": "report"},
    {"name": "rechnung märz.csv"},
    {"name": "a" * 90 + "ü.csv"},
    {"name": "über.csv"},
    {"name": "only-in-type.pdf"},
    {"name": "a  b.txt"},
    {"name": "page.html"},
    {"name": "logo.png"},
    {"name": r"report\.(csv|pdf)", "check_regex": True},
    {"name": "port", "check_regex": True},
    {"name": r"re", "check_regex": True, "latest_only": True},
    {"name": r".*\.zip$", "check_regex": True},
    {"name": r".", "check_regex": True},
    {"name": "report.csv", "mail_filter": '(SUBJECT "Files" LARGER 1500)'},
    {"name": "report.csv", "mail_filter": "1:2"},
    {"name": "report.csv", "mail_filter": "NOT ALL"},
    {"name": "report.csv", "mail_filter": "SUBJECT nothing"},
    {"name": "report.csv", "mail_folder": "Empty"},
    {"name": "report.csv", "mail_folder": '"[Gmail].All Mail"'},
    {"name": "report.csv", "mail_folder": "Rechnungen.M&AOQ-rz"},
    {"name": "inner.pdf", "mail_folder": "Forwarded"},
    {"name": "rechnung märz.csv", "mail_folder": "Forwarded"},
    {"name": "(logo|after)", "check_regex": True, "mail_folder": "Forwarded"},
    {"name": "report.csv", "mail_folder": '"R&-D \\"x\\""'},
]


def results(hook: OfficialImapHook, directory: Path, call: dict[str, Any]) -> dict[str, Any]:
    """What each method gives for the same arguments."""
    asked = {key: value for key, value in call.items() if key != "latest_only"}
    found: dict[str, Any] = {"has": hook.has_mail_attachment(**asked)}
    for mode in ("ignore", "warn"):
        found[mode] = hook.retrieve_mail_attachments(**call, not_found_mode=mode)
    try:
        found["raise"] = hook.retrieve_mail_attachments(**call)
    except AirflowException as exc:
        found["raise"] = str(exc)
    for overwrite in (True, False):
        for again in (1, 2):
            place = directory / str(overwrite)
            place.mkdir(parents=True, exist_ok=True)
            hook.download_mail_attachments(
                **call, local_output_directory=str(place), overwrite=overwrite, not_found_mode="ignore"
            )
            found[f"files {overwrite} {again}"] = {path.name: path.read_bytes() for path in place.iterdir()}
    return found


@pytest.mark.parametrize("call", CALLS, ids=lambda call: " ".join(map(str, call.values()))[:40])
def test_same_results(
    ours: ImapHook,
    official: OfficialImapHook,
    at_microsoft: ImapHook,
    tmp_path: Path,
    call: dict[str, Any],
) -> None:
    """Same calls, same answers, same files; a filter in IMAP's own words is for IMAP alone."""
    expected = results(official, tmp_path / "official", call)
    assert results(ours, tmp_path / "ours", call) == expected
    if "mail_filter" not in call:
        assert results(at_microsoft, tmp_path / "microsoft", call) == expected
        return
    with pytest.raises(CapabilityError, match=r"mail_filter: .*Microsoft 365 .*leave it out"):
        results(at_microsoft, tmp_path / "microsoft", call)


def test_the_calls_cover_something(ours: ImapHook) -> None:
    """Newest mail first, in a mail from first to last."""
    assert [content for _, content in ours.retrieve_mail_attachments("report.csv")] == [
        CSV * 3,
        b"twice",
        CSV * 2,
        CSV,
    ]
    for folder in (
        '"[Gmail].All Mail"',
        "[Gmail].All Mail",
        "Rechnungen.März",
        "Rechnungen.M&AOQ-rz",
        'R&D "x"',
    ):
        assert ours.has_mail_attachment("report.csv", mail_folder=folder)
    assert not ours.has_mail_attachment("report.csv", mail_folder="\\Archive")


@pytest.mark.parametrize(
    "method", ["has_mail_attachment", "retrieve_mail_attachments", "download_mail_attachments", "__init__"]
)
def test_same_arguments(method: str) -> None:
    """Names, order, kinds and defaults."""

    def shape(hook: type) -> list[tuple[str, Any, Any]]:
        signature = inspect.signature(getattr(hook, method))
        return [(p.name, p.kind, p.default) for p in signature.parameters.values()]

    assert shape(ImapHook) == shape(OfficialImapHook)


def test_it_is_an_official_hook(ours: ImapHook) -> None:
    """An isinstance holds; the connection's type is ours, and its default name theirs."""
    assert isinstance(ours, OfficialImapHook)
    assert (ImapHook.conn_type, ImapHook.default_conn_name) == ("email", OfficialImapHook.default_conn_name)


@pytest.mark.parametrize("max_mails", [0, -1])
def test_max_mails_is_positive(ours: ImapHook, official: OfficialImapHook, max_mails: int) -> None:
    """The same error from either."""
    for hook in (ours, official):
        with pytest.raises(ValueError, match="max_mails must be a positive integer"):
            hook.has_mail_attachment("x", max_mails=max_mails)
