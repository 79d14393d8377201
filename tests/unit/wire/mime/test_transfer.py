"""Content-Transfer-Encoding undone, in pieces of any size."""

from __future__ import annotations

import base64
import binascii
import itertools
import quopri
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn.wire.mime import transfer
from airflow_email_conn.wire.mime.transfer import TransferDecoder, decode

ENCODINGS = ["base64", "quoted-printable", "x-uuencode", "7bit", "8bit", "binary", "", "rot13"]
ENCODED = (
    st.binary()
    | st.binary().map(base64.encodebytes)
    | st.binary().map(quopri.encodestring)
    | st.text(alphabet="=4aZ \t\r\n-+/", max_size=60).map(str.encode)
    | st.text(alphabet="begind 64x#0V%T`\r\n", max_size=60).map(lambda text: b"begin 644 x\n" + text.encode())
)


def in_pieces(data: bytes, encoding: str, cuts: list[int]) -> bytes:
    """The decoded bytes of data that comes cut at these places."""
    decoder = TransferDecoder(encoding)
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    pieces = [decoder.feed(data[a:b]) for a, b in itertools.pairwise(places)]
    return b"".join([*pieces, decoder.finish()])


@given(ENCODED, st.sampled_from(ENCODINGS), st.lists(st.integers(0, 10_000), max_size=8))
def test_cuts_do_not_matter(data: bytes, encoding: str, cuts: list[int]) -> None:
    """However the network cuts it, the file is the same; and nothing raises."""
    whole = decode(data, encoding)
    assert in_pieces(data, encoding, cuts) == whole
    assert in_pieces(data, encoding, list(range(len(data)))) == whole


