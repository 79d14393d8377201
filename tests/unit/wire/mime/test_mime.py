"""Any bytes to a Mail."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn.errors import ProtocolError
from airflow_email_conn.model.message import Address, Mail, MailRef
from airflow_email_conn.wire import mime
from airflow_email_conn.wire.mime import mail as mail_module
from airflow_email_conn.wire.mime.envelope import MAX_DEFECTS
from airflow_email_conn.wire.mime.structure import attachments

CORPUS = sorted((Path(__file__).parents[3] / "corpus").glob("*.eml"))
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=300)
NAME = st.text(st.characters(categories=["L", "N"], include_characters=" .-_()"), min_size=1, max_size=60)


def corpus(name: str) -> bytes:
    """A message of tests/corpus."""
    return next(path for path in CORPUS if path.stem == name).read_bytes()


def well_formed(mail: Mail, raw: bytes) -> None:
    """What holds for every mail, however broken."""
    assert mail.size == len(raw)
    assert Mail.from_dict(json.loads(json.dumps(mail.as_dict()))) == mail
    mail.text.encode()
    mail.html.encode()
    lines = [
        mail.subject,
        *mail.defects,
        *(value for _, value in mail.headers),
        *(a.name for a in mail.attachments),
    ]
    assert not set("".join(lines)) & set("\0\r\n")
    assert all(attachment.name for attachment in mail.attachments)


@given(st.binary(max_size=500))
def test_any_bytes_give_a_mail(raw: bytes) -> None:
    """Never raises."""
    well_formed(mime.parse(raw), raw)


@given(st.sampled_from(CORPUS), st.data())
def test_damaged_messages_give_a_mail(path: Path, data: st.DataObject) -> None:
    """Bytes cut out, doubled and replaced in the messages of the corpus; each attachment can be read."""
    raw = path.read_bytes()
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, min(len(raw), start + 200)))
    raw = raw[:start] + data.draw(st.binary(max_size=20)) + raw[end:] + data.draw(st.sampled_from([b"", raw]))
    mail = mime.parse(raw)
    well_formed(mail, raw)
    for attachment in mail.attachments:
        mime.attachment_bytes(raw, attachment.part)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_a_tree_and_a_mail_agree(path: Path) -> None:
    """The same attachments but for estimated sizes, which are close; measured sizes are exact."""
    raw = path.read_bytes()
    mail = mime.parse(raw)
    well_formed(mail, raw)
    listed = attachments(mime.scan(raw), mail.ref)
    assert [(a.part, a.name, a.inline) for a in listed] == [
        (a.part, a.name, a.inline) for a in mail.attachments
    ]
    for attachment in mail.attachments:
        assert len(mime.attachment_bytes(raw, attachment.part)) == attachment.size


FILES = {
    "single_pdf": [("1", "order.pdf")],
    "name_only": [("2", "sales.csv")],
    "forwarded": [("2", "Grüße from Carol.eml")],
    "related": [("2", "pic.png")],
    "invitation": [("2", "invite.ics")],
    "bounce": [("2", "attachment-2.txt"), ("3", "attachment-3.txt")],
    "similar_boundaries": [("2", "f.bin")],
    "unclosed": [("2", "a.pdf")],
    "cr_only": [("2", "a.x")],
    "mixed_line_ends": [("2", "a.pdf")],
    "tnef": [("2", "winmail.dat")],
    "uuencoded": [("1", "cat.txt")],
    "quoted_printable_file": [("2", "prices.csv")],
    "digest": [("1", "First.eml"), ("2", "Second.eml")],
    "names": [
        ("1", "plain.txt"),
        ("2", "€ rates.txt"),
        ("3", "über.txt"),
        ("4", "über.txt"),
        ("5", "über.txt"),
        ("6", "my file.txt"),
        ("7", "report.xlsx"),
        ("8", "report.xlsx"),
        ("9", "attachment-9.bin"),
        ("10", "a b c.txt"),
    ],
}


@pytest.mark.parametrize(("name", "files"), FILES.items())
def test_files(name: str, files: list[tuple[str, str]]) -> None:
    """Which files a message has, where, and how they are called."""
    assert [(a.part, a.name) for a in mime.parse(corpus(name)).attachments] == files


def test_a_name_over_several_lines() -> None:
    """Folded, in sections or in words; with CRLF and with LF."""
    for lines in (
        b'attachment;\n filename="Umsatz f\xc3\xbcr\n M\xc3\xa4rz.csv"',
        b"attachment;\n\tfilename*0*=utf-8''Umsatz%20f%C3%BC;\n\tfilename*1*=r%20M%C3%A4rz.csv",
        b'attachment;\n filename="=?utf-8?q?Umsatz_f=C3?=\n =?utf-8?q?=BCr_M=C3=A4rz?=.csv"',
    ):
        raw = b"Content-Type: text/csv\nContent-Disposition: " + lines + b"\n\nx"
        for mail in (mime.parse(raw), mime.parse(raw.replace(b"\n", b"\r\n"))):
            assert [attachment.name for attachment in mail.attachments] == ["Umsatz für März.csv"]


def test_two_files_of_one_name_are_two_files() -> None:
    """Each has its own part, size and bytes."""
    raw = corpus("names")
    reports = [a for a in mime.parse(raw).attachments if a.name == "report.xlsx"]
    assert [a.part for a in reports] == ["7", "8"]
    assert len({mime.attachment_bytes(raw, a.part) for a in reports}) == 2


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain", "Hello Bob,\nall is well.\n"),
        ("latin1_unlabelled", "Grüße aus Köln\n"),
        ("unknown_charset", "Grüße\n"),
        ("big5", "中文信件\n"),
        ("iso2022jp", "日本語\n"),
        ("forwarded", "See the mail below."),
        ("same_boundary_twice", "text"),
        ("no_boundary", "just text\n"),
        ("boundary_never_comes", "just text\n"),
        ("empty_boundary", "--\njust text\n"),
        ("no_separator", "Hello, this is the text.\nBye\n"),
        ("cr_only", "text"),
        ("header_only", ""),
        ("empty_base64", ""),
        ("single_pdf", ""),
        ("broken_base64", "Hello, Bob"),
        ("broken_qp", "100=ZZ café\nlong line"),
    ],
)
def test_texts(name: str, text: str) -> None:
    """The text to be read, lines ended by LF."""
    assert mime.parse(corpus(name)).text == text


def test_addresses_of_a_forger() -> None:
    """Names never turn into addresses."""
    mail = mime.parse(corpus("forged_from"))
    assert mail.sender == Address("x@evil.example", "ceo@example.org")
    assert mail.to == (Address("c@example.org", "a@example.org, b"),)
    assert [address.email for address in mail.reply_to] == [""]
    assert mail.cc == ()


def test_everything_of_a_mail() -> None:
    """Reference, flags and times as they are given; the Message-ID from the header unless it is known."""
    received = datetime(2026, 3, 3, tzinfo=timezone.utc)
    ref = MailRef("INBOX", "7", "1")
    mail = mime.parse(corpus("related"), ref=ref, received=received, seen=True, flagged=True)
    assert (mail.ref, mail.message_id) == (ref, "<rel@example.org>")
    assert (mail.received, mail.seen, mail.flagged) == (received, True, True)
    assert mail.header("mime-version") == "1.0"
    assert mail.html.startswith("<p>see")
    assert mail.attachments[0].inline
    known = MailRef("INBOX", "7", "1", "<known@example.org>")
    assert mime.parse(corpus("related"), ref=known).message_id == "<known@example.org>"
    assert mime.parse(b"").ref == MailRef("", "")


def test_a_part_that_is_not_there() -> None:
    """An error at once, not with the first piece."""
    for number in ("3", "", "1.1"):
        with pytest.raises(ProtocolError, match="no part"):
            mime.attachment_pieces(corpus("single_pdf"), number)
    assert mime.attachment_bytes(corpus("related"), "1").startswith(b"--a")


def test_long_texts_are_cut_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded; what fits is there."""
    monkeypatch.setattr(mail_module, "MAX_TEXT_BYTES", 10)
    mail = mime.parse(
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\n12345\n--b\n\n67890ABC\n--b\n\nx\n--b--"
    )
    assert mail.text == "12345\n67890"
    assert "the text is longer than 10 bytes: cut there" in mail.defects
    mail = mime.parse(b"\n" + b"x" * 10)
    assert (mail.text, mail.defects) == ("x" * 10, ())


