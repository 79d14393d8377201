"""Many processes that use one connection at once: ``python -m tests.oauth.crowd`` is one of them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_email_conn.client import open_mailbox
from airflow_email_conn.errors import EmailError
from airflow_email_conn.model.settings import EmailSettings
from airflow_email_conn.oauth.keeper import Tokens
from airflow_email_conn.oauth.lease import Lease
from airflow_email_conn.token_store import FileTokenStore
from tests.oauth.slowstore import SlowTokenStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_email_conn.token_store import TokenStore

__all__ = ["Use", "crowd", "store_at"]

_ROOM = 60  # seconds for a process to start, and to come to its end


@dataclass
class Use:
    """What one process saw.

    :param uses: sign-ins at the mail server that succeeded.
    :param failures: errors in the place of others.
    :param longest: seconds that one use took, at most.
    :param held: when it had the lease, as (from, to) of time.time.
    """

    uses: int = 0
    failures: tuple[str, ...] = ()
    longest: float = 0.0
    held: tuple[tuple[float, float], ...] = ()


def store_at(place: str) -> TokenStore:
    """The store that a text names: ``file:`` and a folder, ``slow:``, ``stalling:``, ``variables:``."""
    kind, _, path = place.partition(":")
    if kind == "variables":
        from airflow_email_conn.hooks.tokens import VariableTokenStore  # noqa: PLC0415 - imports Airflow

        return VariableTokenStore()
    if kind == "file":
        return FileTokenStore(path)
    return SlowTokenStore(Path(path), stalls=10 if kind == "stalling" else 0)


def crowd(
    count: int, seconds: float, job: Mapping[str, Any], environ: Mapping[str, str] | None = None
) -> list[Use]:
    """Let so many processes do the same, for so long.

    :param job: ``store``; and ``fields``, of the connection that they open, or ``lease``, the seconds of one.
    """
    asked = json.dumps({**job, "end": time.time() + seconds})
    command = [sys.executable, "-m", "tests.oauth.crowd"]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ)
        for _ in range(count)
    ]
    try:
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(asked)
            process.stdin.close()
            process.stdin = None
        told = [process.communicate(timeout=seconds + _ROOM)[0].splitlines() for process in processes]
        print(*{line for lines in told for line in lines[:-1]}, sep="\n")  # what Airflow logs
        return [Use(**json.loads(lines[-1])) for lines in told]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _uses(store: TokenStore, fields: dict[str, Any], end: float) -> Use:
    settings = EmailSettings.parse(fields, environ={}, variable=lambda _: None)
    tokens = Tokens(store, "mail")
    seen = Use()
    while time.time() < end:
        begin = time.monotonic()
        try:
            open_mailbox(settings, tokens=tokens).close()
        except EmailError as error:
            seen.failures += (f"{type(error).__name__}: {error}",)
        else:
            seen.uses += 1
        seen.longest = max(seen.longest, time.monotonic() - begin)
    return seen


def _holds(store: TokenStore, seconds: float, end: float) -> Use:
    seen = Use()
    while time.time() < end:
        lease = Lease(store, "lease", seconds)
        begin = time.monotonic()
        with lease:
            if lease.take():
                taken = time.time()
                time.sleep(0.3)
                seen.held += ((taken, time.time()),)
        seen.longest = max(seen.longest, time.monotonic() - begin)
    return seen


def _main() -> None:
    job = json.load(sys.stdin)
    store = store_at(job["store"])
    if "fields" in job:
        seen = _uses(store, job["fields"], job["end"])
    else:
        seen = _holds(store, job["lease"], job["end"])
    print(json.dumps(vars(seen)))


if __name__ == "__main__":
    _main()
