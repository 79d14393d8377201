"""The servers that the suites run on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.imap_dialect import ImapDialect
from tests.contract.places import memory_place, place_on
from tests.contract.smtp_dialect import SmtpDialect
from tests.contract.witness import Witness
from tests.servers.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.dialects import Dialect
    from tests.contract.places import Place
    from tests.servers.base import MailboxServers, MailServers


@pytest.fixture(params=["bed", "embedded"])
def servers(request: pytest.FixtureRequest) -> MailServers:
    """Servers that send and receive: real ones, and embedded ones."""
    running: MailServers = request.getfixturevalue(request.param)
    return running


@pytest.fixture(params=["bed", "cyrus", "embedded"])
def mailbox_servers(request: pytest.FixtureRequest) -> MailboxServers:
    """Every server with mailboxes; nothing can be sent to Cyrus."""
    running: MailboxServers = request.getfixturevalue(request.param)
    return running


@pytest.fixture(params=["memory", "bed", "cyrus", "embedded"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """An empty mailbox of each kind."""
    if request.param == "memory":
        yield memory_place()
        return
    with place_on(request.getfixturevalue(request.param)) as place:
        yield place


@pytest.fixture
def shared_place(mailbox_servers: MailboxServers) -> Iterator[Place]:
    """An empty mailbox that others have open too."""
    with place_on(mailbox_servers) as place:
        yield place


@pytest.fixture(params=[ImapDialect(), SmtpDialect()], ids=lambda dialect: dialect.name)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    """Each protocol, for the suites of TLS and of attacks."""
    spoken: Dialect = request.param
    return spoken


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority for the scripted servers' certificates."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def witness(request: pytest.FixtureRequest) -> Witness:
    """Notes what the server saw, for the tables."""
    return Witness(request.node.user_properties)
