"""How a POP3 session opens and ends, and what it does with servers that refuse, lack something or lie."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest

from airflow_email_conn.backends.pop3.mailbox import Pop3Mailbox
from airflow_email_conn.errors import (
    AuthenticationError,
    CapabilityError,
    EmailError,
    ProtocolError,
    ServerError,
    UnavailableError,
)
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.model.server import Credential, Server
from tests.contract.maildrops import MAIL, OFFERS, Maildrops, at, filled, found
from tests.contract.mails import delivered, plain
from tests.contract.places import ignore, pop3_server
from tests.servers.faultproxy import FaultProxy
from tests.servers.scripted import ScriptedServer

if TYPE_CHECKING:
    from tests.servers.base import Pop3Servers
    from tests.servers.bed import Bed


def count(server: Server) -> int:
    """Open a mailbox and count its mails."""
    with Pop3Mailbox.open(server, ignore) as mailbox:
        return len(list(mailbox.search(MailQuery())))


# ------------------------------------------------------------ opening


@pytest.mark.parametrize("security", ["tls", "starttls", "none"])
def test_security_and_users(pop3_servers: Pop3Servers, security: str) -> None:
    """Every security with every kind of user name and password, non-ASCII ones too."""
    port = pop3_servers.pop3s_port if security == "tls" else pop3_servers.pop3_port
    for login in pop3_servers.users:
        assert count(pop3_server(pop3_servers, login, security=security, port=port)) >= 0


def test_plain_sign_in_where_the_server_forbids_it(bed: Bed) -> None:
    """The mend names the field, and no password goes out."""
    login = next(iter(bed.users))
    with FaultProxy(bed.pop3_port, "127.0.0.5") as proxy:
        with pytest.raises(CapabilityError, match="incoming security"):
            count(pop3_server(bed, login, port=proxy.port, security="none"))
        assert proxy.seen_from_client == b"CAPA\r\n"


def test_wrong_password_is_tried_once(pop3_servers: Pop3Servers) -> None:
    """One command, one clear error, without the password; never APOP, which Cyrus offers."""
    login = next(iter(pop3_servers.users))
    with FaultProxy(pop3_servers.pop3_port) as proxy:
        credential = Credential("secret", login, "wr0ng-pw")
        server = pop3_server(pop3_servers, login, port=proxy.port, security="none", credential=credential)
        with pytest.raises(AuthenticationError, match="check the user and the secret") as caught:
            count(server)
        sent = proxy.seen_from_client.upper()
    assert sent.count(b"AUTH PLAIN") == 1
    assert sent.count(b"\r\n") == 2
    assert f"refused the sign-in of '{login}': " in caught.value.message
    assert "wr0ng-pw" not in repr(caught.value)


def test_oauth_waits_for_a_later_version(bed: Bed) -> None:
    """Refused before anything is sent."""
    login = next(iter(bed.users))
    credential = Credential("oauth_device_flow", login)
    with FaultProxy(bed.pop3_port) as proxy:
        with pytest.raises(CapabilityError, match="OAuth"):
            count(pop3_server(bed, login, port=proxy.port, credential=credential))
        assert proxy.connections == 0


def test_mailbox_in_use(bed: Bed) -> None:
    """A mailbox that another session holds: to be tried again, and free as soon as that one is closed.

    Dovecot waits ten seconds for its lock.
    """
    login = filled(bed, plain(1))
    server = pop3_server(bed, login, host="127.0.0.4", port=bed.pop3_port, security="none", timeout=20.0)
    with Pop3Mailbox.open(server, ignore) as mailbox:
        with pytest.raises(UnavailableError, match="another session") as caught:
            count(server)
        assert caught.value.retryable
        (mail,) = mailbox.search(MailQuery())
        assert mailbox.delete(mail.ref)
        assert count(server) == 0  # nothing is held after a deletion, though the mailbox is still open
    assert count(server) == 0


def test_too_many_sessions(bed: Bed) -> None:
    """Dovecot's limit for one user and address is no wrong password."""
    login = filled(bed)
    server = pop3_server(bed, login, host="127.0.0.5")
    with Pop3Mailbox.open(server, ignore), Pop3Mailbox.open(server, ignore), pytest.raises(UnavailableError):
        count(server)


