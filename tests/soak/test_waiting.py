"""Waiting for mail for minutes, through a network that breaks all the time, while mail arrives."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.client import open_mailbox
from airflow_email_conn.model.message import MailRef
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.model.settings import EmailSettings
from tests.airflow.waits import baseline, event, form, sockets_to, trigger
from tests.contract.mails import invoice
from tests.contract.places import imap_server
from tests.servers.faultproxy import Fault, FaultProxy

if TYPE_CHECKING:
    from tests.servers.bed import Bed

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

SECONDS = 180.0
KINDS: tuple[Any, ...] = ("cut", "reset", "stall", "halfopen", "slow", "refuse", "say")


def mark_seen(bed: Bed, login: str, refs: list[MailRef]) -> None:
    """What a DAG does with the mails that it was given, on a healthy network."""
    server = imap_server(bed, login)
    with open_mailbox(EmailSettings("standard", server, None, login)) as mailbox:
        mailbox.mark_seen(refs)


async def break_it(proxy: FaultProxy, kinds: tuple[Any, ...], chance: random.Random) -> None:
    """Faults of these kinds, each for a while."""
    while True:
        after = chance.choice([0, 300, 1500])
        side: Any = chance.choice(["client", "server"])
        proxy.fault = Fault(chance.choice(kinds), side=side, after=after, rate=300, text=b"* BYE no\r\n")
        await asyncio.sleep(chance.uniform(0.2, 3))
        proxy.fault = None
        await asyncio.sleep(chance.uniform(0.2, 4))


@pytest.mark.parametrize("security", ["none", "tls"])
def test_every_mail_is_found(bed: Bed, monkeypatch: pytest.MonkeyPatch, security: str) -> None:
    """Wait, mark what came as read, wait again: each mail is found once, over one connection at a time."""
    login = next(iter(bed.users))
    bed.empty(login)
    start = baseline(bed, login)
    chance = random.Random(2026)
    sent: list[str] = []
    found: list[str] = []

    async def deliver() -> None:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            number = len(sent)
            await asyncio.to_thread(bed.append, login, invoice(number))
            sent.append(f"<invoice-{number}@acme.com>")
            await asyncio.sleep(chance.uniform(0.1, 3))

    async def watch_sockets(port: int) -> None:
        while True:
            assert await asyncio.to_thread(sockets_to, port) <= 1
            await asyncio.sleep(0.05)

    async def run() -> None:
        with FaultProxy(bed.imaps_port if security == "tls" else bed.imap_port) as proxy:
            changes = {"port": proxy.port, "incoming_security": security, "timeout": 1}
            monkeypatch.setenv("AIRFLOW_CONN_EMAIL_DEFAULT", form(bed, login, **changes))
            # A word that is no TLS is what a wrong port says: nobody would wait for that to heal.
            kinds = KINDS[:-1] if security == "tls" else KINDS
            breaking = asyncio.create_task(break_it(proxy, kinds, chance))
            counting = asyncio.create_task(watch_sockets(proxy.port))
            delivering = asyncio.create_task(deliver())
            while not delivering.done() or len(found) < len(sent):
                if delivering.done():
                    breaking.cancel()
                    proxy.fault = None
                query = MailQuery(sender="@acme.com", unseen=True).as_dict()
                payload = await event(trigger(60, query=query, position=start))
                assert payload["status"] in {"found", "missing"}, payload
                refs = [MailRef(**mail["ref"]) for mail in payload.get("mails", ())]
                found.extend(str(ref.message_id) for ref in refs)
                await asyncio.to_thread(mark_seen, bed, login, refs)
                assert not counting.done(), counting.exception()
            counting.cancel()
            print(f"{security}: {len(sent)} mails, {proxy.connections} connections")

    asyncio.run(run())
    assert found == sent
