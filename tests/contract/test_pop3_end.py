"""How a POP3 session ends: what was deleted then, and what was not; and what goes out at one time."""

from __future__ import annotations

import io
import poplib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.backends.pop3.deletion import delete
from airflow_email_conn.backends.pop3.mailbox import Pop3Mailbox
from airflow_email_conn.errors import EmailError, NetworkError, ServerError
from airflow_email_conn.model.query import MailQuery
from tests.contract.maildrops import MAIL, Maildrops, at, filled, found
from tests.contract.mails import invoice, plain
from tests.contract.places import ignore, place_on, pop3_place_on, pop3_server
from tests.servers.faultproxy import Fault, FaultProxy
from tests.servers.scripted import Conversation, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_email_conn.backends.pop3.maildrop import Entry
    from tests.servers.base import Pop3Servers

# ------------------------------------------------------------ deleting


def ids(servers: Pop3Servers, login: str) -> list[str | None]:
    """The mails that are there, seen by a session of their own."""
    with Pop3Mailbox.open(pop3_server(servers, login), ignore) as mailbox:
        return [mail.message_id for mail in mailbox.search(MailQuery())]


def test_a_deletion_is_done_at_once(pop3_servers: Pop3Servers) -> None:
    """Before anything else can fail; and the mailbox goes on in a session of its own."""
    login = filled(pop3_servers, *(plain(number) for number in range(3)))
    with FaultProxy(pop3_servers.pop3_port) as proxy:
        server = pop3_server(pop3_servers, login, port=proxy.port, security="none")
        with Pop3Mailbox.open(server, ignore) as mailbox:
            mails = list(mailbox.search(MailQuery()))
            mailbox.delete([mails[0].ref, mails[2].ref])
            assert ids(pop3_servers, login) == ["<plain-1@acme.com>"]
            assert proxy.connections == 1
            assert mailbox.raw(mails[1].ref) == plain(1)
            assert proxy.connections == 2
    assert ids(pop3_servers, login) == ["<plain-1@acme.com>"]


@pytest.mark.parametrize("kind", ["cut", "reset", "stall"])
@pytest.mark.parametrize(
    ("when", "passed_on", "may_be_gone"),
    [
        (rb"DELE 1\r\n", True, False),
        (rb"DELE 2\r\n", False, False),
        (rb"QUIT\r\n", False, False),
        (rb"QUIT\r\n", True, True),
    ],
    ids=["after the first DELE", "before the second DELE", "before QUIT", "after QUIT"],
)
def test_a_session_that_breaks_while_deleting(
    pop3_servers: Pop3Servers, kind: Any, when: bytes, passed_on: bool, may_be_gone: bool
) -> None:
    """An error, and nothing is claimed; without QUIT nothing is deleted."""
    login = filled(pop3_servers, *(plain(number) for number in range(3)))
    with FaultProxy(pop3_servers.pop3_port) as proxy:
        server = pop3_server(pop3_servers, login, port=proxy.port, security="none", timeout=1.0)
        with Pop3Mailbox.open(server, ignore) as mailbox:
            mails = list(mailbox.search(MailQuery()))
            proxy.fault = Fault(kind, when=when, pass_on=passed_on)
            with pytest.raises(NetworkError) as caught:
                mailbox.delete([mail.ref for mail in mails[:2]])
            assert ("may be deleted or not" in caught.value.message) == (b"QUIT" in when)
            with pytest.raises(NetworkError, match="closed"):
                mailbox.raw(mails[2].ref)
    left = ids(pop3_servers, login)
    everything = [f"<plain-{number}@acme.com>" for number in range(3)]
    assert left == everything or (may_be_gone and left == everything[2:])


