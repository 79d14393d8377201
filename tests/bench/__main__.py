"""Run every case in a fresh process and print a table: wall time, CPU, peak memory, ratios to ours."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from tests.bench.cases import CASES
from tests.servers.bed import Bed, bed_unavailable, running_bed

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 3
LARGE = 30 * 1024 * 1024


def measure(case: str, index: int, place: dict[str, Any]) -> None:
    """One case in this process; prints its figures as JSON."""
    started: list[float] = []

    def begin() -> None:
        # The peak is that of the process, imports included: resetting it (clear_refs) doubles the CPU time.
        started.extend((time.perf_counter(), _cpu(), _memory("VmRSS")))

    result = CASES[case][index](place, begin)
    wall, cpu, rss = started
    figures = {
        "wall": time.perf_counter() - wall,
        "cpu": _cpu() - cpu,
        "peak": _memory("VmHWM") - rss,
        "result": result,
    }
    print(json.dumps(figures))


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _memory(field: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


@contextmanager
def sink() -> Iterator[int]:
    """Postfix's smtp-sink, which takes every mail and keeps none; its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    process = subprocess.Popen(["/usr/sbin/smtp-sink", "-u", "nobody", f"127.0.0.1:{port}", "100"])
    try:
        time.sleep(0.5)
        yield port
    finally:
        process.kill()
        process.wait()


def fill(bed: Bed, login: str) -> None:
    """2,000 mails with a report, and one with a large file."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Ann <ann@acme.com>", login, "Report of the day"
    mail["Date"], mail["Message-ID"] = "Sat, 14 Mar 2026 10:26:53 +0100", "<NUMBER@acme.com>"
    mail.set_content("text\n" * 50)
    mail.add_attachment(b"a;b\r\n" * 200, "text", "csv", filename="report.csv")
    raw = mail.as_bytes()
    bed.empty(login)
    for number in range(2000):
        bed.append(login, raw.replace(b"NUMBER", b"%d" % number))
    large = EmailMessage()
    large.set_content("x")
    large.add_attachment(os.urandom(LARGE), "application", "octet-stream", filename="large.bin")
    bed.append(login, large.as_bytes(), folder="Large")


def main() -> int:
    """Print the table."""
    if reason := bed_unavailable():
        print(reason)
        return 1
    with (
        tempfile.TemporaryDirectory() as scratch,
        running_bed() as bed,
        sink() as smtp,
    ):
        login = next(iter(bed.users))
        fill(bed, login)
        (Path(scratch) / "large.bin").write_bytes(os.urandom(LARGE))
        place = {
            "imaps": bed.imaps_port,
            "ca": str(bed.ca),
            "user": login,
            "password": bed.users[login],
            "sink": smtp,
            "large": f"{scratch}/large.bin",
            "scratch": f"{scratch}/out.bin",
        }
        print("| case | by | wall s | CPU s | peak +MB | CPU ratio | wall ratio |")
        print("|---|---|---|---|---|---|---|")
        for case, functions in CASES.items():
            runs: list[list[dict[str, float]]] = [[] for _ in functions]
            for _ in range(ROUNDS):
                for index in range(len(functions)):
                    command = [sys.executable, "-m", "tests.bench", case, str(index), json.dumps(place)]
                    done = subprocess.run(command, check=True, capture_output=True, text=True)
                    runs[index].append(json.loads(done.stdout))
            table(case, runs)
    return 0


def table(case: str, runs: list[list[dict[str, float]]]) -> None:
    """The medians of a case."""
    assert len({run["result"] for rounds in runs for run in rounds}) == 1, "the peers disagree on the result"
    ours = {key: median(run[key] for run in runs[0]) for key in ("wall", "cpu", "peak")}
    for function, rounds in zip(CASES[case], runs, strict=True):
        mid = {key: median(run[key] for run in rounds) for key in ours}
        print(
            f"| {case} | {function.__name__.split('_')[1]} | {mid['wall']:.3f} | {mid['cpu']:.3f} "
            f"| {mid['peak']:.1f} | {mid['cpu'] / ours['cpu']:.1f} | {mid['wall'] / ours['wall']:.1f} |"
        )


if __name__ == "__main__":
    if len(sys.argv) == 4:
        measure(sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3]))
    else:
        sys.exit(main())
