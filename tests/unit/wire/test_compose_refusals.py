"""Drafts that cannot be sent: refused by the name of the field, before anything happens."""

from __future__ import annotations

import os
import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.errors import DraftError
from airflow_email_conn.model.draft import Content, Draft
from airflow_email_conn.model.message import Address
from airflow_email_conn.wire.compose.message import check, compose

if TYPE_CHECKING:
    from pathlib import Path

FORBIDDEN = ["\r\nBcc: x@evil.test", "\n", "\r", "\0", "\x85", "\u2028", "\u2029", "\x7f", "\ud800", "\t"]
OK = Content("ok.txt", b"ok")
# Field, and a draft with something in the place where it would be injected.
PLACES: dict[str, Any] = {
    "subject": lambda bad: Draft(to="a@b.c", subject=f"x{bad}"),
    "sender": lambda bad: Draft(to="a@b.c", sender=f"x{bad} <a@b.c>"),
    "sender address": lambda bad: Draft(to="a@b.c", sender=f"a@b.c{bad}"),
    "to": lambda bad: Draft(to=[f"x{bad} <a@b.c>"]),
    "to address": lambda bad: Draft(to=f"a{bad}@b.c"),
    "to quoted": lambda bad: Draft(to=f'"a{bad}"@b.c'),
    "to Address": lambda bad: Draft(to=[Address(f"a{bad}@b.c")]),  # type: ignore[list-item]
    "to Address name": lambda bad: Draft(to=[Address("a@b.c", f"x{bad}")]),  # type: ignore[list-item]
    "to domain": lambda bad: Draft(to=f"a@b{bad}.c"),
    "cc": lambda bad: Draft(to="a@b.c", cc=f"a@b.c{bad}"),
    "bcc": lambda bad: Draft(to="a@b.c", bcc=f"x{bad} <a@b.c>"),
    "reply_to": lambda bad: Draft(to="a@b.c", reply_to=f"x{bad} <a@b.c>"),
    "in_reply_to": lambda bad: Draft(to="a@b.c", in_reply_to=f"<a{bad}@b.c>"),
    "references": lambda bad: Draft(to="a@b.c", references=[f"<a{bad}@b.c>"]),
    "message_id": lambda bad: Draft(to="a@b.c", message_id=f"<a{bad}@b.c>"),
    "headers": lambda bad: Draft(to="a@b.c", headers={"X-A": f"x{bad}"}),
    "headers name": lambda bad: Draft(to="a@b.c", headers={f"X-A{bad}": "x"}),
    "attachments name": lambda bad: Draft(to="a@b.c", attachments=[Content(f"a{bad}.txt", b"")]),
    "attachments path": lambda bad: Draft(to="a@b.c", attachments=[f"/tmp/a{bad}.txt"]),
    "attachments type": lambda bad: Draft(to="a@b.c", attachments=[Content("a", b"", f"text/x{bad}")]),
    "inline": lambda bad: Draft(to="a@b.c", html="h", inline={f"cid{bad}": OK}),
    "inline name": lambda bad: Draft(to="a@b.c", html="h", inline={"cid": Content(f"a{bad}", b"")}),
}


def refusal(draft: Draft, sender: str = "robot@example.test") -> str:
    """The message of the DraftError."""
    with pytest.raises(DraftError) as caught:
        check(draft, sender=sender)
    return str(caught.value)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("bad", FORBIDDEN, ids=ascii)
def test_injection(place: str, bad: str) -> None:
    """Line ends and control characters are refused everywhere, and the message itself shows none."""
    message = refusal(PLACES[place](bad))
    assert message.startswith(place.split(maxsplit=1)[0])
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", message)


@pytest.mark.parametrize("bad", FORBIDDEN[:9], ids=ascii)
def test_injection_by_the_connection(bad: str) -> None:
    """The connection's own sender is checked too."""
    assert refusal(Draft(to="a@b.c"), sender=f"a@b.c{bad}").startswith("from_address")


@pytest.mark.parametrize("field", ["to", "cc", "bcc", "reply_to", "sender"])
@pytest.mark.parametrize(
    "address",
    [
        "nobody",
        "@b.c",
        "a@",
        "a@b@c.d",
        "a b@c.d",
        "a@b c.d",
        "Name a@b.c",
        "Doe, John <a@b.c>",
        "<a@b.c> x",
        "a@b.c <d@e.f> <g@h.i>",
        "Name <>",
        "a..b@c.d",
        ".a@c.d",
        "a@-b.c",
        "a@b..c",
        "a@b.c.",
        "a@b_c.d(comment)",
        "group: a@b.c",
        '"open <a@b.c>',
        "a@b.c>",
        "<a@b.c",
        "alice@example.org)bob@evil.test",
        "a\u200b@b.c",
        "a\u00a0@b.c",
        "a@straße.de",
        "a@" + "x" * 64 + ".de",
        "a@" + "ü" * 64 + ".de",
        "a" * 400 + "@b.c",
        "a@[1.2.3.4",
        "a@℀.com",
    ],
)
def test_not_an_address(field: str, address: str) -> None:
    """What is not surely an address is refused by its field."""
    draft = Draft(**{"to": "a@b.c", field: address})
    assert refusal(draft).startswith(field)


