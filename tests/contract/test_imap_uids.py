"""UIDs that begin anew under the same UIDVALIDITY, as mailutils-imap4d does against RFC 9051 2.3.1.1."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from airflow_email_conn.backends.imap.mailbox import ImapMailbox
from airflow_email_conn.backends.position import Position
from airflow_email_conn.lookout import Lookout, Wanted
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.model.server import Credential, Server
from airflow_email_conn.model.settings import EmailSettings
from airflow_email_conn.watch import MailWatch
from tests.contract.imap_script import imap_script
from tests.contract.places import ignore
from tests.servers.scripted import ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from airflow_email_conn.model.message import MailSummary


class Forgetful:
    """A server that, once its folder is empty, gives the next mail the UID 1 again.

    :param tells: whether EXAMINE tells the next UID.
    """

    def __init__(self, mails: int, *, tells: bool = True) -> None:
        self.mails = mails
        self._tells = tells
        self.script = imap_script(
            {"EXAMINE": self._examine, "SEARCH": self._search, "FETCH": self._fetch, "CLOSE": b"%b OK\r\n"}
        )

    def _examine(self, _arguments: str) -> bytes:
        uid_next = b"* OK [UIDNEXT %d] next\r\n" % (self.mails + 1) if self._tells else b""
        return b"* OK [UIDVALIDITY 1] ok\r\n" + uid_next + b"%b OK [READ-ONLY] in\r\n"

    def _search(self, arguments: str) -> bytes:
        uids = range(1, self.mails + 1)
        if arguments.startswith("UID "):
            first = arguments.split()[1].partition(":")[0]
            # `n:*` names the last mail of all, however low its UID (RFC 9051 6.4.8).
            start = self.mails if first == "*" else min(int(first), self.mails)
            uids = range(start, self.mails + 1)
        return b"* SEARCH " + b" ".join(b"%d" % uid for uid in uids if uid) + b"\r\n%b OK\r\n"

    def _fetch(self, _arguments: str) -> bytes:
        header = b"BODY[HEADER.FIELDS (SUBJECT)] {12}\r\nSubject: a\r\n"
        fetch = b"* %d FETCH (UID %d RFC822.SIZE 1 " + header + b")\r\n"
        return b"".join(fetch % (uid, uid) for uid in range(1, self.mails + 1)) + b"%b OK\r\n"


def settings(port: int) -> EmailSettings:
    """A connection to it."""
    ann = Credential("secret", "ann", "s3cret-pw")
    server = Server("imap", "127.0.0.1", port, "none", credential=ann, timeout=2.0)
    return EmailSettings("standard", server, None, "", timeout=2.0)


@contextlib.contextmanager
def mailbox_on(server: Forgetful) -> Iterator[ImapMailbox]:
    """A mailbox there."""
    with ScriptedServer(server.script) as scripted:
        incoming = settings(scripted.port).incoming
        assert incoming is not None
        with ImapMailbox.open(incoming, ignore) as mailbox:
            yield mailbox


def uids(mails: Iterator[MailSummary] | list[MailSummary]) -> list[str]:
    """Their UIDs."""
    return [mail.ref.uid for mail in mails]


def test_search_after_a_position(caplog: pytest.LogCaptureFixture) -> None:
    """A folder that was emptied and filled again: its mails are found, and the log says why, once."""
    server = Forgetful(5)
    with mailbox_on(server) as mailbox:
        position = mailbox.position()
        assert uids(mailbox.search(MailQuery(), after=position)) == []
        assert caplog.messages == []
        server.mails = 2
        assert uids(mailbox.search(MailQuery(), after=position)) == ["1", "2"]
        assert [message.count("was made anew") for message in caplog.messages] == [1]


def test_where_the_next_uid_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing says that the position fits no more: what lies behind it is found, and nobody is alarmed."""
    server = Forgetful(5, tells=False)
    with mailbox_on(server) as mailbox:
        position = mailbox.position()
        assert position.uid == 5
        server.mails = 6
        assert uids(mailbox.search(MailQuery(), after=position)) == ["6"]
        assert caplog.messages == []


def test_who_waits(caplog: pytest.LogCaptureFixture) -> None:
    """A lookout whose triggerer came back after the folder had begun anew: one warning, and the mails."""
    warnings: list[str] = []
    server = Forgetful(2)

    async def wait(port: int) -> list[MailSummary]:
        watch = MailWatch(settings(port), "INBOX", flags=False, refresh=1.0, interval=0.2)
        lookout = Lookout(
            watch,
            Wanted(MailQuery()),
            Position("INBOX", "1", 5),
            patience=5.0,
            warn=lambda message, *details: warnings.append(message % details),
        )
        try:
            return await lookout.mails(time.time() + 5)
        finally:
            watch.close()

    with ScriptedServer(server.script) as scripted:
        assert uids(asyncio.run(wait(scripted.port))) == ["1", "2"]
    assert [warning.count("was made anew") for warning in warnings] == [1]
    assert caplog.messages == []
