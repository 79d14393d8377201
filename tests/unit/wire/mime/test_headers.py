"""Header blocks cut into fields."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn.wire.mime import headers

ODD = ["header lines that are no field were passed over"]


@pytest.mark.parametrize(
    ("block", "fields", "defects"),
    [
        (b"", [], []),
        (b"A: 1\r\nB: 2\r\n\r\n", [("A", b"1"), ("B", b"2")], []),
        (b"A: 1\nB:2", [("A", b"1"), ("B", b"2")], []),
        (b"A: 1\rB: 2\r", [("A", b"1"), ("B", b"2")], []),
        (b"A: 1\r\n  more\r\n\tand more\r\nB: 2", [("A", b"1  more\tand more"), ("B", b"2")], []),
        (b"A :1\nB:\n", [("A", b"1"), ("B", b"")], []),
        (b" continues nothing\nA: 1\n", [("A", b"1")], ODD),
        (b"From ada Tue Mar  3 08:15:00 2026\nA: 1\n", [("A", b"1")], ODD),
        (b"A: 1\nno colon here\nB: 2\n", [("A", b"1"), ("B", b"2")], ODD),
        (b"A: 1\nlast", [("A", b"1")], ODD),
        (b"A: bare\rcr\0nul\n", [("A", b"bare cr nul")], []),
        ("Ä: 1\n".encode(), [("\ufffd\ufffd", b"1")], []),
    ],
)
def test_split(block: bytes, fields: list[tuple[str, bytes]], defects: list[str]) -> None:
    """Fields in order, unfolded; what is no field is passed over and told."""
    assert headers.split(block) == (fields, defects)


def test_a_bare_cr_never_makes_a_header() -> None:
    """Or a subject could smuggle in a From."""
    assert headers.split(b"Subject: a\rFrom: evil@example.org\n")[0] == [
        ("Subject", b"a From: evil@example.org")
    ]


def test_limits_are_told() -> None:
    """Too many fields and too many bytes."""
    fields, defects = headers.split(b"a:b\n" * (headers.MAX_FIELDS + 1))
    assert len(fields) == headers.MAX_FIELDS
    assert defects == [f"more than {headers.MAX_FIELDS} header fields: the rest was not read"]
    assert headers.split(b"a:b\n" * headers.MAX_FIELDS + b"\n")[1] == []
    _, defects = headers.split(b"a:" + b"b" * headers.MAX_HEADER_BYTES)
    assert defects == [f"the header is longer than {headers.MAX_HEADER_BYTES} bytes: the rest was not read"]


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"A: 1\r\n\r\nbody", (6, 8)),
        (b"A: 1\n\nbody", (5, 6)),
        (b"\nbody", (0, 1)),
        (b"\r\nbody", (0, 2)),
        (b"A: 1\n", None),
    ],
)
def test_end_of_headers(raw: bytes, found: tuple[int, int] | None) -> None:
    """Either line end; an empty header; no end at all."""
    assert headers.end_of_headers(raw, 0, len(raw)) == found


@given(st.binary() | st.text(alphabet="ab: \r\n\t\0", max_size=60).map(str.encode))
def test_any_bytes_give_clean_fields(block: bytes) -> None:
    """Never raises; no value holds what could end a line."""
    for _, value in headers.split(block)[0]:
        assert not set(value) & set(b"\0\r\n")
