"""Tasks on a network that breaks all the time: in the end each mail is whole, and there once."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn import backoff
from airflow_email_conn.errors import EmailError
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.operators.mail import FetchEmailOperator, UpdateEmailOperator
from airflow_email_conn.operators.manifest import MANIFEST
from tests.airflow.conftest import ROBOT, connect, mailboxes
from tests.contract.mails import invoice
from tests.servers.faultproxy import Fault, FaultProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_email_conn.backends.base import Mailbox
    from tests.servers.embedded import EmbeddedServers

__all__ = ["connect", "mailboxes"]

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600), pytest.mark.filterwarnings("default")]
MAILS = 20
FETCH_FAULTS = 240
MOVE_FAULTS = 60
WAYS: tuple[Any, ...] = ("cut", "reset", "stall", "halfopen")


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a mailbox is opened again, pauses of milliseconds."""
    monkeypatch.setattr(backoff, "_FIRST", 0.01)


class Instance:
    """Takes what a task pushes, and forgets it."""

    def xcom_push(self, key: str, value: object) -> None:
        """Forget it."""


CONTEXT: Any = {"ti": Instance()}


@dataclass
class Runs:
    """Tasks through a proxy, and what became of them.

    :param struck: how often a fault did: a mailbox that breaks is opened again, and may break again.
    """

    proxy: FaultProxy
    count: int = 0
    struck: int = 0
    errors: list[EmailError] = field(default_factory=list)

    def run(self, operator: Any, fault: Fault) -> None:
        """Run a task once while there is a fault."""
        self.proxy.fault = fault
        try:
            operator.execute(CONTEXT)
        except EmailError as error:
            self.errors.append(error)
        self.proxy.fault = None
        self.count += 1
        self.struck += fault.hits

    def check(self) -> None:
        """Some failed, and Airflow would have tried each of them again."""
        print(f"{self.struck} faults in {self.count} tasks, {len(self.errors)} of them failed")
        assert self.errors
        assert [error for error in self.errors if not error.retryable] == []


@pytest.fixture
def runs(embedded: EmbeddedServers, connect: Callable[..., None]) -> Iterator[Runs]:
    """None yet; the connection leads through the proxy."""
    with FaultProxy(embedded.imap_port) as proxy:
        connect({"incoming_security": "none", "timeout": 1}, port=proxy.port)
        yield Runs(proxy)


@pytest.fixture
def contents(embedded: EmbeddedServers, mailboxes: Callable[[str], Mailbox]) -> list[bytes]:
    """The attachment of each mail in the robot's mailbox, which has an empty folder `Done` too."""
    mailboxes(ROBOT).create_folder("Done")
    chance = random.Random(0)
    attached = [chance.randbytes(20_000) for _ in range(MAILS)]
    for number, content in enumerate(attached):
        embedded.append(ROBOT, invoice(number, csv=content))
    return attached


def test_fetch_through_240_faults(runs: Runs, contents: list[bytes], tmp_path: Path) -> None:
    """Each run breaks at another byte in another way, and is repeated as Airflow's retries would."""

    def fetch(number: int) -> FetchEmailOperator:
        path = (tmp_path / str(number)).as_uri()
        return FetchEmailOperator(task_id="fetch", path=path, attachment="*.csv")

    chance = random.Random(2026)
    while runs.struck < FETCH_FAULTS:
        side: Any = chance.choice(["client", "server"])
        far = chance.choice([600, 3_000] if side == "client" else [3_000, 30_000, 500_000])
        fault = Fault(chance.choice(WAYS), side=side, after=chance.randrange(far))
        # A new folder every ten runs: what is stored already is not fetched again.
        runs.run(fetch(runs.count // 10), fault)
    runs.check()
    for number in range(runs.count // 10 + 1):
        fetch(number).execute(CONTEXT)
        for mail, content in enumerate(contents):
            (stored,) = tmp_path.glob(f"{number}/dt=*/invoice-{mail}@acme.com/*.csv")
            assert stored.read_bytes() == content
            assert (stored.parent / MANIFEST).exists()


@pytest.mark.usefixtures("contents")
def test_move_through_60_faults(runs: Runs, mailboxes: Callable[[str], Mailbox]) -> None:
    """Each mail is moved once."""

    def move(limit: int | None = None) -> UpdateEmailOperator:
        return UpdateEmailOperator(task_id="move", move_to="Done", larger_than=0, limit=limit)

    robot = mailboxes(ROBOT)
    chance = random.Random(2026)
    while runs.struck < MOVE_FAULTS:
        if chance.random() < 0.5:
            fault = Fault("cut", side="server", after=chance.randrange(3_000))
        else:  # once the command is sent, which arrives or does not
            fault = Fault("cut", when=rb"UID MOVE", pass_on=chance.random() < 0.5)
        runs.run(move(limit=1), fault)
    runs.check()
    left = len(list(robot.search(MailQuery())))
    assert left < MAILS  # some arrived
    move().execute(CONTEXT)
    done = [str(mail.message_id) for mail in robot.search(MailQuery(), folder="Done")]
    assert sorted(done) == sorted(f"<invoice-{number}@acme.com>" for number in range(MAILS))
    assert list(robot.search(MailQuery())) == []
