"""Bytes to text by labels that are wrong, invented or hostile."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn.wire.mime import charsets


@pytest.mark.parametrize(
    ("label", "text", "codec"),
    [
        ("cp-850", "é", "cp850"),
        ("utf-8 junk", "ü", "utf-8"),
        ("UTF_8;", "ü", "utf-8"),
        ('"utf-8"', "ü", "utf-8"),
        ("charset=utf-8", "ü", "utf-8"),
        ("utf8mb4", "ü", "utf-8"),
        ("ks_c_5601-1987", "똠", "cp949"),
        ("gb2312", "镕", "gb18030"),
        ("iso-8859-8-i", "ש", "iso-8859-8"),
        ("windows-874", "ก", "cp874"),
        ("win-1251", "Ж", "cp1251"),
        ("cp1252", "€", "cp1252"),
        ("ISO-8859-1", "€", "cp1252"),
        ("unicode-1-1-utf-7", "ü+", "utf-7"),
        ("x-sjis", "①", "cp932"),
        ("x-mac-cyrillic", "Ж", "mac-cyrillic"),
        ("x-euc-jp", "あ", "euc_jp"),
        ("ansi_x3.110", "e", "ascii"),
        ("ANSI_X3.4-1968", "e", "ascii"),
        ("iso-2022-jp", "日本", "iso2022_jp"),
        ("koi8-r", "Ж", "koi8-r"),
        ("macintosh", "é", "mac-roman"),
    ],
)
def test_a_label_is_read_as_its_sender_means_it(label: str, text: str, codec: str) -> None:
    """Spellings and supersets seen in real mail."""
    assert charsets.decode_checked(text.encode(codec), label) == (text, False)


@pytest.mark.parametrize(
    "label", ["rot13", "zip", "hex", "idna", "punycode", "undefined", "unicode_escape", "mbcs"]
)
def test_codecs_that_are_no_charset_are_not_used(label: str) -> None:
    """They would decompress, fail or run for long."""
    assert charsets.decode_checked(b"\\u0041 ok", label) == ("\\u0041 ok", False)


@pytest.mark.parametrize(
    ("data", "label", "text"),
    [
        ("Grüße".encode(), "x-unknown", "Grüße"),
        ("Grüße".encode("latin-1"), "x-unknown", "Grüße"),
        ("Grüße".encode("latin-1"), "utf-8", "Grüße"),
        ("Grüße".encode("latin-1"), "", "Grüße"),
        ("Grüße".encode(), "us-ascii", "Grüße"),
        ("日本語".encode()[:-1], "utf-8", "日本\ufffd"),
        (b"\x81", "x-unknown", "\ufffd"),
    ],
)
def test_a_label_that_does_not_fit_is_guessed_and_told(data: bytes, label: str, text: str) -> None:
    """UTF-8 where it is, the label where most of it fits, else windows-1252."""
    assert charsets.decode_checked(data, label) == (text, True)


def test_no_label_leaves_ascii_alone() -> None:
    """An absent or unknown charset is no defect where it makes no difference."""
    assert charsets.decode_checked(b"plain", "") == ("plain", False)


def test_utf_7_gives_no_lone_surrogates() -> None:
    """They would make the text impossible to encode."""
    charsets.decode(b"+2AA-", "utf-7").encode()


def test_invented_labels_are_not_remembered_by_python() -> None:
    """`codecs` keeps every name that it looked up, so a flood of names would be a leak."""
    charsets.decode(b"x", "x-never-seen-before")
    with pytest.raises(LookupError):
        codecs.lookup("x-never-seen-before")
    assert charsets.decode(b"\xff", "x-never-seen-before") == "ÿ"


@given(
    st.binary(), st.text() | st.sampled_from(["utf-8", "utf-7", "utf-16", "hz", "iso-2022-kr", "big5", "gbk"])
)
def test_any_bytes_with_any_label_give_text(data: bytes, label: str) -> None:
    """Never raises, and the text can be written out again."""
    charsets.decode(data, label).encode()
