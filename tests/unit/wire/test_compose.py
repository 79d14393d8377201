"""A composed mail, read again by the standard library, is what the draft said."""

from __future__ import annotations

import io
import re
import tracemalloc
from datetime import datetime, timedelta, timezone
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import getaddresses
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_email_conn.errors import DraftError
from airflow_email_conn.model.draft import Content, Draft
from airflow_email_conn.model.message import Address
from airflow_email_conn.wire.compose.message import Composed, check, compose

if TYPE_CHECKING:
    from pathlib import Path

WHEN = datetime(2026, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=2)))
# What a header may hold: everything but control characters, line separators and surrogates.
TEXT = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]) | st.sampled_from(list(' =?_",;<>@\\é日'))
)
NAME = TEXT.map(str.strip).filter(bool)


def composed(draft: Draft, **more: Any) -> Composed:
    """Compose with fixed values for what the backend makes up."""
    values = {
        "sender": "Robot <robot@example.test>",
        "date": WHEN,
        "message_id": "<fixed@example.test>",
        "boundary_seed": "seed0123456789",
        "utf8": False,
    }
    return compose(draft, **(values | more))


def wire(draft: Draft, **more: Any) -> bytes:
    """The mail's bytes, checked for what every mail must keep."""
    with composed(draft, **more) as mail:
        raw = b"".join(mail.pieces())
        assert mail.size in {None, len(raw)}
    assert raw.endswith(b"\r\n")
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)|\0", raw)
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    return raw