# ------------------------------------------------------------ refused sign-ins


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"-ERR [IN-USE] locked\r\n", UnavailableError),
        (b"-ERR [LOGIN-DELAY] wait\r\n", UnavailableError),
        (b"-ERR [SYS/TEMP] wait\r\n", UnavailableError),
        (b"-ERR Server Unavailable. 21\r\n", UnavailableError),
        (b"-ERR Shutting down\r\n", UnavailableError),
        (b"-ERR [SYS/PERM] Your account is not enabled for POP access.\r\n", AuthenticationError),
        (b"-ERR [AUTH] no s3cret-pw\r\n", AuthenticationError),
        (b"-ERR wrong: PASS s3cret-pw\r\n", AuthenticationError),
        (b"+ \r\n", ProtocolError),
    ],
)
@pytest.mark.parametrize("step", [b"USER", b"PASS", b"AUTH"])
def test_refused_sign_ins(step: bytes, answer: bytes, kind: type[EmailError]) -> None:
    """Once, by one mechanism; what passes is to be tried again; an echoed secret is hidden."""
    drops = Maildrops(answers={step: answer}, offers=b"SASL PLAIN\r\n" if step == b"AUTH" else OFFERS)
    if step == b"AUTH" and kind is ProtocolError:
        drops.answers[b"*"] = b"+ \r\n"
    with ScriptedServer(drops) as server, pytest.raises(EmailError) as caught:
        at(server)
    assert type(caught.value) is kind
    assert caught.value.retryable == (kind is UnavailableError)
    assert "s3cret-pw" not in repr(caught.value)
    assert sum(c.startswith(step) for c in drops.commands) == 1


def test_long_secret() -> None:
    """Too long for a line with its command (RFC 5034 4): the server asks for it first."""
    drops = Maildrops(answers={b"AUTH PLAIN": b"+ \r\n"}, offers=b"SASL PLAIN\r\n")
    with ScriptedServer(drops) as server, at(server, credential=Credential("secret", "u", "s" * 300)):
        pass
    assert [len(c) for c in drops.commands[1:3]] == [len(b"AUTH PLAIN"), 404]


def test_no_sign_in() -> None:
    """A server that trusts us already."""
    drops = Maildrops()
    with ScriptedServer(drops) as server, at(server, credential=Credential()) as mailbox:
        assert len(list(mailbox.search(MailQuery()))) == 3
    assert not any(c.startswith((b"USER", b"AUTH")) for c in drops.commands)


def test_utf8_where_it_is_offered() -> None:
    """RFC 6856: asked for before the sign-in, so that no mail is changed on its way; it may be refused."""
    for answer in (b"+OK\r\n", b"-ERR no\r\n"):
        drops = Maildrops(answers={b"UTF8": answer}, offers=OFFERS + b"UTF8 USER\r\n")
        with ScriptedServer(drops) as server:
            assert len(found(server)) == 3
        assert drops.commands.index(b"UTF8") < drops.commands.index(b"USER ann")


# ------------------------------------------------------------ what a server lacks


@pytest.mark.parametrize("offers", [OFFERS, None, b"UIDL\r\n", b"TOP\r\n"])
@pytest.mark.parametrize("lacks", [(), (b"TOP",), (b"UIDL",), (b"TOP", b"UIDL")])
def test_servers_without_top_or_uidl(offers: bytes | None, lacks: tuple[bytes, ...]) -> None:
    """Whatever is missing, and whatever CAPA says of it: the mails are found, by ids that stay theirs."""
    if offers is not None:
        offers = b"".join(line + b"\r\n" for line in offers.split() if line not in lacks)
    drops = Maildrops(answers=dict.fromkeys(lacks, b"-ERR unknown command\r\n"), offers=offers)
    with ScriptedServer(drops) as server:
        before = found(server)
        assert [mail.subject for mail in before] == ["a", "b", "c"]
        assert len(found(server, subject="b", larger_than=10)) == 1
        with at(server) as mailbox:
            past = mailbox.position()
            assert mailbox.delete(before[0].ref) == {before[0].ref: before[0].ref}
        drops.mails["d"] = MAIL % b"d"
        with at(server) as mailbox:
            assert [mail.subject for mail in mailbox.search(MailQuery(), after=past)] == ["d"]
            assert mailbox.raw(before[2].ref) == MAIL % b"c"
            assert mailbox.delete(before[0].ref) == {}
    has_ids = b"UIDL" not in lacks
    assert [mail.ref.uid for mail in before] == ["a", "b", "c"] or not has_ids
    assert has_ids != before[0].ref.uid.startswith("sha256:")


@pytest.mark.parametrize(
    "answer", [b"-ERR [SYS/TEMP] later\r\n", b"-ERR try again later\r\n", b"-ERR [X] no\r\n"]
)
@pytest.mark.parametrize("offers", [OFFERS, None])
def test_refused_uidl_is_not_taken_for_a_missing_one(answer: bytes, offers: bytes | None) -> None:
    """Other ids would make every mail a new one."""
    drops = Maildrops(answers={b"UIDL": answer}, offers=offers)
    with ScriptedServer(drops) as server, pytest.raises(ServerError, match="UIDL"):
        found(server)


