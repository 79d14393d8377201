"""A certificate for proxies and scripted servers of a test's own; a client of the fake Graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.servers.certificates import Authority, Certificate
from tests.servers.graph.probe import Probe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.graph.server import GraphServer


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    """A good certificate; its authority is ``ca.pem`` beside it."""
    return Authority(tmp_path).issue("scripted", "localhost")


@pytest.fixture
def probe(graph: GraphServer) -> Iterator[Probe]:
    """A client of the robot's mailbox at the fake Graph."""
    with Probe(graph) as probe:
        yield probe
