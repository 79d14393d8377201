"""Microsoft 365 for long: a large folder, and a thousand rounds of delta while everything goes wrong."""

from __future__ import annotations

import random
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from airflow_email_conn.backends.graph import limits
from airflow_email_conn.model.query import MailQuery
from tests.contract.mails import RECEIVED, plain
from tests.contract.places import graph_mailbox
from tests.graph.rounds import Rounds

if TYPE_CHECKING:
    from tests.servers.graph.server import GraphServer

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

ROBOT = "robot@example.test"
MAILS = 10_000


def told(graph: GraphServer, began: float) -> str:
    """What it took."""
    return f"{len(graph.requests)} requests, {time.monotonic() - began:.1f} s"


def test_three_new_mails_among_ten_thousand(graph: GraphServer) -> None:
    """All are listed once; then three that came in one second, the second in which many others came."""
    for number in range(MAILS):
        graph.append(ROBOT, plain(number), when=RECEIVED + timedelta(seconds=number // 250))
    last = RECEIVED + timedelta(seconds=(MAILS - 1) // 250)
    with graph_mailbox(graph, ROBOT) as mailbox:
        graph.site.requests.clear()
        began = time.monotonic()
        listed = [mail.message_id for mail in mailbox.search(MailQuery())]
        print(f"\n{MAILS} mails listed: {told(graph, began)}")
        assert listed == [f"<plain-{number}@acme.com>" for number in range(MAILS)]
        graph.site.requests.clear()
        began = time.monotonic()
        start = mailbox.position()
        print(f"the first round of delta: {told(graph, began)}")
        for number in range(3):
            graph.append(ROBOT, plain(MAILS + number), when=last)
        graph.site.requests.clear()
        began = time.monotonic()
        here = mailbox.position("INBOX", start)
        new = [mail.message_id for mail in mailbox.search(MailQuery(), after=start)]
        print(f"3 new mails: {told(graph, began)}")
        assert new == [f"<plain-{MAILS + number}@acme.com>" for number in range(3)]
        assert list(mailbox.search(MailQuery(), after=here)) == []


@pytest.mark.parametrize("seed", range(2))
def test_a_thousand_rounds(graph: GraphServer, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Nothing is lost, nothing comes twice."""
    monkeypatch.setattr(limits, "_LONGEST", 0.01)
    rounds = Rounds(graph, ROBOT, random.Random(seed))
    began = time.monotonic()
    rounds.run(1000)
    print(f"\n{len(rounds.delivered)} mails, {rounds.failures} looks failed: {told(graph, began)}")
    assert set(rounds.found) == rounds.delivered
    assert set(rounds.found.values()) <= {1}
