"""Runs the rows of a case, each time in a fresh process: to count, for memory, then in rounds for time.

The first run also warms up the server's index and the disk's cache. The rounds interleave the rows and turn
their order round each time, so that a machine that slows down hits all of them alike.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from statistics import median
from subprocess import PIPE
from typing import TYPE_CHECKING, Any

from tests.bench.case import Figures
from tests.bench.link import Link
from tests.bench.worker import BEGIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.case import Case, Place

__all__ = ["RowError", "run"]

_SHOWN = 2_000  # characters of what a failed run wrote


class RowError(Exception):
    """A row failed, or has another result than the others."""


def run(case: Case, place: Place) -> dict[str, Figures | RowError]:
    """The figures of each row.

    :param place: with the port of the server itself.
    """
    results: list[dict[str, Any]] = []
    rows = {label: _untimed(job, place, results) for label, job in case.rows.items()}
    _compare(results)
    sound = {label: row for label, row in rows.items() if isinstance(row, Figures)}
    return {**rows, **_timed(case, place, sound)}


def _untimed(job: str, place: Place, results: list[dict[str, Any]]) -> Figures | RowError:
    """Bytes, round trips and memory; adds the result."""
    try:
        counted, result = _counted(job, place)
        peak = _process(job, place, "memory")["peak"]
    except RowError as error:
        return error
    results.append(result)
    return replace(counted, peak=peak)


def _counted(job: str, place: Place) -> tuple[Figures, dict[str, Any]]:
    """Bytes and round trips; and the result."""
    if not place.port:
        return Figures(), _process(job, place, "time")
    with Link(place.port) as link:
        result = _process(job, replace(place, port=link.port), "time", link.reset)
        return Figures(up=link.up, down=link.down, trips=link.trips), result


def _timed(case: Case, place: Place, rows: dict[str, Figures]) -> dict[str, Figures]:
    runs: dict[str, list[dict[str, Any]]] = {label: [] for label in rows}
    order = list(rows)
    with Link(place.port, case.delay) as link:
        near = replace(place, port=link.port) if case.delay else place
        for _ in range(case.rounds):
            for label in order:
                runs[label].append(_process(case.rows[label], near, "time"))
            order.reverse()
    return {
        label: replace(row, **{key: median(run[key] for run in runs[label]) for key in ("wall", "cpu")})
        for label, row in rows.items()
    }


def _process(
    job: str, place: Place, mode: str, on_begin: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Measure a job once. :raises RowError:"""
    command = [sys.executable, "-m", "tests.bench.worker", job, json.dumps(asdict(place)), mode]
    line = ""
    with tempfile.TemporaryFile("w+") as complaints:
        with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=complaints, text=True) as process:
            assert process.stdin
            assert process.stdout
            for line in process.stdout:
                if line.strip() == BEGIN:
                    on_begin()
                    process.stdin.write("\n")
                    process.stdin.flush()
        if process.returncode:
            complaints.seek(0)
            raise RowError(f"{job}: {complaints.read()[-_SHOWN:]}")
    measured: dict[str, Any] = json.loads(line)
    return measured


def _compare(results: list[dict[str, Any]]) -> None:
    """Whoever has another result did another job. :raises RowError:"""
    told = {result["result"] for result in results if result["result"] is not None}
    files = {result["files"] for result in results}
    if len(told) > 1 or len(files) > 1:
        raise RowError(f"the rows disagree: {results}")
