"""EmailTrigger run by itself, as the triggerer does it, on the bed's Dovecot."""

from __future__ import annotations

import asyncio
import contextlib
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_email_conn.backends.imap.mailbox import ImapMailbox
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.triggers.mail import EmailTrigger
from tests.contract.places import ignore, imap_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.servers.base import MailboxServers

__all__ = ["baseline", "event", "form", "meanwhile", "sockets_to", "trigger", "until"]


def form(servers: MailboxServers, login: str, **changes: Any) -> str:
    """The connection of a user's mailbox as an environment variable has it; `changes` are extras, or port."""
    return json.dumps(
        {
            "conn_type": "email",
            "host": "localhost",
            "port": changes.pop("port", servers.imaps_port),
            "login": login,
            "password": servers.users[login],
            "extra": {"ca_certificates": str(servers.ca), "timeout": 2, **changes},
        }
    )


def baseline(servers: MailboxServers, login: str) -> dict[str, Any]:
    """The end of the mailbox as it is now, for a trigger."""
    with ImapMailbox.open(imap_server(servers, login), ignore) as mailbox:
        return mailbox.position().as_dict()


def trigger(seconds: float = 60, **changes: Any) -> EmailTrigger:
    """A trigger that waits for a CSV of acme.com on the connection `email_default`.

    :param seconds: how long.
    """
    arguments = {
        "email_conn_id": "email_default",
        "until": (datetime.now(timezone.utc) + timedelta(seconds=seconds)).isoformat(),
        "query": MailQuery(sender="@acme.com", attachment="*.csv").as_dict(),
        "limit": 10,
        "poll_interval": 1.0,
        "idle_refresh": 1.0,
        **changes,
    }
    return EmailTrigger(**json.loads(json.dumps(arguments)))


async def event(waiting: EmailTrigger) -> dict[str, Any]:
    """Its event."""
    async for fired in waiting.run():
        payload: dict[str, Any] = json.loads(json.dumps(fired.payload))
        return payload
    raise AssertionError("it ended without an event")


@contextlib.asynccontextmanager
async def meanwhile(*waiting: EmailTrigger) -> AsyncIterator[list[asyncio.Task[dict[str, Any]]]]:
    """Triggers that run within the block; those that are not done then are cancelled."""
    tasks = [asyncio.create_task(event(each)) for each in waiting]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(true: Callable[[], object], seconds: float = 20, step: float = 0.02) -> None:
    """Wait until something is so. :param step: seconds between two looks. :raises TimeoutError:"""
    for _ in range(int(seconds / step)):
        if true():
            return
        await asyncio.sleep(step)
    raise TimeoutError(f"it did not become so within {seconds} s")


def sockets_to(port: int) -> int:
    """How many sockets the processes of this machine hold at one moment that lead to a port of loopback.

    The kernel's list is no snapshot: reading it takes up to 0.2 s on a busy machine, in which one socket
    may end and the next begin, and both are listed. Those of two lists were all there between the two.
    """
    return len(_listed(port) & _listed(port))


def _listed(port: int) -> set[str]:
    """Inodes: none is used twice, and what a process has closed has none (0)."""
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    fields = [line.split() for line in lines]
    return {row[9] for row in fields if row[2].endswith(f":{port:04X}")} - {"0"}