@pytest.mark.parametrize(
    ("encoding", "start", "run", "end"),
    [
        ("quoted-printable", b"a", b" \t", b"\r\nb"),
        ("quoted-printable", b"a=", b" ", b"\r\nb= "),
        ("quoted-printable", b"a", b"\r", b"=41"),
        ("x-uuencode", b"", b"x", b"\nbegin 644 f\n#0V%T\nend\n"),
        ("x-uuencode", b"begin 644 ", b"x", b"\n#0V%T\nend\n"),
        ("x-uuencode", b"begin 644 f\n#0V%T", b"x\r", b"\n#0V%T\nend"),
        ("x-uuencode", b"begin 644 f\n#0V%T\nend", b" ", b"\n#0V%T\n"),
        ("base64", b"QUJD", b"QU JD", b"\n=="),
    ],
)
@pytest.mark.parametrize("size", [999, 64 * 1024, 2 * transfer.CHUNK, 300_000])
def test_endless_lines_are_not_held(encoding: str, start: bytes, run: bytes, end: bytes, size: int) -> None:
    """Wherever a decoder waits for the end of something, it waits for a bounded number of bytes."""
    data = start + run * (size // len(run)) + end
    whole = decode(data, encoding)
    assert in_pieces(data, encoding, [len(start) + 1, len(data) - len(end)]) == whole
    assert in_pieces(data, encoding, list(range(0, len(data), 501))) == whole
    assert in_pieces(data, encoding, list(range(0, len(data), 70_001))) == whole
    decoder = TransferDecoder(encoding)
    decoder.feed(start)
    tracemalloc.start()
    for _ in range(100):
        decoder.feed(run * (40_000 // len(run)))
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 4 * transfer.CHUNK  # of 4 MB


@given(st.binary())
def test_round_trips(data: bytes) -> None:
    """What the standard library encodes comes back."""
    assert decode(base64.encodebytes(data), "base64") == data
    assert decode(base64.encodebytes(data).replace(b"\n", b"\r\n"), "BASE64 ") == data
    assert decode(base64.b64encode(data), "base64") == data
    text = data.replace(b"\r", b"")  # line ends are the mail's, not the file's
    assert decode(quopri.encodestring(text), "quoted-printable") == text
    lines = [binascii.b2a_uu(data[at : at + 45]) for at in range(0, len(data), 45)]
    assert decode(b"begin 644 x\n" + b"".join(lines) + b"`\nend\n", "x-uuencode") == data


def test_long_data_is_fed_in_chunks() -> None:
    """A whole file in one piece, with lines and without."""
    data = bytes(range(256)) * 2_000
    assert decode(base64.encodebytes(data), "base64") == data
    assert decode(base64.b64encode(data), "base64") == data


@pytest.mark.parametrize(
    ("encoded", "decoded"),
    [
        (b"", b""),
        (b"SGVsbG8=", b"Hello"),
        (b"SGVsbG8", b"Hello"),
        (b"SGVsbG8====", b"Hello"),
        (b"SGVs bG8*", b"Hello"),
        (b"SGV\nsbG8=\n", b"Hello"),
        (b"SGVsbG8=IEJvYg==", b"Hello Bob"),
        (b"SGVsbG8=\r\nIEJvYg==\r\n", b"Hello Bob"),
        (b"SGVsb", b"Hel"),
        (b"A=\nSGVs\n", b"Hel"),
        (b"=", b""),
    ],
)
def test_base64(encoded: bytes, decoded: bytes) -> None:
    """Broken padding, strange characters, several encodings one after the other."""
    assert decode(encoded, "base64") == decoded


@pytest.mark.parametrize(
    ("encoded", "decoded"),
    [
        (b"a=3Db=c3=A9", b"a=b\xc3\xa9"),
        (b"long =\r\nline", b"long line"),
        (b"long =\nline", b"long line"),
        (b"long = \t\r\nline", b"long line"),
        (b"space at the end  \r\nx", b"space at the end\r\nx"),
        (b"tab\t\nx", b"tab\nx"),
        (b"kept=20\nx ", b"kept \nx "),
        (b"100=ZZ =4 ==41", b"100=ZZ =4 =A"),
        (b"=\rx\ny", b"=\rx\ny"),
        (b"last=", b"last"),
        (b"last= \t", b"last"),
        (b"last=\n ", b"last "),
        (b"last=4", b"last=4"),
        (b"=", b""),
    ],
)
def test_quoted_printable(encoded: bytes, decoded: bytes) -> None:
    """Soft line breaks, padding of the way, broken sequences kept."""
    assert decode(encoded, "quoted-printable") == decoded
    assert in_pieces(encoded, "quoted-printable", list(range(len(encoded)))) == decoded


@pytest.mark.parametrize(
    ("encoded", "decoded"),
    [
        (b"begin 644 cat.txt\n#0V%T\n`\nend\n", b"Cat"),
        (b"\nbegin 644 cat.txt\r\n#0V%T\r\n`\r\nend", b"Cat"),
        (b"begin 644 cat.txt\n#0V%T", b"Cat"),
        (b"begin 644 cat.txt\n#0V%Tx\n`\nend\nmore\n", b"Cat"),
        (b"begin 644 cat.txt\n#\xff\xff\xff\xff\n" + b"x" * 2000 + b"\n#0V%T\nend\nx", b"Cat"),
        (b"begin 644 x", b""),
        (b"no beginning\nat all", b"no beginning\nat all"),
        (b"x" * 70_000 + b"\n" + b"y" * 10 + b"\nz", b"x" * 70_000 + b"\n" + b"y" * 10 + b"\nz"),
    ],
)
def test_uuencode(encoded: bytes, decoded: bytes) -> None:
    """What stands around it, lines that are broken, and data that is none."""
    assert decode(encoded, "x-uuencode") == decoded
    assert in_pieces(encoded, "x-uue", [5, 19, 30, 69_000, 70_005]) == decoded


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("", "7bit"),
        ("BASE64", "base64"),
        ("base64;", "base64"),
        (" quoted printable", "quoted-printable"),
        ("base-64", "base64"),
        ("uuencode", "x-uuencode"),
        ("8bit (comment)", "8bit"),
    ],
)
def test_spellings(written: str, meant: str) -> None:
    """What senders write behind and into the name."""
    assert transfer.normalise(written) == meant
