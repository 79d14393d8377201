"""Waiting for mails on servers that tell too much, tell too little, or cannot read a mail for a while."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.errors import UnavailableError
from airflow_email_conn.lookout import Lookout, Wanted
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.model.settings import EmailSettings
from tests.contract.imap_script import imap_script
from tests.contract.maildrops import MAIL, Maildrops, at
from tests.contract.test_idle import done, served, strange, watching
from tests.servers.scripted import Conversation, ScriptedServer

if TYPE_CHECKING:
    from airflow_email_conn.backends.position import Position
    from airflow_email_conn.model.message import MailSummary
    from airflow_email_conn.model.server import Server

WANTED = MailQuery(sender="@acme.com")


def wait(
    connection: EmailSettings, seconds: float, query: MailQuery = WANTED, **options: Any
) -> list[MailSummary]:
    """What is found within so many seconds. :raises EmailError:"""

    async def run() -> list[MailSummary]:
        position: Position | None = options.pop("position", None)
        with watching(connection, **options) as watch:
            lookout = Lookout(watch, Wanted(query), position, patience=60, warn=lambda *_: None)
            return await lookout.mails(time.time() + seconds)

    return asyncio.run(run())


def fetched(uid: int) -> bytes:
    """A mail of acme.com, as FETCH shows it."""
    header = b"From: a@acme.com\r\nSubject: s\r\n\r\n"
    return (
        b'* %d FETCH (UID %d FLAGS () INTERNALDATE "17-Jul-2026 02:44:25 +0000" RFC822.SIZE 100 '
        b'BODYSTRUCTURE ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 4 1) BODY[HEADER.FIELDS (X)] {%d}\r\n%b)\r\n'
    ) % (uid, uid, len(header), header)


# ------------------------------------------------------------ mails that cannot be read for a while


def test_imap_mails_that_cannot_be_read_for_a_while_are_found_later() -> None:
    """The position stays before them, though the look was completed."""
    refusals = iter([b"%b NO [SERVERBUG] Internal error occurred\r\n"] * 3)

    def search(arguments: str) -> bytes:
        found = (
            b" 7" if arguments.startswith("UID 7:") else b"" if arguments.startswith("UID 8:") else b" 6 7"
        )
        return b"* SEARCH" + found + b"\r\n%b OK done\r\n"

    answers: dict[str, Any] = {
        "EXAMINE": b"* OK [UIDVALIDITY 1] ok\r\n* OK [UIDNEXT 8] ok\r\n%b OK [READ-ONLY] ok\r\n",
        "SEARCH": search,
        "FETCH": lambda _: next(refusals, fetched(6) + fetched(7) + b"%b OK done\r\n"),
    }
    with ScriptedServer(imap_script(answers)) as server:
        assert [mail.ref.uid for mail in wait(strange(server), 5, interval=0.2)] == ["6", "7"]


def test_pop3_mails_that_cannot_be_read_for_a_while_are_found_later() -> None:
    """As on IMAP: here the position is the mails that were decided."""
    drop = Maildrops({"a": MAIL % b"a", "b": b"From: a@acme.com\r\n" + MAIL % b"b"})
    drop.answers = {b"TOP 2": b"-ERR not now\r\n", b"RETR 2": b"-ERR not now\r\n"}

    def handler(conversation: Conversation) -> None:
        drop(conversation)
        if drop.commands.count(b"QUIT") == 2:
            drop.answers.clear()

    with ScriptedServer(handler) as server:
        connection = EmailSettings("standard", address(server), None, "", timeout=2.0)
        assert [mail.ref.uid for mail in wait(connection, 5, interval=0.2)] == ["b"]


def address(server: ScriptedServer) -> Server:
    """Where a scripted POP3 server is."""
    with at(server) as mailbox:
        return mailbox._server


# ------------------------------------------------------------ servers that tell too much


def busy(idling: bytes, end: bytes = b"") -> int:
    """How often a server is searched within 3 s that says this at each IDLE, and ends it so."""

    def idle(conversation: Conversation, tag: bytes) -> None:
        conversation.send(b"+ idling\r\n" + idling)
        if end:
            conversation.send(tag + end)
        else:
            done(conversation, tag)

    with ScriptedServer(served(idle)) as server:
        assert wait(strange(server), 3) == []
        return server.received.count(b"FROM")


def test_a_count_that_is_told_again_is_no_news() -> None:
    """Some servers say EXISTS at the beginning of each IDLE."""
    assert busy(b"* 1 EXISTS\r\n") == 2  # at the beginning, and at the end


def test_news_without_end_is_looked_at_now_and_then() -> None:
    """Though each IDLE tells of a mail more than the search has seen."""
    assert 3 <= busy(b"* 2 EXISTS\r\n") <= 4
    assert 3 <= busy(b"", b" OK enough\r\n") <= 4


@pytest.mark.parametrize("end", [b" NO [UNAVAILABLE] not now\r\n", b" BAD what?\r\n"])
def test_an_idle_that_ends_by_a_refusal_is_not_begun_again(end: bytes) -> None:
    """The server is polled then."""
    assert busy(b"", end) == 2


# ------------------------------------------------------------ a folder made anew, and throttling


def test_a_folder_that_is_made_anew_during_a_look() -> None:
    """The connection is lost at FETCH; on the next one UIDs mean other mails."""
    server: ScriptedServer

    def handler(conversation: Conversation) -> None:
        first = len(server.conversations) == 1
        answers = {
            "EXAMINE": b"* OK [UIDVALIDITY %d] ok\r\n%%b OK ok\r\n" % len(server.conversations),
            "SEARCH": b"* SEARCH 1 2\r\n%b OK done\r\n",
            "FETCH": b"" if first else fetched(1) + fetched(2) + b"%b OK done\r\n",
        }
        imap_script(answers)(conversation)

    with ScriptedServer(handler) as server:
        assert len(wait(strange(server), 8)) == 2


def test_a_server_that_is_not_to_be_asked_before_the_end() -> None:
    """It said how long: a try before that would make it longer, so there is none."""
    refusal = b"* OK hi\r\n%b NO [LIMIT] Suggested Backoff Time: 60000 Milliseconds\r\n"
    with ScriptedServer(imap_script({"AUTHENTICATE": refusal})) as server:
        with pytest.raises(UnavailableError):
            wait(strange(server), 3)
        assert len(server.conversations) == 1
