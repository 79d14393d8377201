"""Fetching through a network that breaks all the time: in the end every byte is there, and nothing else."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from airflow_email_conn.errors import EmailError
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.operators.mail import FetchEmailOperator, UpdateEmailOperator
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
    with FaultProxy(embedded.imap_port) as proxy:
        connect({"incoming_security": "none", "timeout": 1}, port=proxy.port)
        for kind in [chance.choice(["cut", "reset", "stall", "halfopen"]) for _ in range(300)]:
            side = chance.choice(["client", "server"])
            after = chance.randrange(2_000 if side == "client" else 700_000)
            proxy.fault = Fault(kind, side=side, after=after)  # type: ignore[arg-type]
            try:
                FetchEmailOperator(task_id="fetch", path=tmp_path.as_uri(), attachment="*.csv").execute(
                    {"ti": Instance()}  # type: ignore[arg-type]
                )
            except EmailError as error:
                errors.append(error)
        assert len(errors) > 100
        for _ in range(40):
            proxy.fault = Fault("cut", side="server", after=chance.randrange(3_000))
            try:
                UpdateEmailOperator(task_id="move", move_to="Done", limit=2).execute({"ti": Instance()})  # type: ignore[arg-type]
            except EmailError as error:
                errors.append(error)
        proxy.fault = None
        FetchEmailOperator(task_id="fetch", path=tmp_path.as_uri(), attachment="*.csv").execute(
            {"ti": Instance()}
        )  # type: ignore[arg-type]
        UpdateEmailOperator(task_id="move", move_to="Done").execute({"ti": Instance()})  # type: ignore[arg-type]
    assert [error for error in errors if not error.retryable] == []
    stored = {path.parent.name: path.read_bytes() for path in tmp_path.glob("dt=*/*/*.csv")}
    assert stored == {f"invoice-{number}@acme.com": content for number, content in contents.items()}
    assert len(list(tmp_path.glob("dt=*/*/_manifest.json"))) == MAILS
    done = [mail.message_id for mail in robot.search(MailQuery(), folder="Done")]
    assert sorted(done) == sorted(f"<invoice-{number}@acme.com>" for number in range(MAILS))
    assert list(robot.search(MailQuery())) == []