def test_defects_have_a_limit() -> None:
    """A hostile mail has as many as it likes."""
    part = b"--b\nContent-Type: text/plain; charset=c%d\n\n\xff\n"
    raw = b"Content-Type: multipart/mixed; boundary=b\n\n" + b"".join(part % i for i in range(100)) + b"--b--"
    assert len(mime.parse(raw).defects) == MAX_DEFECTS


@given(TEXT, TEXT, TEXT, st.lists(st.tuples(NAME, st.binary(max_size=300)), max_size=3))
def test_what_the_standard_library_builds_comes_back(
    subject: str, text: str, html: str, files: list[tuple[str, bytes]]
) -> None:
    """Subject, text, HTML and files of an EmailMessage."""
    subject = " ".join(subject.split())
    files = [(" ".join(name.split()) or "x", data) for name, data in files]
    built = EmailMessage(policy=SMTP)
    built["Subject"] = subject
    built.set_content(text, cte="base64")
    built.add_alternative(html, subtype="html", cte="quoted-printable")
    for name, data in files:
        built.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    raw = built.as_bytes()
    mail = mime.parse(raw)
    assert mail.subject == subject
    assert (mail.text.rstrip("\n"), mail.html.rstrip("\n")) == (text, html)
    assert [(a.name, a.size) for a in mail.attachments] == [(name, len(data)) for name, data in files]
    assert [mime.attachment_bytes(raw, a.part) for a in mail.attachments] == [data for _, data in files]