def parsed(draft: Draft, **more: Any) -> EmailMessage:
    """The mail as the standard library reads it; no defect allowed."""
    message = message_from_bytes(wire(draft, **more), policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert [part.defects for part in message.walk() if part.defects] == []
    return message


def shape(message: Any) -> Any:
    """The MIME tree."""
    kind = message.get_content_type()
    return (kind, [shape(part) for part in message.iter_parts()]) if message.is_multipart() else kind


def test_plain_text() -> None:
    """A text alone: no multipart, 7bit, and the header in full."""
    raw = wire(
        Draft(
            to=["Ann <ann@example.test>", "bo@example.test"], cc="cy@example.test", subject="Hi", text="a\nb"
        )
    )
    assert raw == (
        b"From: Robot <robot@example.test>\r\n"
        b"To: Ann <ann@example.test>, bo@example.test\r\n"
        b"Cc: cy@example.test\r\n"
        b"Subject: Hi\r\n"
        b"Date: Tue, 03 Feb 2026 04:05:06 +0200\r\n"
        b"Message-ID: <fixed@example.test>\r\n"
        b"MIME-Version: 1.0\r\n"
        b'Content-Type: text/plain; charset="utf-8"\r\n'
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"\r\n"
        b"a\r\nb\r\n"
    )


def test_structures() -> None:
    """As many levels as are needed, in the order of RFC 2046 and 2387."""
    file, picture = Content("a.csv", b"x"), Content("p.png", b"\x89PNG")
    alternative = ("multipart/alternative", ["text/plain", "text/html"])
    related = ("multipart/related", ["text/html", "image/png"])
    to = "a@b.c"
    assert shape(parsed(Draft(to=to))) == "text/plain"
    assert shape(parsed(Draft(to=to, html="<p>"))) == "text/html"
    assert shape(parsed(Draft(to=to, text="t", html="<p>"))) == alternative
    assert shape(parsed(Draft(to=to, html="<p>", inline={"p": picture}))) == related
    assert shape(parsed(Draft(to=to, text="t", attachments=[file]))) == (
        "multipart/mixed",
        ["text/plain", "text/csv"],
    )
    full = Draft(to=to, text="t", html="<p>", inline={"p": picture}, attachments=[file, file])
    assert shape(parsed(full)) == (
        "multipart/mixed",
        [("multipart/alternative", ["text/plain", related]), "text/csv", "text/csv"],
    )


def test_envelope() -> None:
    """Everybody once, in order; Bcc in no header; domains know no case, local parts do."""
    draft = Draft(
        to=["A <a@Example.test>", "b@example.test; c@example.test,"],
        cc=("a@example.TEST", "A@example.test"),
        bcc=[Address("hidden@example.test", "Hi, Dden")],
        sender='"Doe, John" <john@example.test>',
    )
    with composed(draft) as mail:
        assert mail.sender == "john@example.test"
        assert mail.size == sum(map(len, mail.pieces()))
        assert mail.recipients == (
            "a@Example.test",
            "b@example.test",
            "c@example.test",
            "A@example.test",
            "hidden@example.test",
        )
        assert mail.message_id == "<fixed@example.test>"
        assert not mail.needs_utf8
    raw = wire(draft)
    assert b"hidden" not in raw
    assert b'From: "Doe, John" <john@example.test>\r\n' in raw


def test_only_bcc() -> None:
    """A mail to nobody visible says so."""
    assert b"\r\nTo: undisclosed-recipients:;\r\n" in wire(Draft(bcc="a@b.c"))


def test_thread_and_custom_headers() -> None:
    """Reply-To, In-Reply-To, References that end with the answered mail, and headers of one's own."""
    url = "<https://example.test/" + "u" * 300 + ">"
    message = parsed(
        Draft(
            to="a@b.c",
            reply_to="Desk <desk@b.c>, x@b.c",
            in_reply_to="two@b.c",
            references=["<one@b.c>", "<two@b.c>"],
            message_id="<mine@b.c>",
            headers={"X-Team": "Zürich", "List-Unsubscribe": url, "Auto-Submitted": "auto-generated"},
        )
    )
    assert message["Reply-To"] == "Desk <desk@b.c>, x@b.c"
    assert message["In-Reply-To"] == "<two@b.c>"
    assert message["References"] == "<one@b.c> <two@b.c>"
    assert message["Message-ID"] == "<mine@b.c>"
    assert message["X-Team"] == "Zürich"
    assert message["List-Unsubscribe"] == url
    assert message["Date"].datetime == WHEN


@given(TEXT)
@example("=?utf-8?q?=0A?=")
@example("a  b ")
@example(" ")
@example("x" * 1110)
@example("日本" * 400)
@example("word " * 200)
@example("a =?utf-8?b?Cg==?= b")
def test_subject(subject: str) -> None:
    """Any subject arrives; its lines are short; what looks encoded is taken literally."""
    draft = Draft(to="a@b.c", subject=subject)
    header = wire(draft).partition(b"\r\n\r\n")[0]
    field = re.search(rb"^Subject:(?:.*\r\n )*.*(?=\r\n)", header, re.MULTILINE)
    assert field is not None
    assert all(len(line) <= 76 for line in field[0].split(b"\r\n"))
    assert parsed(draft)["Subject"] == subject


@given(NAME, NAME)
@example("=?utf-8?q?=0A?=", 'Back\\slash "quoted"')
@example("Müller, Jörg", "x" * 200)
def test_display_names(sender: str, to: str) -> None:
    """Any name arrives, given as an Address or written with quotes."""
    quoted = '"' + to.replace("\\", "\\\\").replace('"', '\\"') + '"'
    draft = Draft(sender=Address("s@b.c", sender), to=[f"{quoted} <t@b.c>", "u@b.c"])  # type: ignore[arg-type]
    message = parsed(draft)
    assert [a.addr_spec for a in message["From"].addresses] == ["s@b.c"]
    assert [a.addr_spec for a in message["To"].addresses] == ["t@b.c", "u@b.c"]
    # Python 3.12's policy.default keeps the space between two encoded words of a name, against RFC 2047 6.2.
    raw = message_from_bytes(wire(draft))
    (read, _), (second, _) = getaddresses([str(raw["From"]), str(raw["To"])])[:2]
    assert [str(make_header(decode_header(name))) for name in (read, second)] == [sender, to]


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
@example("x" * 3000, "日" * 3000)
@example("a\rb\nc\r\nd", "\0.\n.\r\n..")
@example("trailing \t\n =\n", "\x0c\x1c\x85\u2028")
@example("é" + "x" * 75 + "\n" + "y" * 77, "=20\n")
def test_texts(text: str, html: str) -> None:
    """Any text arrives, but for its line ends, which become CRLF, and one at its end."""
    message = parsed(Draft(to="a@b.c", text=f"t{text}", html=f"h{html}"))
    sent = [part.get_payload(decode=True).decode() for part in message.iter_parts()]
    wanted = [re.sub("\r\n|\r|\n", "\r\n", given) for given in (f"t{text}", f"h{html}")]
    assert sent == [w if w.endswith("\r\n") else w + "\r\n" for w in wanted]


@given(NAME, st.binary(max_size=200))
@example("report;charset=x.csv", b"a\nb\r\n\0")
@example("=?utf-8?q?x?=.txt", b"")
@example("年次報告書" * 30 + ".pdf", b"%PDF")
@example('it\'s 100% \\ "q".txt', b"x")
@example("a'b'c.txt", b"x")
@example("data:text.html", b"x")
def test_attachments(name: str, data: bytes) -> None:
    """Any name and any bytes arrive, attached and inline."""
    file = Content(name, data)
    message = parsed(Draft(to="a@b.c", html="<p>", inline={"pic@1": file}, attachments=[file]))
    files = [part for part in message.walk() if part.get_filename() is not None]
    assert [part.get_content_disposition() for part in files] == ["inline", "attachment"]
    assert files[0]["Content-ID"] == "<pic@1>"
    for part in files:
        assert part.get_filename() == name
        assert part.get_payload(decode=True) == data


@pytest.mark.parametrize("size", [1, 56, 57, 58, 57 * 1024 - 1, 57 * 1024, 57 * 1024 + 1, 300_000])
def test_attachment_sizes(tmp_path: Path, size: int) -> None:
    """Around the edges of lines and pieces."""
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(range(256)) * (size // 256) + b"x" * (size % 256))
    part = next(iter(parsed(Draft(to="a@b.c", attachments=[path])).iter_attachments()))
    assert part.get_content() == path.read_bytes()
    assert part.get_content_type() == "application/octet-stream"


@pytest.mark.parametrize(
    ("name", "given", "sent"),
    [
        ("a.csv", "", "text/csv"),
        ("a.CSV", "", "text/csv"),
        ("a.csv.gz", "", "application/gzip"),
        ("a.pdf", "", "application/pdf"),
        ("noextension", "", "application/octet-stream"),
        ("mail.eml", "", "application/octet-stream"),
        ("mail.eml", "message/rfc822", "application/octet-stream"),
        ("x.bin", "Application/X-Mine", "application/x-mine"),
    ],
)
def test_content_types(name: str, given: str, sent: str) -> None:
    """By the name, or as given; a mail within a mail keeps its bytes as octets."""
    part = next(
        iter(parsed(Draft(to="a@b.c", attachments=[Content(name, b"x\n", given)])).iter_attachments())
    )
    assert part.get_content_type() == sent
    assert part["Content-Transfer-Encoding"] == "base64"


def test_ways_to_attach(tmp_path: Path) -> None:
    """A path as text or Path, one alone, text content, and an object with name and open that reads little."""

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 0, 7))

        def seekable(self) -> bool:
            return False

    class Stored:
        name = "stored.txt"

        def open(self, mode: str) -> io.BytesIO:
            assert mode == "rb"
            return Slow(b"0123456789" * 30)

    path = tmp_path / "Zürich.txt"
    path.write_text("z")
    draft = Draft(to="a@b.c", attachments=(p for p in [str(path), path, Content("t.txt", "ü"), Stored()]))
    for _ in range(2):  # the generator was taken once, so it can be composed again
        with composed(draft) as mail:
            assert mail.size is None
            message = message_from_bytes(b"".join(mail.pieces()), policy=policy.default)
    files = [(p.get_filename(), p.get_payload(decode=True)) for p in message.iter_attachments()]
    assert files == [
        ("Zürich.txt", b"z"),
        ("Zürich.txt", b"z"),
        ("t.txt", "ü".encode()),
        ("stored.txt", b"0123456789" * 30),
    ]
    for alone in (str(path), path, Content("t.txt", "ü")):
        assert len(list(parsed(Draft(to="a@b.c", attachments=alone)).iter_attachments())) == 1  # type: ignore[arg-type]


