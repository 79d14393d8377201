"""Measures a process in which many EmailTriggers wait.

python -m tests.airflow.crowd '{"<connection id>": "<its form>"}' 200
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_email_conn.backends.imap.idle import Idle
from tests.airflow.waits import meanwhile, trigger, until

if TYPE_CHECKING:
    from airflow_email_conn.backends.imap.session import ImapSession

SECONDS = 15.0  # of waiting, over which the CPU time is taken
ENTERED: list[Idle] = []


class Peak:
    """The most threads that there were at a time."""

    def __init__(self) -> None:
        self.threads = 0

    async def watch(self) -> None:
        """Look until it is cancelled."""
        while True:
            self.threads = max(self.threads, threading.active_count())
            await asyncio.sleep(0.01)


def waiting() -> int:
    """How many mailboxes are in IDLE."""
    return sum(idle.pushes for idle in ENTERED)


def kilobytes() -> float:
    """What this process takes of memory that is its own."""
    gc.collect()
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def count_idles() -> None:
    """Have ENTERED list every IDLE of this process: to look through all objects takes far too long."""
    enter = Idle.enter

    def listed(session: ImapSession, *, flags: bool) -> Idle:
        ENTERED.append(enter(session, flags=flags))
        return ENTERED[-1]

    Idle.enter = listed  # type: ignore[method-assign, assignment]


async def main(conn_ids: list[str], count: int) -> dict[str, float]:
    """Let one wait, then all of them, and then some time pass."""

    def one(number: int) -> object:
        return trigger(3600, email_conn_id=conn_ids[number % len(conn_ids)], idle_refresh=3600.0)

    peak = Peak()
    looking = asyncio.create_task(peak.watch())
    async with meanwhile(one(0)) as first:  # what is made once for all of them
        await until(lambda: first[0].done() or waiting() == 1, 100)
        if first[0].done():
            raise AssertionError(f"the mailbox is not empty: {first[0].result()}")
        before = kilobytes()
        start = time.monotonic()
        async with meanwhile(*map(one, range(1, count))):
            await until(lambda: waiting() == count, 150, step=1)
            opened = time.monotonic() - start
            after = kilobytes()
            looking.cancel()
            cpu = time.process_time()
            await asyncio.sleep(SECONDS)
            return {
                "waiting": waiting(),
                "threads": peak.threads,
                "kilobytes each": round((after - before) / (count - 1), 1),
                "seconds until all wait": round(opened, 1),
                "cpu": round((time.process_time() - cpu) / SECONDS, 5),
            }


if __name__ == "__main__":
    forms = json.loads(sys.argv[1])
    os.environ.update({f"AIRFLOW_CONN_{conn_id.upper()}": form for conn_id, form in forms.items()})
    count_idles()
    resource.setrlimit(resource.RLIMIT_NOFILE, (2048, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    print(json.dumps(asyncio.run(main(list(forms), int(sys.argv[2])))))