@pytest.mark.parametrize(
    "address",
    [
        "a@b.c",
        "root@localhost",
        "a+tag@b-c.de",
        '"john doe"@b.c',
        "a@[192.0.2.1]",
        "a@[IPv6:2001:db8::1]",
        "O'Brien <o'brien@b.c>",
        '"Doe, \\"J\\" John" <a@b.c>',
        "reply+" + "x" * 70 + "@reply.example.com",
        "<a@b.c>",
        "=?utf-8?q?x?= <a@b.c>",
    ],
)
def test_an_address(address: str) -> None:
    """What is one is taken."""
    check(Draft(to=address), sender="a@b.c")


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("From", "sender"),
        ("TO", "to"),
        ("cc", "cc"),
        ("Bcc", "bcc"),
        ("Subject", "subject"),
        ("Reply-To", "reply_to"),
        ("In-Reply-To", "in_reply_to"),
        ("References", "references"),
        ("Message-Id", "message_id"),
        ("Sender", "sender"),
        ("Date", "time"),
        ("MIME-Version", "always"),
        ("Content-Type", "attachments"),
        ("Return-Path", "servers"),
        ("Received", "servers"),
        ("DKIM-Signature", "servers"),
        ("Resent-To", "server"),
    ],
)
def test_reserved_headers(name: str, mend: str) -> None:
    """They are refused with the field to use instead."""
    assert mend in refusal(Draft(to="a@b.c", headers={name: "x"})).partition("cannot be set here")[2]


@pytest.mark.parametrize("name", ["", "X A", "X:", "Ä", "X" * 100])
def test_header_names(name: str) -> None:
    """A name is a token."""
    assert refusal(Draft(to="a@b.c", headers={name: "x"})).startswith("headers: ")


def test_nobody() -> None:
    """Without recipients or a sender there is no mail."""
    for empty in ("", [], ",", [""], " ; "):
        assert refusal(Draft(to=empty)).startswith("to: the mail has no recipient")
    assert "from_address" in refusal(Draft(to="a@b.c"), sender="")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("to", 5),
        ("to", [5]),
        ("to", b"a@b.c"),
        ("subject", None),
        ("text", None),
        ("html", b"x"),
        ("attachments", [5]),
        ("attachments", 5),
        ("attachments", [Content("a", 5)]),  # type: ignore[arg-type]
        ("headers", {"X-A": 5}),
    ],
)
def test_wrong_types(field: str, value: Any) -> None:
    """A value of a wrong type is an error of the draft, not a crash."""
    assert refusal(Draft(**{"to": "a@b.c", field: value})).startswith(field)


def test_files(tmp_path: Path) -> None:
    """What is missing, no file, a URL, or nameless is refused with its path, and nothing stays open."""
    os.mkfifo(tmp_path / "fifo")
    for path, why in [
        (tmp_path / "missing.csv", "No such file"),
        (tmp_path, "is not a file"),
        (tmp_path / "fifo", "is not a file"),
        ("s3://bucket/key.csv", "ObjectStoragePath"),
        ("", "empty"),
        (Content(" ", b""), "empty"),
        (Content("a", b"", "text"), "type/subtype"),
    ]:
        message = refusal(Draft(to="a@b.c", attachments=[OK, path]))
        assert message.startswith("attachments")
        assert why in message
        assert refusal(Draft(to="a@b.c", html="h", inline={"c": path})).startswith("inline")
    assert str(tmp_path / "missing.csv") in refusal(
        Draft(to="a@b.c", attachments=[str(tmp_path / "missing.csv")])
    )


def test_inline_without_html() -> None:
    """Pictures that nothing shows are a mistake; so is a Content-ID that cannot be linked."""
    assert refusal(Draft(to="a@b.c", text="t", inline={"c": OK})).startswith("inline")
    for cid in ("", "a b", "<a>", "ü"):
        assert refusal(Draft(to="a@b.c", html="h", inline={cid: OK})).startswith("inline")


def test_limits() -> None:
    """Recipients, files, header sizes."""
    many = [f"a{n}@b.c" for n in range(1001)]
    check(Draft(to=many[:1000]), sender="a@b.c")
    assert "1000" in refusal(Draft(to=many))
    assert "1000" in refusal(Draft(to=many[:600], bcc=many[600:]))
    assert "200" in refusal(Draft(to="a@b.c", attachments=[OK] * 201))
    assert "10000" in refusal(Draft(to="a@b.c", subject="x" * 10_001))
    assert "1000" in refusal(Draft(to="a@b.c", references=["<a@b.c>"] * 1001))
    assert "at most" in refusal(Draft(to="a@b.c", headers={f"X-{n}": "x" * 9000 for n in range(30)}))


def test_surrogates_in_texts() -> None:
    """Half a character cannot be sent."""
    assert refusal(Draft(to="a@b.c", text="\ud800")).startswith("text: ")
    assert refusal(Draft(to="a@b.c", html="\ud800")).startswith("html: ")
    assert refusal(Draft(to="a@b.c", attachments=[Content("a", "\ud800")])).startswith("attachments: ")


def test_boundary_seed() -> None:
    """A seed that would break the boundary is a mistake of the caller."""
    with pytest.raises(ValueError, match="boundary_seed"):
        compose(
            Draft(to="a@b.c"),
            sender="a@b.c",
            date=datetime.now(timezone.utc),
            message_id="<a@b.c>",
            boundary_seed='"',
            utf8=False,
        )