def test_all_or_none() -> None:
    """A mail that the server does not delete: no other is, and the mailbox can be used."""
    drops = Maildrops(answers={b"DELE 2": b"-ERR read only\r\n"})
    with ScriptedServer(drops) as server, at(server) as mailbox:
        mails = list(mailbox.search(MailQuery()))
        with pytest.raises(ServerError, match="none was deleted"):
            mailbox.delete([mail.ref for mail in mails])
        assert "QUIT" not in drops.verbs()
        assert mailbox.delete(mails[2].ref) == {mails[2].ref: mails[2].ref}
    assert list(drops.mails) == ["a", "b"]


def test_refused_commit() -> None:
    """RFC 1939 6: the server could not delete all of them; which ones the next session shows."""
    drops = Maildrops(answers={b"QUIT": b"-ERR some deleted messages not removed\r\n"})
    with ScriptedServer(drops) as server, at(server) as mailbox:
        mails = list(mailbox.search(MailQuery()))
        with pytest.raises(ServerError, match="QUIT"):
            mailbox.delete(mails[0].ref)
        assert len(list(mailbox.search(MailQuery()))) == 3


def test_a_task_that_is_ended_while_deleting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two windows: no QUIT goes out, which would delete a part of them."""
    monkeypatch.setattr("airflow_email_conn.backends.pop3.maildrop.WINDOW", 1)

    def interrupted(entries: Iterable[Entry]) -> Iterator[Entry]:
        yield from entries
        raise KeyboardInterrupt

    drops = Maildrops()
    with ScriptedServer(drops) as server, at(server) as mailbox:
        list(mailbox.search(MailQuery()))
        maildrop = mailbox._current()
        with pytest.raises(KeyboardInterrupt):
            delete(maildrop.session, interrupted(maildrop.entries))
    assert drops.verbs()[-3:] == ["DELE"] * 3
    assert list(drops.mails) == ["a", "b", "c"]


def test_what_is_closed_stays_closed() -> None:
    """Also after a deletion, when no session is open; and once is enough."""
    for deletes in (False, True):
        with ScriptedServer(Maildrops()) as server:
            mailbox = at(server)
            mails = list(mailbox.search(MailQuery()))
            if deletes:
                mailbox.delete(mails[0].ref)
            mailbox.close()
            mailbox.close()
            with pytest.raises(NetworkError, match="closed"):
                mailbox.raw(mails[1].ref)
            assert len(server.conversations) == 1


def test_a_search_that_is_left_early() -> None:
    """The answers that were not taken belong to nobody; another call works."""
    with ScriptedServer(Maildrops()) as server, at(server) as mailbox:
        mails = mailbox.search(MailQuery())
        first = next(mails)
        assert mailbox.raw(first.ref) == MAIL % b"a"
        assert [mail.subject for mail in mails] == ["b", "c"]


def test_a_failing_file_ends_the_session(pop3_servers: Pop3Servers) -> None:
    """A full disk in the middle of a download: its error comes out, nothing hangs, nothing is deleted."""
    login = filled(pop3_servers, invoice(csv=bytes(range(256)) * 1000))

    class Full(io.BytesIO):
        def write(self, _data: object) -> int:
            raise OSError(28, "No space left on device")

    with Pop3Mailbox.open(pop3_server(pop3_servers, login), ignore) as mailbox:
        (mail,) = mailbox.search(MailQuery())
        with pytest.raises(OSError, match="No space left"):
            mailbox.save(mail.attachments[1], Full())
        with pytest.raises(NetworkError, match="closed"):
            mailbox.raw(mail.ref)
    assert len(ids(pop3_servers, login)) == 1


def test_reading_changes_no_flag(pop3_servers: Pop3Servers) -> None:
    """Dovecot marks what was read by RETR, unless it is told to forget it; looked at by IMAP."""
    with pop3_place_on(pop3_servers) as place, place_on(pop3_servers) as by_imap:
        for number in range(4):
            place.append(invoice(number), seen=bool(number % 2))
        before = by_imap.flags()
        for mail in place.mailbox.search(MailQuery(body="anbei")):
            place.mailbox.fetch(mail.ref)
            place.mailbox.save(mail.attachments[1], io.BytesIO())
        place.mailbox.delete(place.only(message_id="invoice-0@acme.com").ref)
        place.mailbox.raw(place.only(message_id="invoice-2@acme.com").ref)
        place.mailbox.close()
        after = by_imap.flags()
    assert sorted(before.values()) == [(False, False)] * 2 + [(True, False)] * 2
    assert len(after) == 3
    assert after.items() <= before.items()


# ------------------------------------------------------------ one after the other, or all at once


class Watching(Maildrops):
    """Notes how many commands have come when each one is answered."""

    def __init__(self, offers: bytes) -> None:
        """Begin with ten mails."""
        super().__init__({str(n): MAIL % str(n).encode() for n in range(10)}, offers=offers)
        #: RETR commands that were waiting, itself included.
        self.waiting: list[int] = []

    def __call__(self, talk: Conversation) -> None:
        """Hold one session."""
        self.talk = talk
        super().__call__(talk)

    def answer(self, verb: bytes, rest: bytes, listed: list[tuple[str, bytes]]) -> bytes:
        """The right answer, after a while."""
        if verb == b"RETR":
            time.sleep(0.02)
            answered = sum(command.startswith(b"RETR") for command in self.commands)
            self.waiting.append(self.talk.received.count(b"RETR") - answered + 1)
        return super().answer(verb, rest, listed)


def test_pipelining() -> None:
    """All commands of a window in one go where the server takes them so, else one by one."""
    together = Watching(b"TOP\r\nUIDL\r\nPIPELINING\r\n")
    with ScriptedServer(together) as server:
        assert len(found(server)) == 10
    assert together.waiting == list(range(10, 0, -1))
    alone = Watching(b"TOP\r\nUIDL\r\n")
    with ScriptedServer(alone) as server:
        assert len(found(server)) == 10
    assert alone.waiting == [1] * 10


def test_answers_that_were_not_asked_for() -> None:
    """Behind a right answer: never taken for the next one's."""
    drops = Maildrops(answers={b"UIDL": b"+OK\r\n1 a\r\n.\r\n+OK\r\nSubject: forged\r\n\r\n.\r\n"})
    with ScriptedServer(drops) as server, pytest.raises(EmailError, match="not given"):
        found(server)


