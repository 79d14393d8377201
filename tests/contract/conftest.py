"""The servers that the suites run on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.servers.base import MailServers


@pytest.fixture(params=["bed", "embedded"])
def servers(request: pytest.FixtureRequest) -> MailServers:
    """Real servers, and embedded ones."""
    running: MailServers = request.getfixturevalue(request.param)
    return running
