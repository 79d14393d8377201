"""A connection to the embedded servers, and Airflow's database."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.backends.imap.mailbox import ImapMailbox
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.model.server import Credential, Server
from tests.airflow.stage import Stage, running_stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_email_conn.backends.base import Mailbox
    from airflow_email_conn.model.message import Mail
    from tests.servers.embedded import EmbeddedServers

ROBOT = "robot@example.test"
VENDOR = "vendor@example.test"


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
def connect(embedded: EmbeddedServers, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Define the connection `email_default`, of the robot's mailbox, with changes."""

    def define(extra: dict[str, Any] | None = None, **changes: Any) -> None:
        form = {
            "conn_type": "email",
            "host": "localhost",
            "port": embedded.imaps_port,
            "login": ROBOT,
            "password": embedded.users[ROBOT],
            **changes,
            "extra": {
                "outgoing_host": "localhost",
                "outgoing_port": embedded.submission_port,
                "ca_certificates": str(embedded.ca),
                "timeout": 5,
                **(extra or {}),
            },
        }
        monkeypatch.setenv("AIRFLOW_CONN_EMAIL_DEFAULT", json.dumps(form))

    define()
    return define


@pytest.fixture
def mailboxes(embedded: EmbeddedServers) -> Iterator[Callable[[str], Mailbox]]:
    """Opens the mailbox of a user, without Airflow; all start empty."""
    opened: list[Mailbox] = []
    for user in embedded.users:
        embedded.empty(user)

    def open_one(user: str) -> Mailbox:
        server = Server(
            protocol="imap",
            host="localhost",
            port=embedded.imaps_port,
            credential=Credential("secret", user, embedded.users[user]),
            timeout=5,
            ca_certificates=str(embedded.ca),
        )
        opened.append(ImapMailbox.open(server, lambda _step: None))
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
