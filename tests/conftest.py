"""Fixtures for all tests: a throw-away Airflow, the mail servers, and the amount of property testing."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.servers.authority import Authority, running_authority
from tests.servers.authorityfaults import FaultyAuthority
from tests.servers.bed import Bed, bed_unavailable, running_bed
from tests.servers.certificates import Authority as CertificateAuthority
from tests.servers.embedded import DEFAULT_USERS, EmbeddedServers, embedded_unavailable, running_embedded
from tests.servers.graph.introspection import asking
from tests.servers.graph.server import GraphServer, running_graph

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.cyrus import Cyrus

# Airflow reads these once, when it is first imported: before any test module is.
_HOME = tempfile.mkdtemp(prefix="email-conn-tests-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
os.environ.update(
    AIRFLOW_HOME=_HOME,
    AIRFLOW__CORE__DAGS_FOLDER=str(Path(__file__).parent.parent / "dags_examples"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__TEST_CONNECTION="Enabled",
)

settings.register_profile("dev", max_examples=25, deadline=None)
settings.register_profile("ci", max_examples=100, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture(scope="session")
def bed() -> Iterator[Bed]:
    """Real Dovecot and Postfix, and Cyrus beside them.

    Skipped only where they cannot be had: never in CI for root on Debian. An installation or a start that
    fails is an error everywhere.
    """
    reason = bed_unavailable()
    if reason is not None:
        if os.environ.get("CI") and os.geteuid() == 0 and Path("/etc/debian_version").exists():
            pytest.fail(f"CI must not skip the real servers: {reason}")
        pytest.skip(reason)
    with running_bed() as servers:
        yield servers


@pytest.fixture(scope="session")
def authority_server(bed: Bed) -> Iterator[Authority]:
    """The OAuth authority of the bed, started by the first test that asks for it."""
    with running_authority(bed) as authority:
        yield authority


@pytest.fixture
def authority(authority_server: Authority) -> Authority:
    """The OAuth authority of the bed: up, with its usual lifetimes, and counting from zero."""
    authority_server.reset()
    return authority_server


@pytest.fixture
def faulty_authority(authority: Authority) -> Iterator[FaultyAuthority]:
    """A proxy in front of the authority that can misbehave."""
    with FaultyAuthority(authority) as faulty:
        yield faulty


@pytest.fixture(scope="session")
def cyrus(bed: Bed) -> Cyrus:
    """Real Cyrus; it runs beside the bed."""
    return bed.cyrus


@pytest.fixture(scope="session")
def embedded() -> Iterator[EmbeddedServers]:
    """IMAP and SMTP by pymap and aiosmtpd, in this process."""
    reason = embedded_unavailable()
    if reason is not None:
        pytest.skip(reason)
    with running_embedded() as servers:
        yield servers


@pytest.fixture(scope="session")
def graph_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GraphServer]:
    """The fake Microsoft Graph, in this process."""
    authority = CertificateAuthority(tmp_path_factory.mktemp("graph"))
    certificate = authority.issue("graph", "localhost", "127.0.0.1")
    with running_graph(DEFAULT_USERS, certificate, authority.ca) as server:
        yield server


@pytest.fixture
def graph(graph_server: GraphServer) -> Iterator[GraphServer]:
    """The fake Microsoft Graph with empty mailboxes; what breaks its schema fails the test."""
    graph_server.reset()
    yield graph_server
    assert not graph_server.violations


@pytest.fixture(scope="session")
def graph_at_authority_server(bed: Bed, authority_server: Authority) -> Iterator[GraphServer]:
    """The fake Microsoft Graph with the bed's users and certificate; it takes tokens of the authority."""
    with running_graph(bed.users, bed.certificate, bed.ca, asking(authority_server)) as server:
        yield server


@pytest.fixture
def graph_at_authority(graph_at_authority_server: GraphServer, authority: Authority) -> Iterator[GraphServer]:
    """The same with empty mailboxes; the authority counts from zero."""
    graph_at_authority_server.reset()
    yield graph_at_authority_server
    assert not graph_at_authority_server.violations
