"""The tables of TLS, attacks, faults and large mailboxes, from a JUnit report: a row for each witness.

python -m pytest tests/contract -k "tls or attacks or faults or large" --junitxml=report.xml
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

#: By property: the title of its column, which stands in a module's table where a row has it.
_COLUMNS = {
    "fault": "the proxy's fault",
    "outcome": "the client's end",
    "in clear": "server saw in clear",
    "in TLS": "server saw in TLS",
    "from client": "bytes passed from the client",
    "from server": "from the server",
    "commands": "commands",
    "seconds": "seconds",
    "peak": "peak",
}
_CODE = frozenset({"in clear", "in TLS"})


def tables(report: Path) -> str:
    """A Markdown table for each module of the report."""
    modules: dict[str, list[tuple[str, dict[str, str]]]] = {}
    for case in ET.parse(report).iter("testcase"):
        seen = {p.get("name", ""): p.get("value", "") for p in case.iter("property")}
        if seen:
            name = case.get("classname", "").rpartition(".")[2]
            modules.setdefault(name, []).append((_name(case), seen))
    return "\n".join(line for name, rows in modules.items() for line in _table(name, rows))


def _name(case: ET.Element) -> str:
    failed = case.find("failure") is not None or case.find("error") is not None
    return f"`{case.get('name')}`" + (" **FAILED**" if failed else "")


def _table(name: str, rows: list[tuple[str, dict[str, str]]]) -> Iterator[str]:
    columns = [column for column in _COLUMNS if any(column in seen for _, seen in rows)]
    yield f"### {name} ({len(rows)} rows)\n"
    yield _row(["test", *(_COLUMNS[column] for column in columns)])
    yield "|---" * (len(columns) + 1) + "|"
    for test, seen in rows:
        yield _row([test, *(_cell(column, seen.get(column, "")) for column in columns)])
    yield ""


def _cell(column: str, value: str) -> str:
    return f"`{value}`" if value and column in _CODE else value


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(tables(Path(sys.argv[1])))
