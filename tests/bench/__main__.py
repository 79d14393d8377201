"""`poe bench`, or `poe bench find list` for some of the cases; prints Markdown.

Ends with 1 when a target is missed or a row failed, and with 2 where there are no servers.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench import mails
from tests.bench.case import Figures, Place
from tests.bench.cases import CASES
from tests.bench.report import missed, table
from tests.bench.runner import run
from tests.servers.base import HOST
from tests.servers.bed import bed_unavailable, running_bed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.case import Case
    from tests.servers.bed import Bed

_TO_SEND: Final = 30 * 1024 * 1024
_USERS: Final = {"many": "alice@example.test", "large": "carol@example.test"}


def main() -> int:
    """Measure, and print."""
    cases = _chosen()
    if reason := bed_unavailable():
        print(reason)
        return 2
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir=_memory_disk()) as scratch,
        running_bed() as bed,
        _sink() as sink,
    ):
        # Read by Airflow, where a row loads it.
        os.environ.update(AIRFLOW_HOME=scratch, AIRFLOW__CORE__LOAD_EXAMPLES="False")
        ports = {"imap": bed.imap_port, "pop3": bed.ports.pop3, "imaps": bed.imaps_port, "smtp": sink, "": 0}
        _fill(bed)
        place = Place(0, "", "", "", _authorities(bed, Path(scratch)), _file_to_send(Path(scratch)), scratch)
        print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.platform()}\n")
        failures = 0
        for case in cases:
            user = _USERS[case.mailbox]
            where = replace(place, user=user, password=bed.users[user], folder=case.folder)
            failures += _measure(case, replace(where, port=ports[case.service]))
    return 1 if failures else 0


def _chosen() -> list[Case]:
    parser = argparse.ArgumentParser(
        prog="poe bench", description="Measurements side by side with the peers."
    )
    parser.add_argument("cases", nargs="*", metavar="case", help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=0, help="how often each row is timed")
    arguments = parser.parse_args()
    if unknown := set(arguments.cases) - set(CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    names = arguments.cases or CASES
    return [
        replace(case, rounds=arguments.rounds or case.rounds) for name, case in CASES.items() if name in names
    ]


def _measure(case: Case, place: Place) -> int:
    """Print the report on a case; how much was missed in it."""
    start = time.monotonic()
    rows = run(case, place)
    print("\n".join(table(case, rows)), flush=True)
    for row in rows.values():
        if not isinstance(row, Figures):
            print(row, file=sys.stderr)
    print(f"({time.monotonic() - start:.0f} s)", file=sys.stderr, flush=True)
    return missed(case, rows)


def _fill(bed: Bed) -> None:
    """Write the mailboxes."""
    many, large = (bed.directory / "mail" / user for user in _USERS.values())
    mails.write(many, mails.many())
    mails.write(many / ".Pdf", mails.with_pdfs())
    mails.write(large, mails.one_large())


def _authorities(bed: Bed, scratch: Path) -> str:
    """The system's authorities and the bed's in one file: a store of the usual size."""
    store = scratch / "authorities.pem"
    system = ssl.get_default_verify_paths().cafile
    store.write_bytes((Path(system).read_bytes() if system else b"") + bed.ca.read_bytes())
    return str(store)


def _memory_disk() -> str | None:
    """Where files take no time; None where there is no such place."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _file_to_send(scratch: Path) -> str:
    path = scratch / "large.bin"
    path.write_bytes(os.urandom(_TO_SEND))
    return str(path)


@contextmanager
def _sink() -> Iterator[int]:
    """Postfix's smtp-sink, which takes every mail and keeps none; its port."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    program = shutil.which("smtp-sink", path="/usr/sbin") or "smtp-sink"
    process = subprocess.Popen([program, "-u", "nobody", f"{HOST}:{port}", "100"])
    try:
        time.sleep(0.5)
        yield port
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
