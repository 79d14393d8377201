"""The figures of a case as Markdown: a table, and what became of each target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.bench.case import DRAIN, FLOOR, Figures, Target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.bench.case import Case
    from tests.bench.runner import RowError

__all__ = ["missed", "table"]

# A floor that is slower than this against its own drain is no floor, unless it has much to decode.
_FLOOR: Final = Target(FLOOR, "wall", 1.2, DRAIN)
_UNITS: Final = {"wall": "s", "cpu": "s of CPU", "peak": "MB of memory", "bytes": "bytes"}


def table(case: Case, rows: Mapping[str, Figures | RowError]) -> Iterator[str]:
    """The lines of the report on a case."""
    yield f"### {case.title}\n"
    yield "| by | wall s | CPU s | peak +MB | MB up | MB down | round trips | wall x | CPU x | bytes x |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    base = rows[FLOOR if case.floor else next(iter(case.jobs))]
    for label, row in rows.items():
        if isinstance(row, Figures) and isinstance(base, Figures):
            yield _line(label, row, base)
        else:
            yield f"| {label} | failed |"
    yield ""
    for target in _targets(case):
        yield f"- {_verdict(target, rows)}"
    yield ""


def missed(case: Case, rows: Mapping[str, Figures | RowError]) -> int:
    """How many targets were missed."""
    return sum(not _value(target, rows) <= target.at_most for target in _targets(case))


def _targets(case: Case) -> tuple[Target, ...]:
    return ((_FLOOR,) if case.floor and not case.decodes else ()) + case.targets


def _line(label: str, row: Figures, base: Figures) -> str:
    ratios = (_ratio(getattr(row, figure), getattr(base, figure)) for figure in ("wall", "cpu", "bytes"))
    wire = (f"{row.up / 1e6:.3f}", f"{row.down / 1e6:.3f}", str(row.trips)) if row.bytes else ("", "", "")
    cells = (label, f"{row.wall:.3f}", f"{row.cpu:.3f}", f"{row.peak:.1f}", *wire, *ratios)
    return f"| {' | '.join(cells)} |"


def _ratio(value: float, base: float) -> str:
    return f"{value / base:.2f}" if value and base else ""


def _value(target: Target, rows: Mapping[str, Figures | RowError]) -> float:
    """The figure of a target, or the ratio; not a number where a row failed."""
    row, over = rows[target.row], rows[target.over or target.row]
    if not isinstance(row, Figures) or not isinstance(over, Figures):
        return float("nan")
    value: float = getattr(row, target.figure)
    return value / getattr(over, target.figure) if target.over else value


def _verdict(target: Target, rows: Mapping[str, Figures | RowError]) -> str:
    value = _value(target, rows)
    unit = f"x the {target.figure} of {target.over}" if target.over else _UNITS[target.figure]
    verdict = "met" if value <= target.at_most else "MISSED"
    return f"{target.row}: {value:.3g} {unit}, at most {target.at_most:g}: {verdict}"
