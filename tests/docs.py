"""The generated part of the README: `python -m tests.docs --check` or `--write`."""

from __future__ import annotations

import sys
from pathlib import Path

from airflow_email_conn.model.fields import FIELDS, Field

__all__ = ["connection_tables", "main", "with_table"]

README = Path(__file__).resolve().parent.parent / "README.md"
START, END = "<!-- connection-table:start -->", "<!-- connection-table:end -->"


def connection_tables() -> str:
    """The fields of the connection as Markdown tables, one for each section of the form."""
    sections = dict.fromkeys(field.section for field in FIELDS)
    return "\n\n".join(_table(section) for section in sections)


def _table(section: str) -> str:
    """A section's title and its fields."""
    lines = [
        f"**{section}**",
        "",
        "| label | key | default | macro | what to enter |",
        "|---|---|---|---|---|",
    ]
    lines += [f"| {' | '.join(_cells(field))} |" for field in FIELDS if field.section == section]
    return "\n".join(lines)


def _cells(field: Field) -> list[str]:
    key = f"`{field.key}`" if field.extra else f"`{field.key}` (standard field)"
    others = [f"`{value}`" for value, _ in field.choices if value != field.default]
    default = "" if field.default is None else f"`{str(field.default).lower()}`"
    macro = "" if not field.macro else "in a path" if field.kind == "pem" else "yes"
    cells = [field.label, key, "; ".join(filter(None, [default, ", ".join(others)]))]
    return [cell.replace("|", "\\|") for cell in (*cells, macro, field.help)]


def with_table(text: str) -> str:
    """`text` with the tables between its markers. :raises ValueError: not exactly one pair of markers."""
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end or START in rest or END in after:
        raise ValueError(f"README.md must hold {START} and, after it, {END}: each once, on a line of its own")
    return f"{before}{START}\n\n{connection_tables()}\n\n{END}{after}"


def main(arguments: list[str]) -> int:
    """Check or write; the exit code."""
    if arguments not in (["--check"], ["--write"]):
        print("usage: python -m tests.docs --check | --write")
        return 2
    if not README.exists():
        print(f"{README} does not exist: the connection table has no place to stand")
        return 1
    text = README.read_text(encoding="utf-8")
    try:
        wanted = with_table(text)
    except ValueError as exc:
        print(exc)
        return 1
    if arguments == ["--write"]:
        README.write_text(wanted, encoding="utf-8")
    elif text != wanted:
        print("README.md: the connection table is out of date; run python -m tests.docs --write")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