def test_mails_without_an_id_of_their_own() -> None:
    """Lines that make no sense, and one id for two mails: all are there, apart, and the mails say so."""
    drops = Maildrops(answers={b"UIDL": b"+OK\r\n1   a  \r\n2 a\r\n3\r\n.\r\n"})
    with ScriptedServer(drops) as server:
        mails = found(server)
        assert [mail.subject for mail in mails] == ["a", "b", "c"]
        size = len(MAIL % b"a")
        assert [mail.ref.uid for mail in mails[:2]] == [f"a {size}", f"a {size} 2"]
        assert mails[2].ref.uid.startswith("sha256:")
        assert [len(mail.defects) for mail in mails] == [1, 1, 0]
        with at(server) as mailbox:
            assert mailbox.raw(mails[2].ref) == MAIL % b"c"
            mailbox.delete(mails[2].ref)
    assert list(drops.mails) == ["a", "b"]


# ------------------------------------------------------------ reading


def test_received_is_what_the_last_server_says(bed: Bed) -> None:
    """Not what a sender can write further down, nor the Date."""
    forged = b"Received: by evil; Thu, 1 Jan 2015 00:00:00 +0000\r\n" + plain(1)
    login = filled(bed, delivered(forged), plain(2))
    with Pop3Mailbox.open(pop3_server(bed, login), ignore) as mailbox:
        first, second = mailbox.search(MailQuery(since="2026-01-01"))
        assert (first.received.year if first.received else 0, second.received) == (2026, None)
        assert mailbox.fetch(first.ref).received == first.received


def test_no_more_is_read_than_it_takes() -> None:
    """Sizes decide before headers, headers before bodies; small mails are read at once."""
    large = b"Subject: large\r\n\r\n" + b"x" * 100_000 + b"\r\n"
    parts = b"Subject: parts\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" + b"x" * 100_000
    drops = Maildrops({"1": large, "2": parts + b"\r\n--b--\r\n", "3": MAIL % b"small"})
    with ScriptedServer(drops) as server:
        for filters, expected in (
            ({}, {b"TOP 1 0", b"TOP 2 0", b"RETR 2", b"RETR 3"}),
            ({"subject": "small"}, {b"TOP 1 0", b"TOP 2 0", b"RETR 3"}),
            ({"subject": "parts"}, {b"TOP 1 0", b"TOP 2 0", b"RETR 2", b"RETR 3"}),
            ({"smaller_than": 1000}, {b"RETR 3"}),
            ({"larger_than": 10**7}, set()),
        ):
            drops.commands.clear()
            found(server, **filters)
            assert {c for c in drops.commands if c.startswith((b"TOP", b"RETR"))} == expected
        drops.commands.clear()
        with at(server) as mailbox:
            next(mailbox.search(MailQuery(), limit=1, newest_first=True))
            assert drops.verbs() == ["RETR"]


def test_text_far_behind_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """`body` is looked for in the beginning of a mail, and the mail says so."""
    monkeypatch.setattr("airflow_email_conn.backends.pop3.search._SEARCHED", 1000)
    drops = Maildrops({"1": b"Subject: x\r\n\r\nnear " + b"x" * 2000 + b" far\r\n"})
    with ScriptedServer(drops) as server:
        (mail,) = found(server, body="near")
        assert mail.defects == ("the text was looked for in the first 1000 bytes",)
        assert found(server, body="far") == []


def test_large_mail_is_not_held() -> None:
    """Neither by a search nor by a download."""
    file = b"QUJD" * 18 + b"\r\n"
    head = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/csv; name=a.csv\r\n"
    raw = head + b"Content-Transfer-Encoding: base64\r\n\r\n" + file * 400_000 + b"--b--\r\n"
    drops = Maildrops(
        {"1": raw}, {b"RETR": b"+OK\r\n" + raw + b".\r\n", b"TOP": b"+OK\r\n" + head + b".\r\n"}
    )
    with ScriptedServer(drops, seconds=60) as server, at(server, timeout=20.0) as mailbox:
        tracemalloc.start()
        (mail,) = mailbox.search(MailQuery())
        size = mailbox.save(mail.attachments[0], Nowhere())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert size == mail.attachments[0].size == 400_000 * 54
    assert peak < 12 * 2**20


class Nowhere:
    """A file that keeps nothing."""

    def write(self, data: bytes) -> None:
        """Drop it."""
