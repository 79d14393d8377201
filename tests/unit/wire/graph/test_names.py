"""Names of folders: paths of display names that may hold anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn.errors import QueryError
from airflow_email_conn.wire.graph.names import joined, split, well_known

NAMES = st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), min_size=1, max_size=9)


@pytest.mark.parametrize(
    ("folder", "names"),
    [
        ("Done", ("Done",)),
        ("Work/2026", ("Work", "2026")),
        ("Invoices//2026", ("Invoices/2026",)),
        ("a///b", ("a/", "b")),
        ("//a", ("/a",)),
        ("a//", ("a/",)),
        ("////", ("//",)),
        ("R&D '50%' \\x", ("R&D '50%' \\x",)),
    ],
)
def test_paths(folder: str, names: tuple[str, ...]) -> None:
    """A slash divides, two are one of a name."""
    assert split(folder) == names
    assert joined(names) == folder


@pytest.mark.parametrize(
    "folder", ["", "/", "/a", "a/", "a///", "a////b/", "a\0b", "a\rb", "a\nb", "x/" * 400 + "x", "x" * 10_001]
)
def test_impossible_paths(folder: str) -> None:
    """An empty name, what could be another line, or more than Exchange has."""
    with pytest.raises(QueryError, match="folder"):
        split(folder)


@given(st.lists(NAMES.filter(lambda name: not name.startswith("/")), min_size=1, max_size=4))
def test_any_names_come_back(names: list[str]) -> None:
    """Listed, a folder is found by what it was listed as."""
    assert split(joined(names)) == tuple(names)


def test_special_uses() -> None:
    """Graph's own names for them, in any case of letters."""
    assert well_known("\\archive") == "archive"
    assert well_known("\\Sent") == "sentitems"
    assert well_known("\\All") == well_known("Archive") == ""
