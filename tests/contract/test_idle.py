"""Waiting for a mailbox to change, from an event loop, on real servers and on strange ones."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn import aio
from airflow_email_conn.errors import DeadlineError, EmailError, NetworkError, ProtocolError, UnavailableError
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.model.settings import EmailSettings
from airflow_email_conn.watch import MailWatch
from tests.contract.dialects import Manners, handler_of, settings_of
from tests.contract.imap_dialect import ImapDialect
from tests.contract.mails import plain
from tests.contract.places import imap_server
from tests.servers.base import HOST
from tests.servers.faultproxy import Fault, FaultProxy
from tests.servers.scripted import Conversation, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from airflow_email_conn.backends.base import Mailbox
    from tests.servers.base import MailboxServers
    from tests.servers.bed import Bed
    from tests.servers.certificates import Authority

    Idling = Callable[[Conversation, bytes], None]

TIMEOUT = 1.0


@pytest.fixture(params=["bed", "cyrus"])
def servers(request: pytest.FixtureRequest) -> MailboxServers:
    """Real servers with IDLE, their first user's mailbox empty."""
    running: MailboxServers = request.getfixturevalue(request.param)
    running.empty(robot(running))
    return running


def robot(servers: MailboxServers) -> str:
    """The user whose mailbox is watched."""
    return next(iter(servers.users))


def settings(servers: MailboxServers, **changes: Any) -> EmailSettings:
    """A connection to that mailbox, over TLS."""
    server = imap_server(servers, robot(servers), **{"timeout": TIMEOUT, **changes})
    return EmailSettings("standard", server, None, "", timeout=server.timeout)


@contextmanager
def watching(connection: EmailSettings, **options: Any) -> Iterator[MailWatch]:
    """A watch on INBOX that is closed in the end."""
    watch = MailWatch(connection, "INBOX", **{"flags": False, "refresh": 60.0, "interval": 60.0, **options})
    try:
        yield watch
    finally:
        watch.close()


def enter(mailbox: Mailbox) -> int:
    """Look: how many mails there are."""
    return len(list(mailbox.search(MailQuery())))


async def seconds_of(what: Awaitable[object]) -> float:
    """How long it took."""
    start = time.monotonic()
    await what
    return time.monotonic() - start


async def after(seconds: float, function: Callable[[], object]) -> None:
    """Do something meanwhile, off the loop."""
    await asyncio.sleep(seconds)
    await asyncio.to_thread(function)


# ------------------------------------------------------------ real servers


def test_a_new_mail_is_news(servers: MailboxServers) -> None:
    """It comes while the server is in IDLE, again and again in one session."""

    async def run() -> None:
        with watching(settings(servers)) as watch:
            for number in range(3):
                assert await watch.ask(enter) == number
                comes = asyncio.create_task(after(0.3, lambda: servers.append(robot(servers), plain(1))))
                assert await seconds_of(watch.change(30)) < 10
                await comes
            assert await watch.ask(enter) == 3

    asyncio.run(run())


def test_a_mail_that_came_before_idle_is_news(servers: MailboxServers) -> None:
    """After the search and before IDLE nobody listens; the server tells when IDLE begins."""

    async def run() -> None:
        with watching(settings(servers)) as watch:
            await watch.ask(enter)
            servers.append(robot(servers), plain(1))
            assert await seconds_of(watch.change(30)) < 10

    asyncio.run(run())


def test_a_mail_that_comes_during_a_look_is_news(servers: MailboxServers) -> None:
    """After SEARCH; the server tells at the end of FETCH, and once only."""
    servers.append(robot(servers), plain(1))

    def look(mailbox: Mailbox) -> int:
        found = mailbox.search(MailQuery(subject={"regex": "Hello"}))
        servers.append(robot(servers), plain(2))
        return len(list(found))

    async def run() -> None:
        with watching(settings(servers)) as watch:
            assert await watch.ask(look) == 1
            assert await seconds_of(watch.change(30)) < 10
            assert await watch.ask(enter) == 2
            assert await seconds_of(watch.change(1)) > 0.9

    asyncio.run(run())


@pytest.mark.parametrize("flags", [True, False])
def test_a_flag_is_news_where_it_matters(servers: MailboxServers, *, flags: bool) -> None:
    """A mail that somebody marks as unread may match now."""
    servers.append(robot(servers), plain(1))

    def mark(mailbox: Mailbox) -> None:
        (mail,) = mailbox.search(MailQuery())
        mailbox.mark_seen(mail.ref)

    async def run() -> None:
        with watching(settings(servers), flags=flags) as watch, watching(settings(servers)) as other:
            await watch.ask(enter)
            waits = asyncio.create_task(seconds_of(watch.change(3)))
            await asyncio.sleep(0.5)
            await other.ask(mark)
            assert (await waits < 2.5) is flags

    asyncio.run(run())


