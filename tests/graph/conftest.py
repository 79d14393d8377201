"""Mailboxes of the fake server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_email_conn.backends.graph import limits
from tests.contract.places import graph_mailbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_email_conn.backends.graph.mailbox import GraphMailbox
    from tests.servers.graph.server import GraphServer

ROBOT = "robot@example.test"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses between tries, but those that the server asks for."""
    monkeypatch.setattr(limits, "_LONGEST", 0.01)


@pytest.fixture
def mailbox(graph: GraphServer) -> Iterator[GraphMailbox]:
    """The robot's mailbox, empty and open."""
    with graph_mailbox(graph, ROBOT) as opened:
        graph.site.requests.clear()
        yield opened
