"""The README says what the code does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_email_conn.model.fields import FIELDS
from tests import docs

if TYPE_CHECKING:
    from pathlib import Path


def test_readme_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    """The table in the README is the one that FIELDS gives."""
    if not docs.README.exists():
        pytest.skip("no README.md yet")
    assert docs.main(["--check"]) == 0, capsys.readouterr().out


def test_table_has_every_field() -> None:
    """Below each section's title, which stands there once: one row each, with as many cells as the head."""
    lines = docs.connection_tables().splitlines()
    sections = dict.fromkeys(field.section for field in FIELDS)
    assert [line for line in lines if line.startswith("**")] == [f"**{section}**" for section in sections]
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == len(FIELDS) + 2 * len(sections)
    assert {row.replace("\\|", "").count("|") for row in rows} == {6}
    assert rows[0] == "| label | key | default | macro | what to enter |"


def test_table_is_replaced_between_its_markers() -> None:
    """Writing twice changes nothing; markers that are missing or doubled are an error."""
    once = docs.with_table(f"a\n{docs.START}\nSTALE\n{docs.END}\nb\n")
    assert docs.with_table(once) == once
    assert "STALE" not in once
    assert once.startswith("a\n")
    assert once.endswith("\nb\n")
    for text in ("", docs.START, docs.END + docs.START, once + once):
        with pytest.raises(ValueError, match="each once"):
            docs.with_table(text)


def test_missing_readme(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A clear message instead of a traceback; then check fails, write mends, check passes."""
    monkeypatch.setattr(docs, "README", tmp_path / "README.md")
    assert docs.main(["--check"]) == 1
    assert "does not exist" in capsys.readouterr().out
    docs.README.write_text(f"{docs.START}\n{docs.END}")
    assert [docs.main([how]) for how in ("--check", "--write", "--check", "--help")] == [1, 0, 0, 2]
