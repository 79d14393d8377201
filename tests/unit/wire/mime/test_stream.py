"""Mails that come in pieces: the same as mails that are all there."""

from __future__ import annotations

import tracemalloc
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn.model.message import MailRef
from airflow_email_conn.wire import mime
from airflow_email_conn.wire.mime.headers import MAX_HEADER_BYTES
from airflow_email_conn.wire.mime.stream import PartScanner

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CORPUS = sorted((Path(__file__).parents[3] / "corpus").glob("*.eml"))
REF = MailRef("INBOX", "1")
MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"


def pieces(raw: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    """The mail cut at these offsets."""
    at = 0
    for cut in sorted(cuts):
        yield raw[at:cut]
        at = cut
    yield raw[at:]


def scanned(fed: Iterable[bytes], part: str | None = None) -> tuple[PartScanner, bytes]:
    """A scanner that was fed, and what it gave to its target."""
    written: list[bytes] = []
    scanner = PartScanner(part, written.append, REF)
    for piece in fed:
        scanner.feed(piece)
    scanner.finish()
    return scanner, b"".join(written)


def agrees(raw: bytes, fed: Iterable[bytes]) -> None:
    """The scanner finds what `mime.parse` finds, and gives the bytes of each attachment."""
    fed = list(fed)
    mail = mime.parse(raw, ref=REF)
    scanner, written = scanned(fed)
    assert (scanner.attachments, scanner.ref) == (mail.attachments, mail.ref)
    assert (scanner.envelope.subject, scanner.envelope.sender) == (mail.subject, mail.sender)
    # The text is not read here, nor what is wrong with its charset.
    assert scanner.defects == tuple(defect for defect in mail.defects if "charset" not in defect)
    assert (scanner.found, written) == (False, b"")
    for attachment in mail.attachments:
        scanner, written = scanned(fed, attachment.part)
        assert scanner.found
        assert written == mime.attachment_bytes(raw, attachment.part)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_the_corpus(path: Path) -> None:
    """At once, byte by byte, and line by line."""
    raw = path.read_bytes()
    for fed in ([raw], [raw[at : at + 1] for at in range(len(raw))], raw.splitlines(keepends=True)):
        agrees(raw, fed)


@given(st.sampled_from(CORPUS), st.lists(st.integers(0, 3_000), max_size=6))
def test_the_corpus_cut_anywhere(path: Path, cuts: list[int]) -> None:
    """Never mind where: within a delimiter line, between CR and LF, in a group of base64."""
    raw = path.read_bytes()
    agrees(raw, pieces(raw, [cut % (len(raw) + 1) for cut in cuts]))


LINES = st.sampled_from(
    [
        *(b"--b", b"--b--", b"--b  ", b"--c", b"--c--", b"--", b"-", b"", b" ", b"x", b"Subject: s"),
        *(b"Content-Type: multipart/mixed; boundary=b", b"Content-Type: multipart/related; boundary=c"),
        *(b"Content-Type: multipart/mixed; boundary=", b"Content-Type: message/rfc822"),
        *(b"Content-Type: image/png", b"Content-ID: <i>", b"Content-Disposition: attachment; filename=f.bin"),
        *(b"Content-Transfer-Encoding: base64", b"Content-Transfer-Encoding: quoted-printable"),
        *(b"Content-Transfer-Encoding: uuencode", b"begin 644 f", b"#0V%T", b"end", b"QUJDRA==", b"=3D= \t="),
        *(b"From a b", b">From a b", b"a" * 1_200, b"--b" + b" " * 1_200),
    ]
)
MAILS = st.lists(st.tuples(LINES, st.sampled_from([b"\r\n", b"\n", b"\r\n", b"\r"])), max_size=40).map(
    lambda lines: b"".join([text + end for text, end in lines])
)


@given(MAILS | MAILS.map(lambda raw: MIXED + raw) | st.binary(max_size=300), st.data())
def test_mails_of_all_kinds_cut_anywhere(raw: bytes, data: st.DataObject) -> None:
    """Nested, broken, with and without line ends."""
    agrees(raw, pieces(raw, data.draw(st.lists(st.integers(0, len(raw)), max_size=8))))
    agrees(raw, [raw[at : at + 1] for at in range(len(raw))])


LINE = b"A" * 76 + b"\r\n"
FILE = MIXED + b"--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: "
ENDLESS = {
    "100 MB of base64": (FILE + b"base64\r\n\r\n", LINE * 840, 1_600),
    "a line of base64": (FILE + b"base64\r\n\r\n", b"AAAA" * 16_000, 160),
    "a line of quoted-printable": (FILE + b"quoted-printable\r\n\r\n", b"=41" * 16_000, 160),
    "a line of spaces": (FILE + b"quoted-printable\r\n\r\n", b" " * 64_000, 160),
    "a line of uuencoded data": (FILE + b"x-uuencode\r\n\r\nbegin 644 a\r\n", b"M" * 64_000, 160),
    "a mail of one line": (b"", b"x" * 64_000, 160),
    "a mail of CR": (b"", b"x\r" * 32_000, 160),
    "a header": (b"", b"Received: x\r\n" * 5_000, 160),
    "a header of a part": (MIXED + b"--b\r\n", b"Received: x\r\n" * 5_000, 160),
    "headers of parts": (MIXED, b"--b\r\nContent-Type: a/b; name=%b\r\n\r\n" % (b"x" * 60_000), 160),
    "nested": (MIXED, b"--b\r\n" + b"Content-ID: <%b>\r\n" % (b"x" * 60_000) + MIXED, 160),
    "nearly a boundary": (MIXED, b"--" + b"b" * 100_000, 100),
    "a mail in the mail": (b"Content-Type: message/rfc822\r\n\r\n", b"Subject: x\r\n" * 5_000, 160),
}


@pytest.mark.parametrize(("start", "piece", "count"), ENDLESS.values(), ids=ENDLESS)
def test_memory_is_bounded(start: bytes, piece: bytes, count: int) -> None:
    """Whatever goes on for ever: some pieces of a file, or a header, copied some times while it is read."""
    size = 0
    small = start.startswith(FILE)
    scanner = PartScanner("1", lambda data: None)
    tracemalloc.start()
    for fed in chain([start], repeat(piece, count)):
        scanner.feed(fed)
        size += len(fed)
    scanner.finish()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 7_000_000
    assert peak < (MAX_HEADER_BYTES if small else 6 * MAX_HEADER_BYTES)


def test_the_target_gets_a_file_while_it_comes() -> None:
    """In pieces, none larger than what was fed."""
    written: list[int] = []
    scanner = PartScanner("1", lambda data: written.append(len(data)))
    scanner.feed(FILE + b"base64\r\n\r\n")
    assert (scanner.found, written) == (True, [])
    for count in range(1, 10):
        scanner.feed(LINE * 5_000)
        assert sum(written) > 57 * 5_000 * count - 3 * len(LINE)
        assert max(written) <= 64 * 1024
    assert scanner.attachments == ()


def test_what_the_target_raises_passes_through() -> None:
    """A full disk ends the reading."""

    def full(_: bytes) -> None:
        raise OSError("no space left")

    scanner = PartScanner("1", full)
    with pytest.raises(OSError, match="no space"):
        scanner.feed(FILE + b"base64\r\n\r\n" + LINE)


def test_a_part_that_is_not_there() -> None:
    """A multipart is none: only what an Attachment or a text can be."""
    raw = MIXED + b"preamble\n--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nx\n--c--\n--b--"
    for number in ("1", "2", "", "1.2"):
        scanner, written = scanned([raw], number)
        assert (scanner.found, written) == (False, b"")
    scanner, written = scanned([raw], "1.1")
    assert (scanner.found, written) == (True, b"x")


@pytest.mark.parametrize(
    ("raw", "part"), [(b"Subject: a\n\ntext", "1"), (MIXED + b"--b\n\ntext\n--b--", "1")]
)
def test_a_text_can_be_asked_for_too(raw: bytes, part: str) -> None:
    """Though it is no attachment."""
    scanner, written = scanned([raw], part)
    assert (scanner.found, written, scanner.attachments) == (True, b"text", ())


def test_the_target_is_told_of_an_empty_part() -> None:
    """At its end, before the next part begins."""
    written: list[bytes] = []
    scanner = PartScanner("1", written.append)
    scanner.feed(MIXED + b"--b\n\n--b\n\n")
    assert (scanner.found, written) == (True, [b""])
