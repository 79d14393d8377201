"""Parameters of Content-Type and Content-Disposition, above all file names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn.wire.mime import parameters
from airflow_email_conn.wire.mime.parameters import parse_parameters

ATOM = st.characters(min_codepoint=0x21, exclude_categories=["Cs", "Z"], exclude_characters='"\\;=')


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b'attachment; filename="a.txt"', "a.txt"),
        (b"attachment; filename=a.txt", "a.txt"),
        (b"attachment;filename = a.txt ; x=y", "a.txt"),
        (b"attachment; FileName=my file.txt; x=y", "my file.txt"),
        (b'attachment; filename="a;b.txt"', "a;b.txt"),
        (b'attachment; filename="a \\"b\\".txt"', 'a "b".txt'),
        (b'attachment; filename="C:\\temp\\x.txt"', "C:\\temp\\x.txt"),
        (b'attachment; filename="never closed.txt', "never closed.txt"),
        (b'attachment; filename=""', ""),
        (b"attachment; filename*=utf-8''%e2%82%ac.txt", "€.txt"),
        (b"attachment; filename*=UTF-8'de'%E2%82%AC.txt", "€.txt"),
        (b"attachment; filename*=\"utf-8''%e2%82%ac.txt\"", "€.txt"),
        (b"attachment; filename*=iso-8859-1''%FC.txt", "ü.txt"),
        (b"attachment; filename*=x-martian''%C3%BC.txt", "ü.txt"),
        (b"attachment; filename*=%C3%BC.txt", "ü.txt"),
        (b"attachment; filename*=utf-8''100%.txt", "100%.txt"),
        (b"attachment; filename*=utf-8''a%00b%0D%0A.txt", "a b  .txt"),
        (b"attachment; filename*0=long; filename*1=er.txt", "longer.txt"),
        (b"attachment; filename*1=er.txt; filename*0=long", "longer.txt"),
        (b"attachment; filename*0*=utf-8''%C3; filename*1*=%BC; filename*2=.txt", "ü.txt"),
        (b'attachment; filename*0="=?utf-8?q?=C3=BC"; filename*1="?=.txt"', "ü.txt"),
        (b"attachment; filename=plain.txt; filename*=utf-8''%C3%BC.txt", "ü.txt"),
        (b"attachment; filename*=utf-8''%C3%BC.txt; filename=plain.txt", "ü.txt"),
        (b"attachment; filename=first.txt; filename=second.txt", "first.txt"),
        (b'attachment; filename="=?utf-8?q?=C3=BC=2Etxt?="', "ü.txt"),
        (b'attachment; filename="=?utf-8?b?w7w=?= and =?latin-1?q?=FC?=.txt"', "ü and ü.txt"),
        (b"attachment; filename==?utf-8?q?=C3=BC=2Etxt?=", "ü.txt"),
        ('attachment; filename="ü.txt"'.encode(), "ü.txt"),
        ('attachment; filename="ü.txt"'.encode("latin-1"), "ü.txt"),
        (b'attachment; filename="my%20file.txt"', "my%20file.txt"),
        (b"filename=a.txt", "a.txt"),
        (b"attachment filename=a.txt", "a.txt"),
        (b"attachment; junk; ;; filename=a.txt", "a.txt"),
        (b'attachment; x="y"z; filename=a.txt', "a.txt"),
        (b"attachment; *0=x; filename=a.txt", "a.txt"),
    ],
)
def test_file_names(value: bytes, name: str) -> None:
    """RFC 2231, RFC 2047 where it is forbidden, raw 8-bit, and plain mistakes."""
    assert parse_parameters(value)[1]["filename"] == name


def test_the_value_is_in_lower_case_and_may_be_missing() -> None:
    """And an empty header has nothing."""
    assert parse_parameters(b"Text/HTML; Charset=UTF-8") == ("text/html", {"charset": "UTF-8"})
    assert parse_parameters(b"filename=x") == ("", {"filename": "x"})
    assert parse_parameters(b"") == ("", {})


def test_pairs_of_a_server_are_decoded_alike() -> None:
    """An IMAP BODYSTRUCTURE gives names and values as they are in the header."""
    pairs = [(b"NAME*0*", b"utf-8''%C3%BC"), (b"NAME*1", b".txt"), (b"Charset", b"utf-8")]
    assert parameters.decode_parameters(pairs) == {"name": "ü.txt", "charset": "utf-8"}


def test_no_more_than_the_limit() -> None:
    """20,000 parameters take the standard library seconds."""
    value = b"text/plain" + b"".join(b"; p%d=x" % i for i in range(20_000))
    assert len(parse_parameters(value)[1]) == parameters.MAX_PARAMETERS


@given(
    st.text(ATOM, min_size=1),
    st.text(ATOM, min_size=1),
    st.text(ATOM, min_size=1)
    | st.text(st.characters(codec="utf-8", exclude_characters='"\\')).map('"{}"'.format),
)
def test_one_parameter_is_read_as_among_many(value: str, name: str, text: str) -> None:
    """What most headers hold is read a shorter way."""
    header = f"{value}; {name}={text}".encode()
    assert parameters.split_parameters(header) == parameters.split_parameters(header + b" ;")
    assert parameters.split_parameters(value.encode()) == parameters.split_parameters(value.encode() + b";")


@given(st.binary() | st.text(alphabet="ab;=*0'%\" \\?", max_size=60).map(str.encode))
def test_any_bytes_give_clean_values(value: bytes) -> None:
    """Never raises; no value can end a line."""
    for text in parse_parameters(value)[1].values():
        assert not set(text) & set("\0\r\n")
