"""A deployment of Airflow, with mail servers whose secrets occur nowhere else: tests look for them."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_email_conn.backends.imap.mailbox import ImapMailbox
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.model.server import Credential, Server
from tests.airflow.deployment import Deployment, running_airflow
from tests.servers.embedded import EmbeddedServers, running_embedded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_email_conn.backends.base import Mailbox
    from airflow_email_conn.model.message import Mail

__all__ = ["ROBOT", "SECRETS", "Stage", "connection", "running_stage"]

_PROJECT = Path(__file__).parents[2]

ROBOT = "robot@example.test"
#: Passwords by user: one of them with letters that UTF-8, JSON and URLs each write in another way.
SECRETS = {
    ROBOT: "Zq7-robot-Ünïque/pw+9",
    "vendor@example.test": "Zq7-vendor-unique-pw",
    "relay@example.test": "Zq7-relay unique&pw",
}


@dataclass(frozen=True)
class Stage:
    """What runs.

    :param files: a folder that the DAGs may write into: the variable STAGE_FILES.
    """

    airflow: Deployment
    servers: EmbeddedServers
    files: Path

    @contextlib.contextmanager
    def mailbox(self) -> Iterator[Mailbox]:
        """The robot's mailbox."""
        server = Server(
            protocol="imap",
            host="localhost",
            port=self.servers.imaps_port,
            credential=Credential("secret", ROBOT, SECRETS[ROBOT]),
            timeout=5,
            ca_certificates=str(self.servers.ca),
        )
        with ImapMailbox.open(server, lambda _step: None) as mailbox:
            yield mailbox

    def wait_for_mail(self, wanted: Callable[[list[Mail]], bool], seconds: float = 90) -> list[Mail]:
        """All mails of the robot, once they are as wanted. :raises TimeoutError: names their subjects."""
        end = time.monotonic() + seconds
        while True:
            with self.mailbox() as mailbox:
                mails = [mailbox.fetch(mail.ref) for mail in mailbox.search(MailQuery())]
            if wanted(mails):
                return mails
            if time.monotonic() > end:
                raise TimeoutError(f"not all mails came: {[mail.subject for mail in mails]}")
            time.sleep(1)


def connection(servers: EmbeddedServers, **changes: Any) -> dict[str, Any]:
    """The form of a connection to the robot's mailbox."""
    extra = {
        "outgoing_host": "localhost",
        "outgoing_port": servers.submission_port,
        "ca_certificates": str(servers.ca),
        "timeout": 5,
    }
    form = {"host": "localhost", "port": servers.imaps_port, "login": ROBOT, "password": SECRETS[ROBOT]}
    return {**form, **changes, "conn_type": "email", "extra": {**extra, **changes.get("extra", {})}}


@contextlib.contextmanager
def running_stage(home: Path) -> Iterator[Stage]:
    """Run mail servers and Airflow at DEBUG.

    The connection `email_default` is in its database, `email_env` in its environment.
    """
    files = home / "files"
    environment = {
        "AIRFLOW__EMAIL__EMAIL_BACKEND": "airflow_email_conn.notifications.mail.send_email",
        "AIRFLOW__EMAIL__EMAIL_CONN_ID": "email_default",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
        "PYTHONPATH": os.pathsep.join((str(_PROJECT), os.environ.get("PYTHONPATH", ""))),
        "STAGE_FILES": str(files),
    }
    with running_embedded(SECRETS) as servers:
        dags = (Path(__file__).parent / "dags", _PROJECT / "dags_examples")
        environment["AIRFLOW_CONN_EMAIL_ENV"] = json.dumps(connection(servers))
        with running_airflow(home, dags, environment) as airflow:
            files.mkdir()
            airflow.connect("email_default", connection(servers))
            yield Stage(airflow, servers, files)
