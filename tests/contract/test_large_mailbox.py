"""A mailbox of 100,000 mails, and mails with lines of a megabyte."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.model.query import MailQuery
from tests.contract.largebox import NEWEST, Measured, measure
from tests.contract.mails import plain
from tests.servers.base import HOST
from tests.servers.faultproxy import FaultProxy
from tests.servers.restarting import MODEST_HOST, restarting_dovecot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.places import Place
    from tests.contract.witness import Witness
    from tests.servers.bed import Bed
    from tests.servers.restarting import RestartingDovecot

COUNT = 100_000
MAX_MEMORY = 100 * 2**20
MAX_LINE = 8192  # octets of a command line (RFC 7162 4)
LONG = 2**20


@pytest.fixture(scope="module")
def large(bed: Bed) -> Iterator[tuple[RestartingDovecot, str]]:
    """A Dovecot with a folder of 100,000 mails, every other one unread; it is where the bed is."""
    raw = plain(0)
    with restarting_dovecot() as server:
        mails = (raw.replace(b"plain-0", b"plain-%d" % number) for number in range(COUNT))
        yield server, server.fill("Many", mails)


def through_proxy(
    large: tuple[RestartingDovecot, str], job: str, witness: Witness, host: str = HOST
) -> tuple[Measured, list[bytes]]:
    """Do a job in a process of its own: what it took, and the commands that it sent."""
    server, folder = large
    login = next(iter(server.users))
    with FaultProxy(server.imap_port, host) as proxy:
        where: dict[str, Any] = {"host": HOST, "port": proxy.port, "folder": folder}
        measured = measure(job, {**where, "user": login, "secret": server.users[login]})
        commands = proxy.seen_from_client.split(b"\r\n")[:-1]
        witness.passed(proxy.passed)
    witness.outcome(None, measured.seconds)
    witness.memory(measured.grown)
    witness.round_trips(len(commands))
    assert measured.grown < MAX_MEMORY
    assert max(map(len, commands)) <= MAX_LINE
    return measured, commands


def ids(numbers: range) -> list[str]:
    """The Message-IDs of these mails."""
    return [f"<plain-{number}@acme.com>" for number in numbers]


@pytest.mark.parametrize("host", [HOST, MODEST_HOST], ids=["ESEARCH", "SEARCH"])
def test_newest_50_of_100_000(large: tuple[RestartingDovecot, str], host: str, witness: Witness) -> None:
    """All are found, as one set or as a line of 600 kB; what is asked for is fetched, in few round trips."""
    measured, commands = through_proxy(large, "newest", witness, host)
    assert measured.result == ids(range(COUNT - 1, COUNT - 1 - NEWEST, -1))
    fetched = [command for command in commands if b"UID FETCH" in command]
    assert b"%d:%d " % (COUNT - NEWEST + 1, COUNT) in fetched[0]


@pytest.mark.parametrize("host", [HOST, MODEST_HOST], ids=["ESEARCH", "SEARCH"])
def test_50_000_mails_without_neighbours(
    large: tuple[RestartingDovecot, str], host: str, witness: Witness
) -> None:
    """Nothing to compress: the longest answer to a search."""
    measured, _ = through_proxy(large, "unread", witness, host)
    assert measured.result == ids(range(COUNT - 1, COUNT - 1 - 2 * NEWEST, -2))


# ------------------------------------------------------------ long lines


def test_body_of_one_long_line(place: Place) -> None:
    """A mebibyte without a line end, as programs send it: not a byte is lost."""
    line = b"0123456789abcdef" * (LONG // 16)
    raw = plain().replace(b"\r\n\r\nHi", b"\r\n\r\n" + line)
    place.append(raw)
    mail = place.only(subject="Hello")
    assert place.mailbox.raw(mail.ref) == raw
    assert place.mailbox.fetch(mail.ref).text.rstrip("\r\n").encode() == line
    target = io.BytesIO()
    assert place.mailbox.save(mail.ref, target) == len(raw)
    assert target.getvalue() == raw


def test_header_of_one_long_line(place: Place) -> None:
    """A mail with a mebibyte of subject is listed, cut or not, and hides no other."""
    place.append(plain(1, subject="x").replace(b"Subject: x", b"Subject: " + b"y" * LONG))
    place.append(plain(2))
    found = [mail.message_id for mail in place.mailbox.search(MailQuery())]
    assert "<plain-2@acme.com>" in found
    assert len(found) == 2
    long = next(iter(place.mailbox.search(MailQuery(), limit=1)))
    assert place.mailbox.raw(long.ref).count(b"y") >= LONG