# ------------------------------------------------------------ poplib as the oracle

CORPUS = sorted((Path(__file__).parent.parent / "corpus").glob("*.eml"))
#: What Cyrus does not store: see test_oracle.
REFUSED = {"cyrus": {"cr_only", "header_only", "mbox_line", "mixed_line_ends", "names", "no_separator"}}


def test_same_as_poplib(pop3_servers: Pop3Servers) -> None:
    """The same ids, the same sizes, the same bytes, for dots and every mail of the corpus."""
    login = filled(pop3_servers, invoice(1), plain(2, text=".\n..\n.x\n\n."))
    for path in CORPUS:
        if path.stem not in REFUSED.get(pop3_servers.name, ()):
            pop3_servers.append(login, path.read_bytes())
    oracle = poplib.POP3("127.0.0.1", pop3_servers.pop3_port, timeout=10)
    oracle.user(login)
    oracle.pass_(pop3_servers.users[login])
    sizes = {int(line.split()[0]): int(line.split()[1]) for line in oracle.list()[1]}
    expected = {
        uid.decode(): (sizes[int(number)], b"".join(line + b"\r\n" for line in oracle.retr(int(number))[1]))
        for number, uid in (line.split() for line in oracle.uidl()[1])
    }
    oracle.quit()
    with Pop3Mailbox.open(pop3_server(pop3_servers, login), ignore) as mailbox:
        mails = {mail.ref.uid: (mail.size, mailbox.raw(mail.ref)) for mail in mailbox.search(MailQuery())}
    assert len(mails) > 20
    assert mails == expected
