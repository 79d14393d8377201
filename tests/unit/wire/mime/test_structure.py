"""What is text to read and what is a file."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_email_conn.model.message import MailRef
from airflow_email_conn.wire.mime.structure import Part, attachments, estimated_size, find, readable

REF = MailRef(folder="INBOX", uid="7", validity="1")
TEXT = Part("1")
HTML = Part("2", "text/html")


def multipart(kind: str, *children: Part, number: str = "") -> Part:
    """A multipart of these."""
    return Part(number, f"multipart/{kind}", children=children)


def test_text_and_html_are_read() -> None:
    """Both of an alternative, and inline text without a name."""
    inline = Part("3", disposition="inline")
    root = multipart("mixed", multipart("alternative", TEXT, HTML, number="1"), inline)
    assert readable(root) == ((TEXT, inline), (HTML,))
    assert attachments(root, REF) == ()


@pytest.mark.parametrize(
    "part",
    [
        Part("1", disposition="attachment"),
        Part("1", params={"name": "a.txt"}),
        Part("1", disposition="inline", disposition_params={"filename": "a.txt"}),
        Part("1", "text/csv"),
        Part("1", "application/pdf"),
        Part("1", "message/rfc822", children=(TEXT,)),
        Part("1", "multipart/mixed"),
    ],
)
def test_everything_else_is_an_attachment(part: Part) -> None:
    """Also as the whole mail."""
    assert readable(part) == ((), ())
    assert [found.part for found in attachments(part, REF)] == ["1"]


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (Part("1", "image/png", {"name": "b"}, disposition_params={"filename": "a"}), "a"),
        (Part("1", "image/png", {"name": "b"}, disposition_params={"filename": ""}), "b"),
        (Part("1", "image/png", {"name": " a\tb\n"}), "a b"),
        (Part("1.2", "image/png", {"name": "\x01"}), "attachment-1.2.png"),
        (Part("2", "application/x-unheard-of"), "attachment-2.bin"),
        (Part("2", "text/x-unheard-of"), "attachment-2.txt"),
        (Part("2", "text/calendar"), "invite.ics"),
        (Part("2", "application/ms-tnef"), "winmail.dat"),
        (Part("2", "message/rfc822", inner_subject="Re: hi"), "Re: hi.eml"),
        (Part("2", "message/rfc822", inner_subject="\x00"), "message.eml"),
        (Part("2", "message/rfc822", inner_subject="x" * 500), "x" * 200 + ".eml"),
        (Part("2", "message/rfc822", {"name": "given.eml"}, inner_subject="Re: hi"), "given.eml"),
        (Part("2", "message/rfc822"), "message.eml"),
        (Part("2", "message/delivery-status"), "attachment-2.txt"),
    ],
)
def test_names(part: Part, name: str) -> None:
    """The sender's, else one that says what it is; never empty."""
    assert attachments(part, REF)[0].name == name


@pytest.mark.parametrize(
    ("part", "related", "inline"),
    [
        (Part("1", "image/png", content_id="a"), True, True),
        (Part("1", "image/png", content_id="a"), False, False),
        (Part("1", "image/png"), True, False),
        (Part("1", "image/png", disposition="inline"), False, True),
        (Part("1", "image/png", disposition="attachment", content_id="a"), True, False),
        (Part("1", "application/pdf", disposition="inline", content_id="a"), True, False),
        (Part("1", "text/css", content_id="a"), True, True),
    ],
)
def test_inline(part: Part, related: bool, inline: bool) -> None:
    """What the text shows; a PDF that a client calls inline stays a file."""
    root = multipart("related" if related else "mixed", multipart("mixed", part, number="1"))
    assert attachments(root, REF)[0].inline is inline


@pytest.mark.parametrize(
    ("encoding", "size", "expected"),
    [("base64", 78, 57), ("base64", 780_000, 570_000), ("7bit", 10, 10), ("x-uuencode", 63, 45)],
)
def test_estimated_size(encoding: str, size: int, expected: int) -> None:
    """From what a server tells, before anything is fetched."""
    assert estimated_size(Part("1", "image/png", encoding=encoding, size=size)) == expected


def test_an_attachment_says_where_it_is() -> None:
    """Reference, part, type, encoding and Content-ID; the size as it is measured."""
    part = Part("2", "image/png", encoding="base64", content_id="a@b")
    found = attachments(multipart("mixed", TEXT, part), REF, lambda _: 5)[0]
    assert (found.ref, found.part, found.content_type, found.size) == (REF, "2", "image/png", 5)
    assert (found.encoding, found.content_id) == ("base64", "a@b")


def test_find() -> None:
    """By number, at any depth."""
    root = multipart("mixed", TEXT, multipart("mixed", replace(TEXT, number="2.1"), number="2"))
    assert find(root, "2.1") == Part("2.1")
    assert find(root, "3") is None


def test_depth_is_no_recursion() -> None:
    """A server may send any tree."""
    root = TEXT
    for _ in range(5_000):
        root = Part("1", "multipart/mixed", children=(root,))
    assert readable(root) == ((TEXT,), ())
