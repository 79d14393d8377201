"""Fetching many mails into storage: few round trips, and one mail that cannot be had hurts no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import ObjectStoragePath

from tests.airflow.conftest import ROBOT
from tests.airflow.test_tasks import execute, fetch
from tests.bench.link import Link
from tests.contract.imap_script import imap_script
from tests.contract.mails import RECEIVED, invoice
from tests.servers.scripted import ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_email_conn.backends.base import Mailbox
    from tests.servers.embedded import EmbeddedServers


def test_many_mails_take_few_round_trips(
    mailboxes: Callable[[str], Mailbox],
    embedded: EmbeddedServers,
    connect: Callable[..., None],
    tmp_path: Path,
) -> None:
    """Forty files of forty mails; a rerun takes none of them from the server."""
    mailboxes(ROBOT)
    for number in range(40):
        embedded.append(ROBOT, invoice(number, csv=b"%d" % number), when=RECEIVED)
    for most in (10, 9):
        with Link(embedded.imap_port) as link:
            connect({"incoming_security": "none"}, port=link.port)
            files, _ = execute(fetch(tmp_path, attachment="*.csv"))
        contents = {ObjectStoragePath(file["path"]).read_bytes() for file in files}
        assert contents == {b"%d" % number for number in range(40)}
        assert link.trips <= most


def test_mail_that_its_server_cannot_read(connect: Callable[..., None], tmp_path: Path) -> None:
    """Searched for, it is left out with a warning; the others are stored, and it leaves no file behind."""
    summary = (
        b"* %d FETCH (UID %d RFC822.SIZE 9 BODYSTRUCTURE "
        b'("text" "csv" ("name" "%d.csv") NIL NIL "7bit" 2 1 NIL ("attachment" NIL)) '
        b"BODY[HEADER.FIELDS (MESSAGE-ID)] {20}\r\nMessage-ID: <m%d@x>\r\n)\r\n"
    )

    def answer(arguments: str) -> bytes:
        if "BODY.PEEK[1]" not in arguments:
            return b"".join(summary % (n, n, n, n) for n in (1, 2, 3)) + b"%b OK\r\n"
        uid = int(arguments.split(maxsplit=1)[0])
        if uid == 2:
            return b"%b NO [SERVERBUG] Internal error occurred\r\n"
        return b"* %d FETCH (UID %d BODY[1] {1}\r\n%d)\r\n%%b OK\r\n" % (uid, uid, uid)

    script = imap_script({"SEARCH": b"* SEARCH 1 2 3\r\n%b OK\r\n", "FETCH": answer})
    with ScriptedServer(script) as server:
        connect({"incoming_security": "none"}, host="127.0.0.1", port=server.port)
        files, pushed = execute(fetch(tmp_path))
    assert [ObjectStoragePath(file["path"]).read_bytes() for file in files] == [b"1", b"3"]
    assert [mail["ref"]["uid"] for mail in pushed["mails"]] == ["1", "3"]
    assert sorted(path.name for path in tmp_path.glob("dt=*/*/*.csv")) == ["1.csv", "3.csv"]
