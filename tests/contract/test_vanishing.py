"""Mails that somebody else takes away just when a command about them is on its way."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, TypeAlias

import pytest

from airflow_email_conn.backends.imap.mailbox import ImapMailbox
from airflow_email_conn.errors import EmailError, MailNotFoundError
from airflow_email_conn.model.message import Mail
from airflow_email_conn.model.query import MailQuery
from tests.contract.mails import plain
from tests.contract.places import ignore, imap_server
from tests.servers.faultproxy import Fault, FaultProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_email_conn.backends.base import Mailbox
    from airflow_email_conn.model.message import MailRef
    from tests.servers.base import MailboxServers

Race: TypeAlias = "tuple[Mailbox, list[MailRef], Callable[[bytes], Fault]]"


@pytest.fixture(params=["bed", "cyrus"])
def servers(request: pytest.FixtureRequest) -> MailboxServers:
    """The servers that many sessions may change at a time; the embedded one is not made for that."""
    running: MailboxServers = request.getfixturevalue(request.param)
    return running


@pytest.fixture
def race(servers: MailboxServers) -> Iterator[Race]:
    """A mailbox with four mails, and what makes the second one vanish at a command."""
    login = next(iter(servers.users))
    servers.empty(login)
    for number in range(4):
        servers.append(login, plain(number))
    other = ImapMailbox.open(imap_server(servers, login), ignore)
    with other, FaultProxy(servers.imap_port) as proxy:
        other.create_folder("Done")
        refs = [mail.ref for mail in other.search(MailQuery())]

        def vanish_at(command: bytes) -> Fault:
            proxy.fault = Fault(
                "call", when=command, pass_on=False, once=True, action=lambda: other.delete(refs[1])
            )
            return proxy.fault

        with ImapMailbox.open(
            imap_server(servers, login, port=proxy.port, security="none"), ignore
        ) as mailbox:
            yield mailbox, refs, vanish_at


def test_while_it_is_listed(race: Race) -> None:
    """Between SEARCH and FETCH: the others are there."""
    mailbox, refs, vanish_at = race
    fault = vanish_at(rb"UID FETCH")
    found = [mail.ref for mail in mailbox.search(MailQuery())]
    assert fault.hits == 1
    assert found in ([refs[0], *refs[2:]], refs)  # a server may still describe it to this session


def test_while_it_is_fetched(race: Race) -> None:
    """One of many: it is reported, the others come."""
    mailbox, refs, vanish_at = race
    fault = vanish_at(rb"UID FETCH")
    fetched = list(mailbox.fetch_many(refs))
    assert fault.hits == 1
    assert [mail.ref for mail in fetched if isinstance(mail, Mail)] in ([refs[0], *refs[2:]], refs)
    assert len(fetched) == 4


def test_while_it_is_saved(race: Race) -> None:
    """Alone: it is gone, or wholly there."""
    mailbox, refs, vanish_at = race
    fault = vanish_at(rb"UID FETCH")
    target = io.BytesIO()
    try:
        mailbox.save(refs[1], target)
    except MailNotFoundError:
        assert target.getvalue() == b""
    else:
        assert target.getvalue() == plain(1)
    assert fault.hits == 1
    mailbox.save(refs[2], io.BytesIO())


@pytest.mark.parametrize(
    ("command", "job"),
    [
        (rb"UID STORE", lambda mailbox, refs: mailbox.mark_seen(refs)),
        (rb"UID COPY", lambda mailbox, refs: mailbox.copy(refs, "Done")),
        (rb"UID MOVE", lambda mailbox, refs: mailbox.move(refs, "Done")),
        (rb"UID EXPUNGE", lambda mailbox, refs: mailbox.delete(refs)),
    ],
    ids=["mark_seen", "copy", "move", "delete"],
)
def test_while_it_is_changed(
    race: Race, command: bytes, job: Callable[[Mailbox, list[MailRef]], dict[MailRef, MailRef]]
) -> None:
    """The others are changed; or an error that says that it may be tried again, and then they are."""
    mailbox, refs, vanish_at = race
    fault = vanish_at(command)
    try:
        done = job(mailbox, refs)
    except EmailError as exc:
        if not exc.retryable:
            raise
        done = job(mailbox, refs)
    assert fault.hits == 1
    assert set(done) - {refs[1]} == {refs[0], *refs[2:]}
    left = [mail.message_id for mail in mailbox.search(MailQuery())]
    there = [mail.message_id for mail in mailbox.search(MailQuery(), folder="Done")]
    others = [f"<plain-{number}@acme.com>" for number in (0, 2, 3)]
    assert left == ([] if command in {rb"UID MOVE", rb"UID EXPUNGE"} else others)
    assert there == (others if command in {rb"UID MOVE", rb"UID COPY"} else [])
