"""Measures one job in this process, and prints its figures as JSON.

When the work begins it says so and waits for a line, so that the runner can begin to count.
"""

from __future__ import annotations

import hashlib
import json
import pkgutil
import resource
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.bench.case import Place

__all__ = ["BEGIN", "main"]

BEGIN = "begin"
_LIMIT = 180  # seconds; the slowest peer takes 15
_RESET_PEAK = "5"  # proc(5), clear_refs


class _Clock:
    """Notes where the process stands when the work begins, and what it has taken since.

    :param memory: reset the process's peak first. This makes the kernel slow for a while, so time and
        memory are measured in different runs.
    """

    def __init__(self, *, memory: bool) -> None:
        self._memory = memory
        self._wall = self._cpu = self._rss = 0.0

    def begin(self) -> None:
        """The work begins."""
        print(BEGIN, flush=True)
        sys.stdin.readline()
        if self._memory:
            Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
            self._rss = _status("VmRSS")
        self._cpu, self._wall = _cpu(), time.perf_counter()

    def figures(self) -> dict[str, float]:
        """What it took: seconds, and MB in a run that measures memory."""
        wall, cpu = time.perf_counter() - self._wall, _cpu() - self._cpu
        return {"peak": _status("VmHWM") - self._rss} if self._memory else {"wall": wall, "cpu": cpu}


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _status(field: str) -> float:
    """A field of /proc/self/status in MB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def main(job: str, place: Place, *, memory: bool) -> dict[str, Any]:
    """Do a job; its figures, its result, and a digest of the files that it left."""
    work = pkgutil.resolve_name(f"tests.bench.{job}")
    clock = _Clock(memory=memory)
    with tempfile.TemporaryDirectory(dir=place.out) as out:
        result = work(replace(place, out=out), clock.begin)
        return {**clock.figures(), "result": result, "files": _digest(Path(out))}


def _digest(directory: Path) -> str:
    """Of the contents of all files but manifests, whatever they are called."""
    files = (path for path in directory.rglob("*") if path.is_file() and path.suffix != ".json")
    digests = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)
    return f"{len(digests)} files {hashlib.sha256(' '.join(digests).encode()).hexdigest()[:16]}"


if __name__ == "__main__":
    signal.alarm(_LIMIT)
    print(
        "\n" + json.dumps(main(sys.argv[1], Place(**json.loads(sys.argv[2])), memory=sys.argv[3] == "memory"))
    )