def test_idle_begins_anew(bed: Bed) -> None:
    """With DONE and IDLE on the wire, in one session."""

    async def run() -> None:
        with (
            FaultProxy(bed.imap_port) as proxy,
            watching(settings(bed, port=proxy.port, security="none"), refresh=0.3) as watch,
        ):
            await watch.ask(enter)
            for _ in range(3):
                assert 0.2 < await seconds_of(watch.change(30)) < 1
                await watch.ask(enter)
            assert proxy.seen_from_client.count(b" IDLE\r\n") == 3
            assert proxy.seen_from_client.count(b"DONE\r\n") == 3
            assert proxy.connections == 1

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["stall", "halfopen"])
def test_a_dead_connection_is_noticed(bed: Bed, kind: Any) -> None:
    """TCP stays open and nobody answers: within the refresh and one timeout."""

    async def run() -> None:
        with (
            FaultProxy(bed.imap_port) as proxy,
            watching(settings(bed, port=proxy.port, security="none"), refresh=0.5) as watch,
        ):
            await watch.ask(enter)
            proxy.fault = fault = Fault(kind, when=rb"DONE\r\n$")
            start = time.monotonic()
            await watch.change(30)
            with pytest.raises(DeadlineError):
                await watch.ask(enter)
            assert time.monotonic() - start < 0.5 + TIMEOUT + 0.5
            assert fault.hits == 1
            proxy.fault = None
            await watch.ask(enter)
            assert proxy.connections == 2

    asyncio.run(run())


def test_closing_signs_out(bed: Bed) -> None:
    """Without waiting for the server: DONE and LOGOUT are its last words."""

    async def run() -> None:
        with FaultProxy(bed.imap_port) as proxy:
            with watching(settings(bed, port=proxy.port, security="none")) as watch:
                await watch.ask(enter)
                waits = asyncio.create_task(watch.change(30))
                await asyncio.sleep(0.5)
                waits.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waits
                start = time.monotonic()
            assert time.monotonic() - start < 0.1
            await asyncio.sleep(0.2)
            assert re.search(rb" IDLE\r\nDONE\r\nA\d+ LOGOUT\r\n$", proxy.seen_from_client)

    asyncio.run(run())


# ------------------------------------------------------------ strange servers


def served(idling: Idling, capability: bytes = b"IMAP4rev1 IDLE AUTH=PLAIN SASL-IR") -> Callable[..., None]:
    """A server with one mail that does something of its own at IDLE: given the conversation and the tag."""

    def handler(conversation: Conversation) -> None:
        conversation.send(b"* OK [CAPABILITY " + capability + b"] ready\r\n")
        while line := conversation.readline():
            tag, verb = line.split()[:2]
            if verb == b"IDLE":
                idling(conversation, tag)
                continue
            answer = {
                b"EXAMINE": b"* 1 EXISTS\r\n* OK [UIDVALIDITY 1] ok\r\n",
                b"CAPABILITY": b"* CAPABILITY " + capability + b"\r\n",
                b"UID": b"* SEARCH\r\n",
            }.get(verb, b"")
            conversation.send(answer + tag + b" OK done\r\n")

    return handler


def strange(server: ScriptedServer, **changes: Any) -> EmailSettings:
    """A connection to a scripted server."""
    return settings_of(ImapDialect(), server.port, **{"timeout": TIMEOUT, "security": "none", **changes})


def wait_on(idling: Idling, most: float = 5.0, **options: Any) -> float:
    """Wait once on such a server; the seconds it took. :raises EmailError:"""

    async def run() -> float:
        with ScriptedServer(served(idling)) as server, watching(strange(server), **options) as watch:
            await watch.ask(enter)
            took = await seconds_of(watch.change(most))
            await watch.ask(enter)  # the session goes on
            return took

    return asyncio.run(run())


def done(conversation: Conversation, tag: bytes) -> None:
    """Wait for DONE and confirm it."""
    assert conversation.readline() == b"DONE\r\n"
    conversation.send(tag + b" OK done\r\n")


