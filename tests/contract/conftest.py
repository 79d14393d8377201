"""The servers that the suites run on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.imap_dialect import ImapDialect
from tests.contract.places import (
    GRAPHS,
    WITH_FOLDERS,
    graph_mailbox,
    graph_place_on,
    memory_place,
    place_on,
    pop3_place_on,
)
from tests.contract.pop3_dialect import Pop3Dialect
from tests.contract.signedin import CREDENTIALS, signed_in
from tests.contract.smtp_dialect import SmtpDialect
from tests.contract.witness import Witness
from tests.servers.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from tests.contract.dialects import Dialect
    from tests.contract.places import Place
    from tests.contract.sending import Post
    from tests.contract.signedin import SignedIn
    from tests.servers.authority import Authority as OAuthAuthority
    from tests.servers.base import MailboxServers, MailServers, Pop3Servers
    from tests.servers.graph.server import GraphServer


@pytest.fixture(params=["bed", "embedded"])
def servers(request: pytest.FixtureRequest) -> MailServers:
    """Servers that send and receive: real ones, and embedded ones."""
    running: MailServers = request.getfixturevalue(request.param)
    return running


@pytest.fixture(scope="module")
def sign_ins(graph_at_authority_server: GraphServer, authority_server: OAuthAuthority) -> dict[str, SignedIn]:
    """By credential. For one module: tests of another may end what was granted."""
    return {each: signed_in(graph_at_authority_server, authority_server, each) for each in CREDENTIALS}


@pytest.fixture(params=["bed", "embedded", *GRAPHS])
def post(request: pytest.FixtureRequest) -> Post:
    """Whatever takes mail, by SMTP or by Graph."""
    name, _, credential = request.param.partition("-")
    if credential:
        return _signed_in(request, credential)
    running: Post = request.getfixturevalue(name)
    return running


@pytest.fixture(params=["bed", "cyrus", "embedded"])
def mailbox_servers(request: pytest.FixtureRequest) -> MailboxServers:
    """Every server with mailboxes; nothing can be sent to Cyrus."""
    running: MailboxServers = request.getfixturevalue(request.param)
    return running


@pytest.fixture(params=["bed", "cyrus"])
def pop3_servers(request: pytest.FixtureRequest) -> Pop3Servers:
    """Every server that speaks POP3."""
    running: Pop3Servers = request.getfixturevalue(request.param)
    return running


@pytest.fixture(params=[*WITH_FOLDERS, "bed-pop3", "cyrus-pop3"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """An empty mailbox of each kind."""
    if request.param == "memory":
        yield memory_place()
        return
    with _place(request) as place:
        yield place


def _place(request: pytest.FixtureRequest) -> AbstractContextManager[Place]:
    """On a server; after "-" stands the protocol, or of Graph the credential."""
    server, _, way = request.param.partition("-")
    if server == "graph" and way:
        by_token = _signed_in(request, way)
        return graph_place_on(by_token.graph, by_token.mailbox())
    running = request.getfixturevalue(server)
    if server == "graph":
        return graph_place_on(running, graph_mailbox(running, next(iter(running.users))))
    return pop3_place_on(running) if way else place_on(running)


def _signed_in(request: pytest.FixtureRequest, credential: str) -> SignedIn:
    """With an empty mailbox."""
    request.getfixturevalue("graph_at_authority")
    sign_ins: dict[str, SignedIn] = request.getfixturevalue("sign_ins")
    return sign_ins[credential]


@pytest.fixture
def shared_place(mailbox_servers: MailboxServers) -> Iterator[Place]:
    """An empty mailbox that others have open too."""
    with place_on(mailbox_servers) as place:
        yield place


@pytest.fixture(params=[ImapDialect(), Pop3Dialect(), SmtpDialect()], ids=lambda dialect: dialect.name)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    """Each protocol, for the suites of TLS and of attacks."""
    spoken: Dialect = request.param
    return spoken


_SPEAKERS = (
    *(("bed", dialect) for dialect in (ImapDialect(), Pop3Dialect(), SmtpDialect())),
    ("cyrus", Pop3Dialect()),
    *(("embedded", dialect) for dialect in (ImapDialect(), SmtpDialect())),
)


@pytest.fixture(params=_SPEAKERS, ids=[f"{servers}-{dialect.name}" for servers, dialect in _SPEAKERS])
def speakers(request: pytest.FixtureRequest) -> tuple[MailServers, Dialect]:
    """Every server, with each protocol that it speaks."""
    servers, dialect = request.param
    return request.getfixturevalue(servers), dialect


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority for the scripted servers' certificates."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def witness(request: pytest.FixtureRequest) -> Witness:
    """Notes what the server saw, for the tables."""
    return Witness(request.node.user_properties)
