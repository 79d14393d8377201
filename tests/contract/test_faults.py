"""Every fault of the network and of the server at every stage of a job.

This is the short form, mostly in clear; `poe soak` has the long one.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest

from tests.contract.faultcells import FAULTS, Cell
from tests.contract.faultmatrix import Checked, chosen, running_matrix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.bed import Bed

STAGES = ("greeting", "TLS", "sign in", "search", "headers", "body", "store", "move")
POP3_STAGES = ("greeting", "TLS", "sign in", "list", "top", "retr", "dele", "quit")


def cells() -> Iterator[Cell]:
    """Every fault at every stage; some again inside TLS, and where the server never heard the command."""
    for stage, fault in product(STAGES, FAULTS):
        if stage == "TLS":
            yield Cell(fault, stage, "starttls" if fault == "BYE" else "tls")
        elif stage == "body":
            yield from (Cell(fault, stage, octets=octets) for octets in (100, 40_000))
        else:
            yield Cell(fault, stage)
    for fault in FAULTS:
        yield Cell(fault, "body", "tls", octets=20_000)
        yield Cell(fault, "move", "tls")
    for stage, fault in product(("store", "move"), ("cut", "stall", "restart")):
        yield Cell(fault, stage, arrives=False)
    for fault in ("cut", "reset", "BYE"):
        yield Cell(fault, "headers", heals=True)
        yield Cell(fault, "body", octets=40_000, heals=True)
    yield from (Cell("cut", stage) for stage in ("copy", "mark", "expunge"))
    yield from pop3_cells()


def pop3_cells() -> Iterator[Cell]:
    """Every fault at every stage of POP3; restarts, which take long, at three of them."""
    for stage, fault in product(POP3_STAGES, FAULTS):
        if fault == "restart" and stage not in {"list", "retr", "quit"}:
            continue
        security = "none" if stage != "TLS" else "starttls" if fault == "BYE" else "tls"
        octets = 40_000 if stage == "retr" else None
        yield Cell(fault, stage, security, octets=octets, protocol="pop3")
    for fault in ("cut", "stall"):
        yield Cell(fault, "quit", "tls", protocol="pop3")
        yield Cell(fault, "quit", arrives=False, protocol="pop3")


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