def test_file_that_grows(tmp_path: Path) -> None:
    """A log is sent as long as it was when the mail was composed."""
    path = tmp_path / "a.log"
    path.write_bytes(b"x" * 100)
    with composed(Draft(to="a@b.c", attachments=[path])) as mail:
        with path.open("ab") as log:
            log.write(b"y" * 100_000)
        assert len(b"".join(mail.pieces())) == mail.size


def test_file_that_shrinks(tmp_path: Path) -> None:
    """It cannot be sent any more."""
    path = tmp_path / "a.log"
    path.write_bytes(b"x" * 100)
    with composed(Draft(to="a@b.c", attachments=[path])) as mail:
        path.write_bytes(b"x")
        with pytest.raises(DraftError, match=r"^attachments: .*a\.log' became shorter"):
            list(mail.pieces())


def test_domains() -> None:
    """International domains travel in ASCII, in header and envelope."""
    with composed(Draft(to="a@Bücher.example")) as mail:
        assert mail.recipients == ("a@xn--bcher-kva.example",)
        assert not mail.needs_utf8
    assert b"To: a@xn--bcher-kva.example\r\n" in wire(Draft(to="a@Bücher.example"))


def test_international_local_part() -> None:
    """It needs SMTPUTF8, and says so where the server lacks it; check() cannot know and lets it pass."""
    draft = Draft(to="Jürgen <jürgen@example.test>")
    with pytest.raises(DraftError, match=r"^to: 'jürgen@example.test' needs a server that offers SMTPUTF8"):
        composed(draft)
    with composed(draft, utf8=True) as mail:
        assert mail.needs_utf8
        assert "<jürgen@example.test>".encode() in b"".join(mail.pieces())
    check(draft, sender="a@b.c")


def test_encodings() -> None:
    """7bit where it can be; else quoted-printable or base64, whichever is shorter."""

    def encoding(text: str) -> str:
        return str(parsed(Draft(to="a@b.c", text=text))["Content-Transfer-Encoding"])

    assert encoding("x" * 998) == "7bit"
    assert encoding("x" * 999) == "quoted-printable"
    assert encoding("mostly ASCII, one ü") == "quoted-printable"
    assert encoding("日本語のテキスト") == "base64"
    assert encoding("words and NUL: a\0b") == "quoted-printable"


def test_memory(tmp_path: Path) -> None:
    """It does not depend on the size of an attachment."""
    path = tmp_path / "big.bin"
    with path.open("wb") as big:
        big.truncate(20_000_000)
    tracemalloc.start()
    try:
        with composed(Draft(to="a@b.c", attachments=[path])) as mail:
            assert sum(map(len, mail.pieces())) == mail.size
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
