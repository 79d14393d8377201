"""A connection to the embedded servers, and Airflow's database."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.backends.imap.mailbox import ImapMailbox
from airflow_email_conn.model.query import MailQuery
from tests.airflow.oauth import forget_sign_ins
from tests.airflow.stage import Stage, running_stage
from tests.contract.places import graph_mailbox, ignore, imap_server
from tests.servers.graph.server import GraphServer
from tests.servers.microsoft import MicrosoftAuthority
from tests.servers.serving import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_email_conn.backends.base import Mailbox
    from airflow_email_conn.model.message import Mail
    from tests.servers.embedded import EmbeddedServers

ROBOT = "robot@example.test"
VENDOR = "vendor@example.test"
MICROSOFT = "microsoft365"
#: What `email_default` can be: IMAP and SMTP, or Microsoft 365.
KINDS = ("standard", MICROSOFT)
every_kind = pytest.mark.parametrize("kind", KINDS, indirect=True)
only_standard = pytest.mark.parametrize("kind", ["standard"], indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Airflow and its dependencies warn about themselves; only our own warnings are errors here."""
    for item in items:
        if "/airflow/" in str(item.path):
            item.add_marker(pytest.mark.filterwarnings("default"))
        if "stage" in getattr(item, "fixturenames", ()):
            # The first one starts a whole Airflow, and waits for all that it is to do.
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def database() -> None:
    """Airflow's database, made once. In a process of its own, as `airflow db migrate` is."""
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A whole Airflow at DEBUG, with mail servers of its own."""
    with running_stage(tmp_path_factory.mktemp("stage") / "airflow") as running:
        yield running


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """Which of KINDS. Modules whose tests are of both replace this by a fixture with `params`."""
    return str(getattr(request, "param", "standard"))


@pytest.fixture
def servers(kind: str, request: pytest.FixtureRequest) -> EmbeddedServers | GraphServer:
    """Where the mailboxes are."""
    found: EmbeddedServers | GraphServer = request.getfixturevalue(
        "graph" if kind == MICROSOFT else "embedded"
    )
    return found


@pytest.fixture(scope="session")
def logins(database: None, graph_server: GraphServer) -> Iterator[MicrosoftAuthority]:
    """The authority of the fake Microsoft Graph; its tokens are kept until the end."""
    with serving(MicrosoftAuthority(graph_server, ROBOT)) as authority:
        yield authority
    forget_sign_ins()


@pytest.fixture
def no_sign_ins(database: None) -> Iterator[None]:
    """Nobody has signed in before, and nobody has afterwards."""
    forget_sign_ins()
    yield
    forget_sign_ins()


@pytest.fixture
def connect(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Define the connection `email_default`, of the robot's mailbox, with changes."""
    usual: dict[str, Any] = request.getfixturevalue("microsoft" if kind == MICROSOFT else "standard")

    def define(extra: dict[str, Any] | None = None, **changes: Any) -> None:
        form = {**usual, **changes, "extra": {**usual["extra"], **(extra or {})}}
        monkeypatch.setenv("AIRFLOW_CONN_EMAIL_DEFAULT", json.dumps(form))

    define()
    return define


@pytest.fixture
def standard(embedded: EmbeddedServers) -> dict[str, Any]:
    """The form of a connection to the embedded servers."""
    return {
        "conn_type": "email",
        "host": "localhost",
        "port": embedded.imaps_port,
        "login": ROBOT,
        "password": embedded.users[ROBOT],
        "extra": {
            "outgoing_host": "localhost",
            "outgoing_port": embedded.submission_port,
            "ca_certificates": str(embedded.ca),
            "timeout": 5,
        },
    }


@pytest.fixture
def microsoft(graph: GraphServer, logins: MicrosoftAuthority) -> dict[str, Any]:
    """The form of a connection to the fake Microsoft Graph, of an application."""
    return {
        "conn_type": "email",
        "login": ROBOT,
        "password": "client-secret",
        "extra": {
            "connection_type": MICROSOFT,
            "graph_url": graph.url,
            "authority": f"https://localhost:{logins.port}/contoso.com",
            "scopes": [f"{graph.url}/.default"],
            "credential": "oauth_client_credentials",
            "client_id": "application",
            "ca_certificates": str(graph.ca),
            "timeout": 5,
        },
    }


@pytest.fixture
def mailboxes(servers: EmbeddedServers | GraphServer) -> Iterator[Callable[[str], Mailbox]]:
    """Opens the mailbox of a user, without Airflow; all start empty."""
    opened: list[Mailbox] = []
    for user in servers.users:
        servers.empty(user)

    def open_one(user: str) -> Mailbox:
        if isinstance(servers, GraphServer):
            opened.append(graph_mailbox(servers, user, timeout=5.0))
        else:
            opened.append(ImapMailbox.open(imap_server(servers, user, timeout=5.0), ignore))
        return opened[-1]

    yield open_one
    for mailbox in opened:
        mailbox.close()


@pytest.fixture
def vendor(connect: Callable[..., None], mailboxes: Callable[[str], Mailbox]) -> Callable[[], Mail]:
    """The only mail that the vendor has received."""
    mailbox = mailboxes(VENDOR)

    def only() -> Mail:
        (summary,) = mailbox.search(MailQuery())
        return mailbox.fetch(summary.ref)

    return only