def test_news_in_one_packet_with_the_invitation() -> None:
    """`+ idling` and EXISTS at once: no second packet will come."""

    def idling(conversation: Conversation, tag: bytes) -> None:
        conversation.send(b"* 1 RECENT\r\n+ idling\r\n* 2 EXISTS\r\n")
        done(conversation, tag)

    assert wait_on(idling) < 1


@pytest.mark.parametrize("verb", [b"EXAMINE", b"UID"])
def test_news_before_idle(verb: bytes) -> None:
    """EXISTS behind the end of a command, or within the search: a mail that the search may not have seen."""

    def handler(conversation: Conversation) -> None:
        class Telling:
            """Tells of it in the answer to a command."""

            readline = conversation.readline

            def send(self, data: bytes) -> None:
                told = b"* 2 EXISTS\r\n"
                if verb == b"UID":
                    data = data.replace(b"* SEARCH\r\n", b"* SEARCH\r\n" + told)
                elif b"UIDVALIDITY" in data:
                    data += told
                conversation.send(data)

        def idling(_: Conversation, tag: bytes) -> None:
            conversation.send(b"+ idling\r\n")
            done(conversation, tag)

        served(idling)(Telling())  # type: ignore[arg-type]

    async def run() -> None:
        with ScriptedServer(handler) as server, watching(strange(server)) as watch:
            await watch.ask(enter)
            assert await seconds_of(watch.change(3)) < 1

    asyncio.run(run())


def test_an_unchanged_count_is_no_news() -> None:
    """Nor a lower one."""

    def idling(conversation: Conversation, tag: bytes) -> None:
        conversation.send(b"+ idling\r\n* 1 EXISTS\r\n* 1 EXISTS\r\n* 0 EXISTS\r\n")
        done(conversation, tag)

    assert 0.9 < wait_on(idling, refresh=1.0) < 2


def test_a_mail_that_takes_the_place_of_another_is_news() -> None:
    """EXPUNGE lowers the count, so that the same one again is a new mail."""

    def idling(conversation: Conversation, tag: bytes) -> None:
        conversation.send(b"+ idling\r\n* 1 EXPUNGE\r\n* 1 EXISTS\r\n")
        done(conversation, tag)

    assert wait_on(idling) < 1


def test_news_before_the_invitation() -> None:
    """EXISTS, then `+ idling`."""

    def idling(conversation: Conversation, tag: bytes) -> None:
        conversation.send(b"* 2 EXISTS\r\n+ idling\r\n")
        done(conversation, tag)

    assert wait_on(idling) < 1


def test_what_tells_nothing_is_no_news_and_renews_nothing() -> None:
    """`* OK Still here` every 0.1 s: the refresh comes in its time."""

    def idling(conversation: Conversation, tag: bytes) -> None:
        conversation.send(b"+ idling\r\n")
        for _ in range(8):
            conversation.send(b"* OK Still here\r\n* 1 EXPUNGE\r\n* 1 FETCH (FLAGS (\\Seen))\r\n")
            time.sleep(0.1)
        done(conversation, tag)

    assert 0.9 < wait_on(idling, refresh=1.0) < 2


def test_a_line_in_two_tls_records(authority: Authority) -> None:
    """The first half makes the socket readable, and there is nothing to be read yet."""
    certificate = authority.issue("idle", "localhost", HOST)

    def idling(conversation: Conversation, tag: bytes) -> None:
        conversation.send(b"+ idling\r\n")
        time.sleep(0.2)
        conversation.send(b"* 2 EXI")
        time.sleep(0.5)
        conversation.send(b"STS\r\n")
        done(conversation, tag)

    async def run() -> None:
        with ScriptedServer(served(idling), certificate) as server:
            connection = strange(server, security="tls", ca_certificates=str(authority.ca))
            with watching(connection) as watch:
                await watch.ask(enter)
                assert 0.6 < await seconds_of(watch.change(5)) < 2
                await watch.ask(enter)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"* BYE going down\r\n", UnavailableError),
        (b"", NetworkError),
        (b"+ idling\r\n* BYE going down\r\n", UnavailableError),
        (b"+ idling\r\n", NetworkError),
        (b"+ idling\r\n* 2 EXI", NetworkError),
        (b"+ idling\r\nX9 OK not asked\r\n", ProtocolError),
        (b"+ idling\r\n* 1 FETCH (BODY {70000}\r\n", ProtocolError),
        (b"+ idling\r\n* " + b"x" * 70_000, ProtocolError),
    ],
)
def test_a_connection_that_ends(said: bytes, error: type[EmailError]) -> None:
    """BYE, end of file, and what nobody may say: an error at once, whether IDLE has begun or not."""

    def idling(conversation: Conversation, _tag: bytes) -> None:
        conversation.send(said)
        conversation.close()

    start = time.monotonic()
    with pytest.raises(error):
        wait_on(idling)
    assert time.monotonic() - start < TIMEOUT


