"""The tables of TLS and of attacks, from a JUnit report: a row for each test that has a witness.

python -m pytest tests/contract -k "tls or attacks" --junitxml=report.xml
python -m tests.contract.tables report.xml
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["tables"]

_COLUMNS = ("outcome", "in clear", "in TLS", "seconds", "peak")
_CODE = frozenset({"in clear", "in TLS"})


def tables(report: Path) -> str:
    """A Markdown table for each module of the report."""
    modules: dict[str, list[str]] = {}
    for case in ET.parse(report).iter("testcase"):
        seen = {p.get("name", ""): p.get("value", "") for p in case.iter("property")}
        if seen:
            name = case.get("classname", "").rpartition(".")[2]
            modules.setdefault(name, []).append("| " + " | ".join(_cells(case, seen)) + " |")
    return "\n".join(line for name, rows in modules.items() for line in _table(name, rows))


def _cells(case: ET.Element, seen: dict[str, str]) -> Iterator[str]:
    failed = case.find("failure") is not None or case.find("error") is not None
    yield f"`{case.get('name')}`" + (" **FAILED**" if failed else "")
    for column in _COLUMNS:
        value = seen.get(column, "")
        yield f"`{value}`" if value and column in _CODE else value


def _table(name: str, rows: list[str]) -> Iterator[str]:
    yield f"### {name} ({len(rows)} rows)\n"
    yield "| test | the client's end | server saw in clear | server saw in TLS | seconds | peak |"
    yield "|---|---|---|---|---|---|"
    yield from rows
    yield ""


if __name__ == "__main__":
    print(tables(Path(sys.argv[1])))
