"""File names from strangers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn.model.filename import mail_folder_name, safe_file_name, unique


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("report.csv", "report.csv"),
        ("Rechnung März.pdf", "Rechnung März.pdf"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("C:\\temp\\x.txt", "x.txt"),
        ("\\\\server\\share\\x", "x"),
        ("a/../../b", "b"),
        ("/", "attachment"),
        ("", "attachment"),
        (".", "attachment"),
        ("..", "attachment"),
        ("...", "attachment"),
        (".bashrc", "_bashrc"),
        ("a\0b\nc.txt", "a b c.txt"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("console.txt", "console.txt"),
        ("x. . ", "x"),
        ("gpj\u202egnp.exe", "gpjgnp.exe"),
        ('<a>"b"|?*.txt', "_a__b____.txt"),
        ("e\u0301.txt", "é.txt"),
        ("a:b", "b"),
        ("\ud800.txt", "_.txt"),
    ],
)
def test_safe_file_names(name: str, safe: str) -> None:
    """What a sender may write, and what lies on the disk."""
    assert safe_file_name(name) == safe


@given(st.text())
def test_any_name_is_safe(name: str) -> None:
    """One component, short, never special, and stable."""
    safe = safe_file_name(name)
    assert safe
    assert len(safe.encode()) <= 150
    assert not set("/\\:\0\r\n") & set(safe)
    assert not safe.startswith(".")
    assert safe_file_name(safe) == safe


def test_long_names_keep_their_extension() -> None:
    """Cut between characters, in front of the dot."""
    safe = safe_file_name("ä" * 300 + ".xlsx")
    assert safe.endswith("ä.xlsx")
    assert len(safe.encode()) <= 150


def test_unique() -> None:
    """Also where the file system ignores case."""
    taken: set[str] = set()
    names = [unique(name, taken) for name in ("a.csv", "A.csv", "a.csv", "a", "a", "a-2.csv")]
    assert names == ["a.csv", "A-2.csv", "a-3.csv", "a", "a-2", "a-2-2.csv"]


@pytest.mark.parametrize(
    ("message_id", "folder"),
    [
        ("<CAF+x=1_2@mail.example>", "CAF+x=1_2@mail.example"),
        ("plain@x", "plain@x"),
        ("<../../x@y>", None),
        ("<.hidden@x>", None),
        ("<a b@c>", None),
        ("<ü@x>", None),
        ("<" + "x" * 200 + "@y>", None),
        ("<nul.x>", None),
        ("", ""),
        ("<>", ""),
        (None, ""),
    ],
)
def test_mail_folders(message_id: str | None, folder: str | None) -> None:
    """The Message-ID where it is safe, else a digest that is always the same."""
    name = mail_folder_name(message_id)
    if folder is not None:
        assert name == folder
    else:
        assert name.startswith("id-")
        assert safe_file_name(name) == name
        assert name == mail_folder_name(message_id)
