"""The long form of the fault matrix: every fault, stage and security, and a mail broken off anywhere."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest

from tests.contract.faultcells import FAULTS, Cell
from tests.contract.faultmatrix import Checked, chosen, running_matrix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.bed import Bed

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

SECURITIES = ("none", "starttls", "tls")
STAGES = ("greeting", "TLS", "sign in", "search", "headers", "body", "store", "move")
POP3_STAGES = ("greeting", "TLS", "sign in", "list", "top", "retr", "dele", "quit")
OCTETS = (0, 100, 1000, 4096, 16_384, 30_000, 60_000, 80_000)


def cells() -> Iterator[Cell]:
    """All of them, in an order that mixes those that wait with those that work."""
    for security, stage, fault in product(SECURITIES, STAGES, FAULTS):
        # The proxy cannot put a word into TLS that it did not begin itself.
        mute = security == "starttls" and fault == "BYE"
        if stage == "TLS":
            if security == "starttls" or (security == "tls" and fault != "BYE"):
                yield Cell(fault, stage, security)
        elif not mute and stage == "body":
            yield from (Cell(fault, stage, security, octets=octets) for octets in OCTETS)
        elif not mute:
            yield Cell(fault, stage, security)
            if stage in {"store", "move"} and fault not in {"slow", "drip"}:
                yield Cell(fault, stage, security, arrives=False)
    for stage, fault in product(("copy", "mark", "expunge"), FAULTS):
        if fault != "restart":  # of a server of its own, which has MOVE
            yield Cell(fault, stage)
    yield from pop3_cells()


def pop3_cells() -> Iterator[Cell]:
    """The same by POP3."""
    for security, stage, fault in product(SECURITIES, POP3_STAGES, FAULTS):
        if security == "starttls" and fault == "BYE":
            continue
        if stage == "TLS":
            if security == "starttls" or (security == "tls" and fault != "BYE"):
                yield Cell(fault, stage, security, protocol="pop3")
        elif stage == "retr":
            for octets in OCTETS:
                yield Cell(fault, stage, security, octets=octets, protocol="pop3")
        else:
            yield Cell(fault, stage, security, protocol="pop3")
            if stage in {"dele", "quit"} and fault not in {"slow", "drip"}:
                yield Cell(fault, stage, security, arrives=False, protocol="pop3")


CELLS = {cell.name: cell for cell in cells()}


@pytest.fixture(scope="module")
def matrix(bed: Bed, request: pytest.FixtureRequest) -> Iterator[dict[str, Checked]]:
    """All cells, many at a time."""
    with running_matrix(bed, chosen(CELLS, request)) as running:
        yield running


@pytest.mark.parametrize("name", CELLS)
def test_every_cell(matrix: dict[str, Checked], name: str, request: pytest.FixtureRequest) -> None:
    """The right error in time or the whole result; a dead session stays dead; no mail is lost or doubled."""
    matrix[name].result(request.node.user_properties)