def test_silence_instead_of_the_invitation() -> None:
    """The timeout ends it."""
    with pytest.raises(DeadlineError):
        wait_on(lambda conversation, _tag: conversation.read_to_end() and None)


@pytest.mark.parametrize("refusal", [b"BAD unknown command", b"NO not today"])
def test_a_server_that_refuses_idle_is_polled(refusal: bytes) -> None:
    """At the interval; it is asked for IDLE once."""

    def idling(conversation: Conversation, tag: bytes) -> None:
        conversation.send(tag + b" " + refusal + b"\r\n")

    async def run() -> None:
        with ScriptedServer(served(idling)) as server, watching(strange(server), interval=0.3) as watch:
            for _ in range(3):
                await watch.ask(enter)
                assert 0.2 < await seconds_of(watch.change(5)) < 1
            assert server.received.count(b" IDLE\r\n") == 1
            assert len(server.conversations) == 1

    asyncio.run(run())


def test_a_server_without_idle_is_polled_and_heard() -> None:
    """Its goodbye ends the wait at once."""

    def handler(conversation: Conversation) -> None:
        served(done, b"IMAP4rev1 AUTH=PLAIN SASL-IR")(Bounded(conversation))

    class Bounded:
        """A conversation that ends 0.5 s after the search."""

        def __init__(self, conversation: Conversation) -> None:
            self.send = conversation.send
            self._conversation = conversation

        def readline(self) -> bytes:
            line = self._conversation.readline()
            if b"SEARCH" in line:
                self.send(b"* SEARCH\r\n" + line.split()[0] + b" OK done\r\n")
                time.sleep(0.5)
                self.send(b"* BYE enough\r\n")
                return b""
            return line

    async def run() -> None:
        with ScriptedServer(handler) as server, watching(strange(server)) as watch:
            await watch.ask(enter)
            with pytest.raises(UnavailableError):
                await watch.change(5)
            assert b"IDLE" not in server.received

    asyncio.run(run())


def test_an_end_that_the_server_sets() -> None:
    """IDLE is completed without DONE: time to look, and no DONE is sent into the next command."""

    def idling(conversation: Conversation, tag: bytes) -> None:
        conversation.send(b"+ idling\r\n" + tag + b" OK that was long enough\r\n")

    assert wait_on(idling) < 1


# ------------------------------------------------------------ cancelled


@pytest.mark.parametrize("state", ["greeting", "handshake", "capability", "sign in", "select", "search"])
def test_cancelled_in_a_silent_state(state: str, authority: Authority) -> None:
    """The socket is closed and the thread is free in less than a second, whatever the timeout."""
    security = "tls" if state == "handshake" else "none"
    certificate = authority.issue("idle", "localhost", HOST) if security == "tls" else None
    manners = Manners(certificate, security, {state: lambda *_: None})

    async def run() -> None:
        with ScriptedServer(handler_of(ImapDialect(), manners)) as server:
            with watching(strange(server, timeout=30.0, security=security)) as watch:
                asked = asyncio.create_task(watch.ask(enter))
                await asyncio.sleep(0.5)
                assert not asked.done()
                asked.cancel()
                start = time.monotonic()
                with pytest.raises(asyncio.CancelledError):
                    await asked
            assert time.monotonic() - start < 0.5
            (conversation,) = server.conversations
            await asyncio.sleep(0.3)
            assert conversation.closed

    asyncio.run(run())


def test_cancelled_while_it_connects() -> None:
    """Nobody accepts: the listener's queue is full."""

    async def run() -> None:
        with socket.socket() as listener:
            listener.bind((HOST, 0))
            listener.listen(0)
            with socket.create_connection(listener.getsockname()):
                server = settings_of(ImapDialect(), listener.getsockname()[1], timeout=30.0, security="none")
                with watching(server) as watch:
                    asked = asyncio.create_task(watch.ask(enter))
                    await asyncio.sleep(0.5)
                    assert not asked.done()
                    asked.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await asked
                assert await seconds_of(asyncio.to_thread(threads_are_free)) < 1

    asyncio.run(run())


def threads_are_free() -> None:
    """Wait until all threads of the bridge can be had."""
    while aio._threads()._busy.total():
        time.sleep(0.02)
