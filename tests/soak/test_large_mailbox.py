"""All of 100,000 mails: listed, and changed, in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.conftest import witness
from tests.contract.test_large_mailbox import COUNT, large, through_proxy

if TYPE_CHECKING:
    from tests.contract.witness import Witness
    from tests.servers.restarting import RestartingDovecot

__all__ = ["large", "witness"]

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]


def test_list_100_000(large: tuple[RestartingDovecot, str], witness: Witness) -> None:
    """One after the other, while memory stays flat."""
    measured, _ = through_proxy(large, "listed", witness)
    assert measured.result == ["<plain-0@acme.com>", f"<plain-{COUNT - 1}@acme.com>", str(COUNT)]


def test_mark_50_000_without_neighbours(large: tuple[RestartingDovecot, str], witness: Witness) -> None:
    """The sets of UIDs are cut into commands that a server takes."""
    measured, commands = through_proxy(large, "marked", witness)
    assert measured.result == [str(COUNT // 2)]
    assert len([command for command in commands if b"UID STORE" in command]) > 1
