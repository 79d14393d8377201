"""The fake Graph: each entry of its table has a test, which fails when the entry is taken out."""

from __future__ import annotations

import importlib

import pytest

from tests.servers.graph.behaviours import Behaviour
from tests.servers.graph.probe import PROOFS, Probe

for _name in ("access", "delta", "folders", "items", "listing", "sending", "throttling", "uploads"):
    importlib.import_module(f"tests.servers.test_graph_{_name}")


def test_each_has_a_test() -> None:
    """Nothing in the table is a mere word."""
    assert set(Behaviour) - PROOFS.keys() == set()


@pytest.mark.parametrize("behaviour", Behaviour, ids=lambda behaviour: behaviour.name)
def test_taken_out_its_test_fails(behaviour: Behaviour, probe: Probe) -> None:
    """The test of a behaviour sees it; nothing else than its own checks fails."""
    with probe.graph.without(behaviour), pytest.raises(AssertionError):
        PROOFS[behaviour](probe)
    probe.graph.violations.clear()
