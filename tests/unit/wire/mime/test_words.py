"""Encoded words as senders write them."""

from __future__ import annotations

from email.header import Header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn.wire.mime import words

LINE = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=200)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"plain", "plain"),
        (b"", ""),
        (b"=?utf-8?q?caf=C3=A9?=", "café"),
        (b"=?UTF-8?B?Y2Fmw6k=?=", "café"),
        (b"=?utf-8?B?Y2Fmw6k?=", "café"),
        (b"=?utf-8?B?Y2Fm!w6k===?= x", "café x"),
        (b"=?utf-8?B?YWJjZ?=", "abc"),
        (b"=?utf-8?Q?caf=C3?= =?utf-8?Q?=A9?=", "café"),
        (b"=?utf-8?Q?a?= \t =?utf-8?Q?b?=", "ab"),
        (b"=?utf-8?Q?a?==?utf-8?Q?b?=", "ab"),
        (b"=?utf-8?Q?a?= b =?utf-8?Q?c?=", "a b c"),
        (b"Re: =?iso-8859-1?q?=FC?= =?utf-8?q?=C3=BC?=", "Re: üü"),
        (b"=?utf-8?q?with space?=", "with space"),
        (b"=?utf-8?q?what??=", "what?"),
        (b'"=?utf-8?q?quoted?="', '"quoted"'),
        (b"=?utf-8*en?q?language?=", "language"),
        (b"=?x-martian?q?=C3=BC?=", "ü"),
        (b"=?utf-8?q?broken =?utf-8?q?whole?=", "=?utf-8?q?broken whole"),
        (b"=?utf-8?x?no?=", "=?utf-8?x?no?="),
        (b"=?utf-8?q?never ends", "=?utf-8?q?never ends"),
        (b"=?utf-8?q?low=c3=bc=zz?=", "lowü=zz"),
        (b"=?utf-8?q??=", ""),
        ("größe".encode(), "größe"),
        ("größe".encode("latin-1"), "größe"),
        (b"=?utf-8?q?line=0D=0Aend=00?=", "line  end "),
        (b"=?iso-2022-jp?B?GyRCJUYlOSVIGyhC?=", "テスト"),
    ],
)
def test_decode(value: bytes, text: str) -> None:
    """The text, on one line."""
    assert words.decode(value) == text


@given(LINE)
def test_what_the_standard_library_encodes_comes_back(text: str) -> None:
    """`email.header.Header` folds and chooses between Q and B."""
    text = " ".join(text.split())
    encoded = Header(text, "utf-8", maxlinelen=60).encode().replace("\n", "")
    assert words.decode(encoded.encode()) == text


@given(st.binary() | st.text(alphabet="=?utf8qb_ \tA-", max_size=80).map(str.encode))
def test_any_bytes_give_one_line(value: bytes) -> None:
    """Never raises; nothing in the result can break a line."""
    assert not set(words.decode(value)) & set("\0\r\n\x85\u2028\u2029")


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029])
def test_a_control_character_is_a_space(code: int) -> None:
    """Raw in ASCII and in UTF-8, and in words."""
    control = chr(code).encode()
    escaped = "".join(f"={byte:02X}" for byte in control).encode()
    assert words.decode(b"a%bb" % control) == "a b"
    assert words.decode("ü".encode() + b"%bb" % control) == "ü b"
    assert words.decode(b"=?utf-8?q?a%bb?=" % escaped) == "a b"
    assert words.clean(f"a{chr(code)}b") == "a b"


def test_a_long_subject_is_decoded_whole() -> None:
    """A megabyte of words: linear, or this test would hit the time limit of the suite."""
    assert words.decode(b" ".join([b"=?utf-8?q?=C3=BC?="] * 50_000)) == "ü" * 50_000
    assert words.decode(b"=?a?q?x" * 100_000) == "=?a?q?x" * 100_000
