"""What every Sender must do, on real and on embedded servers."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_email_conn.backends.smtp.sender import SmtpSender
from airflow_email_conn.errors import (
    DraftError,
    NetworkError,
    RefusedError,
    UnavailableError,
)
from airflow_email_conn.model.draft import Content, Draft
from airflow_email_conn.model.server import Credential
from tests.contract.sending import TIMEOUT, arrived, plain, sender, setting, users
from tests.servers.faultproxy import FaultProxy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contract.sending import Post
    from tests.servers.base import MailServers


# ---------------------------------------------------------------- what arrives


@pytest.mark.parametrize("security", ["tls", "starttls", "none"])
def test_every_security(servers: MailServers, security: str) -> None:
    """Each mode and port; the steps of opening are told one by one."""
    steps: list[str] = []
    login = users(servers)[0]
    with SmtpSender.open(setting(servers, security), from_address=login, on_step=steps.append) as sender:
        receipt = sender.send(Draft(to=login, subject=security))
    assert receipt.accepted == (login,)
    assert receipt.refused == {}
    assert arrived(servers, login, receipt.message_id)["Subject"] == security
    assert (
        steps
        == {
            "tls": ["resolve", "connect", "TLS", "EHLO", "sign in"],
            "starttls": ["resolve", "connect", "EHLO", "TLS", "EHLO", "sign in"],
            "none": ["resolve", "connect", "EHLO"],
        }[security]
    )


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_encrypted_without_sign_in(bed: Any, security: str) -> None:
    """The incoming port takes local mail from anybody; STARTTLS there, or TLS put in front of it."""
    with FaultProxy(bed.smtp_port, certificate=bed.certificate if security == "tls" else None) as proxy:
        server = setting(bed, security, credential=Credential(), port=proxy.port)
        with SmtpSender.open(server, from_address=users(bed)[0]) as out:
            assert out.send(Draft(to=users(bed)[0])).accepted
        assert (b"MAIL FROM" in proxy.seen_from_client) is (security == "tls")
        assert b"AUTH" not in proxy.seen_from_client


def test_sign_in_without_encryption(bed: Any) -> None:
    """Only where the connection says security none, and the server allows it."""
    login = users(bed)[0]
    server = setting(bed, "none", credential=Credential("secret", login, bed.users[login]))
    with SmtpSender.open(server, from_address=login) as out:
        assert out.send(Draft(to=login)).accepted


def test_everything_arrives(post: Post, tmp_path: Path) -> None:
    """Texts, people, headers, date, attachments of each kind and a picture: as the draft says."""
    to, cc, bcc = (*users(post), users(post)[0])[:3]
    data = bytes(range(256)) * 300
    (tmp_path / "Bericht März.csv").write_bytes(data)
    stored = ObjectStoragePath(f"file://{tmp_path}/Bericht März.csv")
    before = datetime.now(timezone.utc) - timedelta(seconds=2)
    draft = Draft(
        sender=f'"Robot, Ünï" <{to}>',
        to=f"Jörg <{to}>",
        cc=[f'"Doe, John" <{cc}>'],
        bcc=bcc,
        reply_to="desk@example.test",
        subject="Grüße 日本 =?utf-8?q?=0A?=",
        text="Zeile\n.\n..dot\nFrom here\n",
        html="<p>ü" + "x" * 2000 + '<img src="cid:logo"></p>',
        attachments=[tmp_path / "Bericht März.csv", stored, Content("mail.eml", "Subject: x\n\nhi\n")],
        inline={"logo": Content("logo.png", b"\x89PNG")},
        headers={"X-Team": "Zürich"},
        in_reply_to="<old@example.test>",
    )
    with sender(post) as out:
        receipt = out.send(draft)
    for login in {to, cc}:
        mail = arrived(post, login, receipt.message_id)
        assert mail["From"].addresses[0].display_name == "Robot, Ünï"
        assert mail["To"].addresses[0].display_name == "Jörg"
        assert mail["Cc"] == f'"Doe, John" <{cc}>'
        assert mail["Bcc"] is None
        assert mail["Reply-To"] == "desk@example.test"
        assert mail["Subject"] == draft.subject
        assert mail["X-Team"] == "Zürich"
        assert mail["In-Reply-To"] == mail["References"] == "<old@example.test>"
        assert before < mail["Date"].datetime < datetime.now(timezone.utc) + timedelta(seconds=2)
        text, html = mail.get_body(["plain"]), mail.get_body(["html"])
        assert text is not None
        assert html is not None
        assert text.get_content().replace("\r\n", "\n") == draft.text
        assert html.get_content().rstrip() == draft.html
        files = {part.get_filename(): part.get_payload(decode=True) for part in mail.iter_attachments()}
        assert files == {"Bericht März.csv": data, "mail.eml": b"Subject: x\n\nhi\n"}
        assert sum(1 for _ in mail.iter_attachments()) == 3
        picture = next(part for part in mail.walk() if part["Content-ID"] == "<logo>")
        assert picture.get_payload(decode=True) == b"\x89PNG"


def test_bcc_arrives_unseen(post: Post) -> None:
    """Who is in Bcc gets the mail; nothing in the mail tells."""
    to, bcc = users(post)[:2]
    with sender(post) as out:
        receipt = out.send(Draft(to=to, bcc=bcc, subject="secret copy"))
    assert receipt.accepted == (to, bcc)
    seen = arrived(post, to, receipt.message_id)
    assert bcc not in str({name: value for name, value in seen.items() if name != "Received"})
    assert arrived(post, bcc, receipt.message_id)["Bcc"] is None


def test_receipt(post: Post) -> None:
    """Everybody once, in the order to, cc, bcc; and the Message-ID as it arrived."""
    first, second = users(post)[:2]
    with sender(post) as out:
        receipt = out.send(Draft(to=[first, first.upper()], cc=[second, first], bcc=second))
        given = out.send(Draft(to=first, message_id="<own.id.of.mine@example.test>"))
    assert receipt.accepted[0] == first
    assert receipt.accepted[-1] == second
    assert receipt.refused == {}
    assert arrived(post, second, receipt.message_id)
    assert given.message_id == "<own.id.of.mine@example.test>"
    assert arrived(post, first, given.message_id)


def test_wrong_drafts_between(post: Post) -> None:
    """They are refused before anything is sent, and the sender goes on."""
    login = users(post)[0]
    with sender(post) as out:
        for wrong in (Draft(), Draft(to=login, subject="a\nb"), Draft(to=login, attachments=["/no/such"])):
            with pytest.raises(DraftError):
                out.send(wrong)
            assert out.send(Draft(to=login, subject="right")).accepted == (login,)


def test_many_mails_on_one_connection(servers: MailServers) -> None:
    """Also after refusals, before and after DATA, and after a draft that is wrong."""
    login = users(servers)[0]
    domain = servers.domain
    with FaultProxy(servers.smtp_port) as proxy:
        with SmtpSender.open(plain(proxy.port, timeout=TIMEOUT), from_address=login) as out:
            first = out.send(Draft(to=login, subject="1"))
            with pytest.raises(RefusedError):
                out.send(Draft(to=f"reject@{domain}"))
            with pytest.raises(RefusedError):
                out.send(Draft(to=login, sender=f"datareject@{domain}"))
            with pytest.raises(DraftError):
                out.send(Draft(to=login, subject="a\nb"))
            last = out.send(Draft(to=login, subject="2", message_id="<own.id@example.test>"))
        assert proxy.connections == 1
        assert proxy.seen_from_client.endswith(b"QUIT\r\n")
    assert last.message_id == "<own.id@example.test>"
    assert arrived(servers, login, first.message_id)["Subject"] == "1"
    assert arrived(servers, login, last.message_id)["Subject"] == "2"


def test_address_that_is_not_ascii(servers: MailServers) -> None:
    """It gets its mail where the server offers SMTPUTF8, as both do."""
    to = next(login for login in servers.users if not login.isascii())
    with sender(servers) as out:
        receipt = out.send(Draft(to=f"Jürgen <{to}>", subject="Grüße"))
    assert receipt.accepted == (to,)
    assert arrived(servers, to, receipt.message_id)["Subject"] == "Grüße"


# ---------------------------------------------------------------- refusals


def test_partly_refused(servers: MailServers) -> None:
    """The others get it; the receipt says who does not, and why."""
    login, domain = users(servers)[0], servers.domain
    draft = Draft(to=[f"reject@{domain}", login], cc=f"tempfail@{domain}", bcc=f"blocked@{domain}")
    with sender(servers) as out:
        receipt = out.send(draft)
    assert receipt.accepted == (login,)
    assert {address.partition("@")[0]: r.code for address, r in receipt.refused.items()} == {
        "reject": 550,
        "tempfail": 450,
        "blocked": 554,
    }
    assert "no such user" in receipt.refused[f"reject@{domain}"].reason
    assert arrived(servers, login, receipt.message_id)


@pytest.mark.parametrize(
    ("locals_", "retryable"),
    [(["tempfail", "full"], True), (["reject", "blocked"], False), (["tempfail", "reject"], False)],
)
def test_all_refused(servers: MailServers, locals_: list[str], retryable: bool) -> None:
    """An error with every refusal, retryable when all are temporary."""
    with sender(servers) as out, pytest.raises(RefusedError) as caught:
        out.send(Draft(to=[f"{local}@{servers.domain}" for local in locals_]))
    assert caught.value.retryable is retryable
    assert [address.partition("@")[0] for address in caught.value.refused] == locals_


@pytest.mark.parametrize(("local", "retryable"), [("datatemp", True), ("datareject", False)])
def test_refused_after_data(servers: MailServers, local: str, retryable: bool) -> None:
    """What the server says to the content is the last word."""
    with sender(servers, "none") as out, pytest.raises(RefusedError, match="after DATA") as caught:
        out.send(Draft(to=users(servers)[0], sender=f"{local}@{servers.domain}"))
    assert caught.value.retryable is retryable


def test_too_large(servers: MailServers) -> None:
    """It is refused before it is sent, by its exact size."""
    big = Content("big.bin", b"x" * servers.message_size_limit)
    with FaultProxy(servers.smtp_port) as proxy:
        with SmtpSender.open(plain(proxy.port, timeout=TIMEOUT), from_address="a@example.test") as out:
            with pytest.raises(RefusedError, match=r"has \d+ bytes, the limit is") as caught:
                out.send(Draft(to=users(servers)[0], attachments=[big]))
            assert out.send(Draft(to=users(servers)[0])).accepted
        assert len(proxy.seen_from_client) < 5000
    assert not caught.value.retryable


def test_closed_by_421(servers: MailServers) -> None:
    """The server may hang up at any time; the sender is closed then and says so."""
    with sender(servers) as out:
        with pytest.raises(UnavailableError) as caught:
            out.send(Draft(to=f"drop@{servers.domain}"))
        assert caught.value.retryable
        with pytest.raises(NetworkError, match="open a new one"):
            out.send(Draft(to=users(servers)[0]))
