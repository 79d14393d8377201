"""A job on a large mailbox in a process of its own, which tells how much memory it took.

python -m tests.contract.largebox '{"host": ..., "port": ..., "user": ..., "secret": ..., "folder": ...}' JOB
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_email_conn.client import open_mailbox
from airflow_email_conn.model.message import Mail
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.model.server import Credential, Server
from airflow_email_conn.model.settings import EmailSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_email_conn.backends.base import Mailbox

__all__ = ["JOBS", "Measured", "measure"]

NEWEST = 50
_TIMEOUT = 60.0  # seconds: Dovecot reads a large mbox once, when a session first enters it


def newest(mailbox: Mailbox, folder: str) -> list[str]:
    """Search among all mails, list the newest 50, fetch them whole; their Message-IDs."""
    mails = list(mailbox.search(MailQuery(), folder=folder, limit=NEWEST, newest_first=True))
    whole = [mail for mail in mailbox.fetch_many([mail.ref for mail in mails]) if isinstance(mail, Mail)]
    assert [mail.message_id for mail in whole] == [mail.message_id for mail in mails]
    return [mail.message_id for mail in whole]


def unread(mailbox: Mailbox, folder: str) -> list[str]:
    """Every other mail is found, no two of them neighbours; the newest 50 of them."""
    found = mailbox.search(MailQuery(unseen=True), folder=folder, limit=NEWEST, newest_first=True)
    return [mail.message_id for mail in found]


def listed(mailbox: Mailbox, folder: str) -> list[str]:
    """List all mails; the first and the last, and how many there were."""
    count, first, last = 0, "", ""
    for mail in mailbox.search(MailQuery(), folder=folder):
        count, first, last = count + 1, first or mail.message_id, mail.message_id
    return [first, last, str(count)]


def marked(mailbox: Mailbox, folder: str) -> list[str]:
    """Mark all unread mails as read, at once; how many there were."""
    refs = [mail.ref for mail in mailbox.search(MailQuery(unseen=True), folder=folder)]
    return [str(len(mailbox.mark_seen(refs)))]


JOBS: dict[str, Callable[[Mailbox, str], list[str]]] = {
    job.__name__: job for job in (newest, unread, listed, marked)
}


@dataclass(frozen=True)
class Measured:
    """What a job gave, and what it took.

    :param grown: bytes of resident memory at its peak over that with the open, idle mailbox.
    """

    result: list[str]
    seconds: float
    grown: int


def measure(job: str, where: dict[str, Any]) -> Measured:
    """Run a job in a process of its own. :param where: host, port, user, secret, folder."""
    command = [sys.executable, "-m", "tests.contract.largebox", json.dumps(where), job]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=Path(__file__).parents[2])
    return Measured(**json.loads(done.stdout))


def _main(where: dict[str, Any], job: str) -> Measured:
    credential = Credential("secret", where["user"], where["secret"])
    server = Server("imap", where["host"], where["port"], "none", credential=credential, timeout=_TIMEOUT)
    with open_mailbox(EmailSettings("standard", server, None, "", timeout=_TIMEOUT)) as mailbox:
        begin = _resident("VmRSS")
        # proc(5): sets the peak back to what is resident now.
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        started = time.monotonic()
        result = JOBS[job](mailbox, where["folder"])
        return Measured(result, time.monotonic() - started, _resident("VmHWM") - begin)


def _resident(name: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii").split()
    return int(status[status.index(f"{name}:") + 1]) * 1024


if __name__ == "__main__":
    print(json.dumps(vars(_main(json.loads(sys.argv[1]), sys.argv[2]))))
