"""The main job on embedded servers: `poe demo`.

Starts an IMAP and an SMTP server on 127.0.0.1 and a throw-away Airflow, lets a vendor send a mail with a CSV,
runs the example DAG `vendor_csv`, and checks what came of it. Ends with `demo: OK`, or with status 1 and what
is not true.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_email_conn.client import open_mailbox, open_sender
from airflow_email_conn.model.draft import Content, Draft
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.model.settings import EmailSettings
from tests.servers.embedded import EmbeddedServers, running_embedded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_email_conn.backends.base import Mailbox
    from airflow_email_conn.model.message import MailSummary

VENDOR, ROBOT = "vendor@example.test", "robot@example.test"
CSV = b"invoice;amount\r\n2026-001;1200.50\r\n2026-002;80.00\r\n"
FILE = "Rechnungen März.csv"


class NotTrueError(Exception):
    """Something that the demo promises did not happen."""


def check(claim: str, *, holds: bool) -> None:
    """Say what is true. :raises NotTrueError: it is not."""
    if not holds:
        raise NotTrueError(claim)
    print(f"  ok: {claim}")


def connection(servers: EmbeddedServers, user: str) -> dict[str, Any]:
    """One connection of type `email`: the user's mailbox by IMAP, and the outgoing server."""
    return {
        "conn_type": "email",
        "host": "localhost",
        "port": servers.imaps_port,
        "login": user,
        "password": servers.users[user],
        "extra": {
            "outgoing_host": "localhost",
            "outgoing_port": servers.submission_port,
            "ca_certificates": str(servers.ca),
        },
    }


def settings(servers: EmbeddedServers, user: str) -> EmailSettings:
    """The same connection for use without Airflow."""
    form = connection(servers, user)
    return EmailSettings.parse(
        {**{key: form[key] for key in ("host", "port", "login", "password")}, **form["extra"]},
        environ={},
        variable=lambda _: None,
    )


@contextmanager
def airflow_home(servers: EmbeddedServers) -> Iterator[tuple[Path, dict[str, str]]]:
    """A throw-away Airflow with its own database: where it lies, and the environment of its processes."""
    with tempfile.TemporaryDirectory(prefix="email-conn-demo-") as home:
        yield (
            Path(home),
            {
                **os.environ,
                "AIRFLOW_HOME": home,
                "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parent),
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
                "AIRFLOW_CONN_EMAIL_DEFAULT": json.dumps(connection(servers, ROBOT)),
                "PYTHONWARNINGS": "ignore",
            },
        )


def run_dag(environment: dict[str, str], dag_id: str, conf: dict[str, Any]) -> None:
    """Make the database and run one example DAG. :raises NotTrueError: it did not succeed."""
    code = (
        "import importlib, json, sys\n"
        "from airflow.utils.db import initdb\n"
        "initdb()\n"
        "dag_id, conf = sys.argv[1], json.loads(sys.argv[2])\n"
        "dag = importlib.import_module(f'dags_examples.{dag_id}').__dict__[f'{dag_id}_dag']\n"
        "run = dag.test(run_conf=conf)\n"
        "print('state of the run:', run.state)\n"
        "sys.exit(run.state != 'success')\n"
    )
    run = subprocess.run(  # noqa: S603 - our own code, our own arguments
        [sys.executable, "-c", code, dag_id, json.dumps(conf)],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if run.returncode:
        print(run.stdout[-5000:], run.stderr[-5000:], sep="\n")
    check(f"the DAG {dag_id} ran to success", holds=run.returncode == 0)


def folders(mailbox: Mailbox) -> dict[str, list[str]]:
    """Subjects by folder."""
    return {
        folder.name: [mail.subject for mail in mailbox.search(MailQuery(), folder=folder.name)]
        for folder in mailbox.folders()
    }


def vendor_sends(servers: EmbeddedServers) -> MailSummary:
    """Send a vendor's mail by SMTP and find it in the robot's mailbox."""
    with open_sender(settings(servers, VENDOR)) as sender:
        sender.send(
            Draft(
                to=[ROBOT],
                subject="Rechnungen März",
                text="Guten Tag,\nanbei die Rechnungen.\n",
                attachments=[Content(FILE, CSV)],
            )
        )
    with open_mailbox(settings(servers, ROBOT)) as mailbox:
        print("folders before:", folders(mailbox))
        (mail,) = mailbox.search(MailQuery(sender=VENDOR, attachment="*.csv", unseen=True))
        print(f"mail found: {mail.message_id} from {mail.sender}, {mail.subject!r}, received {mail.received}")
    return mail


def check_storage(storage: Path, mail: MailSummary) -> None:
    """One file, byte for byte, and the manifest beside it."""
    (manifest,) = storage.glob("dt=*/*/_manifest.json")
    (entry,) = json.loads(manifest.read_text(encoding="utf-8"))["files"]
    stored = (manifest.parent / entry["stored_as"]).read_bytes()
    digest = hashlib.sha256(stored).hexdigest()
    print(f"file: {manifest.parent / entry['stored_as']}, {len(stored)} bytes, sha256 {digest}")
    check("the stored file is the vendor's, byte for byte", holds=stored == CSV)
    check(
        "the manifest names it with size and sha256",
        holds=(entry["size"], entry["sha256"]) == (len(CSV), digest),
    )
    check(
        "the folder is named by the Message-ID",
        holds=manifest.parent.name == (mail.message_id or "").strip("<>"),
    )


def check_mailboxes(servers: EmbeddedServers, mail: MailSummary) -> None:
    """The vendor has the reply, the robot's mail is filed."""
    with open_mailbox(settings(servers, VENDOR)) as mailbox:
        replies = list(mailbox.search(MailQuery(sender=ROBOT)))
        check("the vendor received one reply", holds=len(replies) == 1)
        print(f"reply: {replies[0].message_id}, {replies[0].subject!r}")
        check("it answers the vendor's mail", holds=replies[0].in_reply_to == (mail.message_id,))
    with open_mailbox(settings(servers, ROBOT)) as mailbox:
        after = folders(mailbox)
        print("folders after:", after)
        check("the mail lies in Done, and nowhere else", holds=after == {"INBOX": [], "Done": [mail.subject]})


def main() -> int:
    """Run the demo; the exit status."""
    try:
        with running_embedded() as servers, airflow_home(servers) as (home, environment):
            mail = vendor_sends(servers)
            storage = home / "storage"
            run_dag(environment, "vendor_csv", {"sender": VENDOR, "path": storage.as_uri()})
            check_storage(storage, mail)
            check_mailboxes(servers, mail)
    except Exception as exc:  # noqa: BLE001 - whatever it is, the last line must say that the demo failed
        print(f"demo: FAILED: {exc}" if isinstance(exc, NotTrueError) else f"demo: FAILED: {exc!r}")
        return 1
    print("demo: OK")
    return 0


if __name__ == "__main__":
    sys.exit(main())
