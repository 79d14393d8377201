"""Fetching through a network that breaks all the time: in the end every byte is there, and nothing else."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn import backoff
from airflow_email_conn.errors import EmailError
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.operators.mail import FetchEmailOperator, UpdateEmailOperator
from airflow_email_conn.operators.storage import MANIFEST
from tests.airflow.conftest import ROBOT, connect, mailboxes
from tests.contract.mails import invoice
from tests.servers.faultproxy import Fault, FaultProxy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_email_conn.backends.base import Mailbox
    from tests.servers.embedded import EmbeddedServers

__all__ = ["connect", "mailboxes"]

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800), pytest.mark.filterwarnings("default")]
MAILS = 20


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a mailbox is opened again, pauses of milliseconds."""
    monkeypatch.setattr(backoff, "_FIRST", 0.01)


class Instance:
    """Takes what a task pushes, and forgets it."""

    def xcom_push(self, key: str, value: object) -> None:
        """Forget it."""


def test_fetch_and_move_through_300_faults(
    embedded: EmbeddedServers,
    connect: Callable[..., None],
    mailboxes: Callable[[str], Mailbox],
    tmp_path: Path,
) -> None:
    """Each run breaks at another byte in another way; runs are repeated as Airflow's retries would."""
    robot = mailboxes(ROBOT)
    robot.create_folder("Done")
    contents = {}
    chance = random.Random(2026)
    for number in range(MAILS):
        contents[number] = chance.randbytes(20_000)
        embedded.append(ROBOT, invoice(number, csv=contents[number]))
    errors: list[EmailError] = []

    def attempt(operator: Any) -> None:
        try:
            operator.execute({"ti": Instance()})
        except EmailError as error:
            errors.append(error)

    def fetch(path: Path) -> FetchEmailOperator:
        return FetchEmailOperator(task_id="fetch", path=path.as_uri(), attachment="*.csv")

    with FaultProxy(embedded.imap_port) as proxy:
        connect({"incoming_security": "none", "timeout": 1}, port=proxy.port)
        for number in range(300):
            side = chance.choice(["client", "server"])
            after = chance.randrange(
                chance.choice([600, 3_000] if side == "client" else [3_000, 30_000, 500_000])
            )
            kind = chance.choice(["cut", "reset", "stall", "halfopen"])
            proxy.fault = Fault(kind, side=side, after=after)  # type: ignore[arg-type]
            # A new folder every ten runs: what is stored already is not fetched again.
            attempt(fetch(tmp_path / str(number // 10)))
        assert len(errors) > 100  # a mailbox that does not open is tried again
        proxy.fault = None
        for number in range(30):
            fetch(tmp_path / str(number)).execute({"ti": Instance()})  # type: ignore[arg-type]
        for _ in range(60):
            proxy.fault = Fault("cut", side="server", after=chance.randrange(3_000))
            attempt(UpdateEmailOperator(task_id="move", move_to="Done", larger_than=0, limit=2))
    connect({"timeout": 5})
    UpdateEmailOperator(task_id="move", move_to="Done", larger_than=0).execute({"ti": Instance()})  # type: ignore[arg-type]
    assert [error for error in errors if not error.retryable] == []
    for number in range(30):
        for mail in range(MAILS):
            (stored,) = tmp_path.glob(f"{number}/dt=*/invoice-{mail}@acme.com/*.csv")
            assert stored.read_bytes() == contents[mail]
            assert (stored.parent / MANIFEST).exists()
    done = [mail.message_id for mail in robot.search(MailQuery(), folder="Done")]
    assert sorted(done) == sorted(f"<invoice-{number}@acme.com>" for number in range(MAILS))
    assert list(robot.search(MailQuery())) == []
