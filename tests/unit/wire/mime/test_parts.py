"""Mails cut into their parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn.wire import mime
from airflow_email_conn.wire.mime import cutter, headers
from airflow_email_conn.wire.mime.parts import scan_parts
from airflow_email_conn.wire.mime.structure import Part, leaves

MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"


def outline(root: Part) -> list[tuple[str, str]]:
    """Numbers and types of the leaves."""
    return [(part.number, part.content_type) for part, _ in leaves(root)]


def bodies(raw: bytes) -> list[bytes]:
    """The encoded bodies of the leaves."""
    return [raw[part.start : part.end] for part, _ in leaves(scan_parts(raw).root)]


def test_numbers_are_those_of_imap() -> None:
    """RFC 9051 6.4.5.1: a multipart root has none, everything else counts from 1."""
    raw = (
        MIXED
        + b"--b\n\na\n--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nx\n--c\n\ny\n--c--\n"
        + b"--b\n\nz\n--b--"
    )
    root = scan_parts(raw).root
    assert (root.number, outline(root)) == ("", [(n, "text/plain") for n in ("1", "2.1", "2.2", "3")])
    assert scan_parts(b"\n\nx").root.number == "1"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"--b\r\n\r\na\r\n\r\n--b\r\n\r\nc\r\n--b--\r\n", [b"a\r\n", b"c"]),
        (b"--b\n\na\n--b\n\n--b--\n", [b"a", b""]),
        (b"preamble\n--b  \n\na\n--b--  \nepilogue\n--b\n\nnot a part\n", [b"a"]),
        (b"--b\nX: y\n--b\n\nc\n--b--", [b"", b"c"]),
        (b"--b\n--b\n\nc\n--b--", [b"", b"c"]),
        (b"--b\nX: y\n--other\nZ: z\n\nc\n--b--", [b"c"]),
        (b"--b\n\n--bb\n--b-\n --b\n--b--", [b"--bb\n--b-\n --b"]),
        (b"--b\n\nopen end\n", [b"open end\n"]),
        (b"--b", [b""]),
        (b"--b\nX: y", [b""]),
        (b"--b\n\nx\n--" + b"b" * 2000 + b"\n--b--", [b"x\n--" + b"b" * 2000]),
    ],
)
def test_bodies(raw: bytes, expected: list[bytes]) -> None:
    """The line end before a delimiter is the delimiter's; headers may lack their empty line."""
    assert bodies(MIXED + raw) == expected


def test_a_boundary_in_pieces_and_one_with_spaces() -> None:
    """RFC 2231 continuations; spaces in quotes; raw 8-bit."""
    for value in (b"boundary*0=a; boundary*1=b", b'boundary="ab "', b"Boundary=ab"):
        raw = b"Content-Type: multipart/mixed; " + value + b"\n\n--ab\n\nx\n--ab--"
        assert bodies(raw) == [b"x"]
    assert bodies(b"Content-Type: multipart/mixed; boundary=\xfc\n\n--\xfc\n\nx\n--\xfc--") == [b"x"]


@pytest.mark.parametrize(
    ("raw", "defect"),
    [
        (MIXED + b"--b\n\nx", "a multipart is not closed: its last part reaches to the end"),
        (MIXED + b"x", "a multipart whose boundary never comes: taken as text/plain"),
        (b"Content-Type: multipart/mixed\n\nx", "a multipart without a boundary: taken as text/plain"),
        (b"Content-Type: text\n\nx", "a Content-Type cannot be understood: taken as text/plain"),
        (b"From a b\nA: b\n\nx", "something stood before the header, such as an mbox line: passed over"),
        (b"\r\n\r\nA: b\n\nx", "something stood before the header, such as an mbox line: passed over"),
        (b"A: b\nx", "no empty line between header and body: the body begins where no field is"),
    ],
)
def test_defects(raw: bytes, defect: str) -> None:
    """What was wrong is told, and the text is there all the same."""
    scanned = scan_parts(raw)
    assert defect in scanned.defects
    assert outline(scanned.root) == [("1", "text/plain")]
    assert bodies(raw) == [b"x"]


def test_a_multipart_without_parts_is_text() -> None:
    """Whatever it is called: whether parts come is known at its end only, too late to give out a file."""
    head = b"Content-Disposition: attachment; filename=a.pdf\nContent-Transfer-Encoding: base64\n"
    raw = head + MIXED + b"UVVK"
    part = scan_parts(raw).root
    assert (part.filename, part.content_type, part.encoding) == ("", "text/plain", "base64")
    assert mime.parse(raw).text == "QUJ"
    assert mime.parse(raw).attachments == ()


def test_limits_are_told_and_lose_nothing() -> None:
    """Depth, number of parts, bytes of a header: what is beyond stays in the last part."""
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (i, i) for i in range(2_000))
    scanned = scan_parts(deep)
    assert outline(scanned.root) == [(".".join(["1"] * cutter.MAX_DEPTH), "multipart/mixed")]
    assert any("nested deeper" in defect for defect in scanned.defects)
    scanned = scan_parts(MIXED + b"--b\n\n" * 20_000)
    assert len(scanned.root.children) == cutter.MAX_PARTS - 1
    assert any("more than" in defect for defect in scanned.defects)
    long = b"A: " + b"b" * headers.MAX_HEADER_BYTES
    assert bodies(long + b"\n\nx")[0].endswith(b"\n\nx")
    assert any("header is longer" in defect for defect in scan_parts(long + b"\n\nx").defects)
    assert bodies(MIXED + b"--b\n" + long)[0] == long[headers.MAX_HEADER_BYTES :]


def test_a_mail_in_the_mail_is_one_part() -> None:
    """Its subject is known, its parts are its own; without one the name must come from elsewhere."""
    inner = b"Subject: inner\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\nx\n--i--"
    scanned = scan_parts(MIXED + b"--b\nContent-Type: message/rfc822\n\n" + inner + b"\n--b--")
    assert outline(scanned.root) == [("1", "message/rfc822")]
    assert scanned.root.children[0].inner_subject == "inner"
    for rest in (b"\nno subject", b"Subject: late", b"Content-Transfer-Encoding: base64\n\nU3ViamVjdDog"):
        part = scan_parts(b"Content-Type: message/rfc822\n" + rest).root
        assert part.inner_subject == ""


@given(st.binary() | st.text(alphabet="-b\r\n:a ", max_size=80).map(lambda text: MIXED + text.encode()))
def test_any_bytes_give_a_tree_within_the_mail(raw: bytes) -> None:
    """Never raises; bodies lie in order, within the mail, without overlap."""
    at = 0
    for part, _ in leaves(scan_parts(raw).root):
        assert at <= part.start <= part.end <= len(raw)
        assert part.size == part.end - part.start
        at = part.end


def test_a_field_called_from_with_space_behind_it_is_no_mbox_line() -> None:
    """The obsolete syntax of RFC 5322 4.5 allows space before the colon."""
    scanned = scan_parts(b"From  : Ann <ann@acme.com>\r\n\r\nx")
    assert scanned.fields == [("From", b"Ann <ann@acme.com>")]
    assert scanned.defects == []
