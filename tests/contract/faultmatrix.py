"""The fault matrix: many cells at a time, since nearly all that they do is wait."""

from __future__ import annotations

import contextlib
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

import pytest

from tests.contract.faultcells import play
from tests.contract.faultchecks import check
from tests.contract.faultscene import Scene
from tests.contract.witness import Witness
from tests.servers.restarting import MODEST_HOST, restarting_dovecot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.contract.faultcells import Cell
    from tests.servers.bed import Bed

__all__ = ["Checked", "chosen", "running_matrix"]

_WORKERS = 8
#: More than the kernel holds between the server and the proxy, and would pass on after the server's end.
_LARGE = 10_000_000


@dataclass(frozen=True)
class Checked:
    """A cell that is played and checked in another thread."""

    notes: list[tuple[str, object]]
    end: Future[None]

    def result(self, properties: list[tuple[str, object]]) -> None:
        """Wait for its end, and note what its witness saw. :raises AssertionError: it did not hold."""
        try:
            self.end.result()
        finally:
            properties.extend(self.notes)


def chosen(cells: Mapping[str, Cell], request: pytest.FixtureRequest) -> list[Cell]:
    """Those that pytest was asked to run: `-k` chooses among them."""
    items = (item for item in request.session.items if item.path == request.path)
    return [cells[item.callspec.params["name"]] for item in items if isinstance(item, pytest.Function)]


@contextlib.contextmanager
def running_matrix(bed: Bed, cells: Iterable[Cell]) -> Iterator[dict[str, Checked]]:
    """Play cells on the bed's Dovecot, or on one of their own; those that restart it one after the other."""
    with (
        restarting_dovecot() as restarting,
        restarting_dovecot() as modest,
        ThreadPoolExecutor(_WORKERS) as together,
        ThreadPoolExecutor(1) as one_by_one,
    ):

        def one(number: int, cell: Cell, login: str, notes: list[tuple[str, object]]) -> None:
            name = f"cell {number}"
            size = _LARGE if cell.fault == "restart" and cell.octets is not None else Scene.size
            if cell.protocol == "pop3":
                server = restarting if cell.fault == "restart" else modest
                user = server.user(f"cell-{number}")
                scene = Scene(server, server.mail, user, "INBOX", size=size, protocol="pop3")
            elif cell.fault == "restart":
                scene = Scene(restarting, restarting.mail, login, name, size=size)
            elif cell.modest:
                scene = Scene(modest, modest.mail, login, name, MODEST_HOST)
            else:
                scene = Scene(bed, bed.directory / "mail", login, name)
            check(cell, scene, play(cell, scene, restarting.restart), Witness(notes))

        running: dict[str, Checked] = {}
        for number, (cell, login) in enumerate(zip(cells, cycle(bed.users), strict=False)):
            notes: list[tuple[str, object]] = []
            pool = one_by_one if cell.fault == "restart" else together
            running[cell.name] = Checked(notes, pool.submit(one, number, cell, login, notes))
        yield running
    for login in bed.users:
        bed.empty(login)
