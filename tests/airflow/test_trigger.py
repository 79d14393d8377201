"""EmailTrigger through everything that a network does to it: the mail is found."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn import lookout
from airflow_email_conn.backends.position import Position
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.triggers.mail import EmailTrigger
from tests.airflow.leaks import leaks
from tests.airflow.waits import baseline, event, form, meanwhile, sockets_to, trigger, until
from tests.contract.mails import invoice, plain
from tests.servers.faultproxy import Fault, FaultProxy
from tests.servers.scripted import Conversation, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.bed import Bed

ALICE = "alice@example.test"


@pytest.fixture
def connect(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Define a connection to Alice's mailbox, which is empty now."""
    bed.empty(ALICE)

    def define(conn_id: str = "email_default", **changes: Any) -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", form(bed, ALICE, **changes))

    define()
    return define


async def arrive(bed: Bed, number: int = 1) -> None:
    """A mail of acme.com comes."""
    await asyncio.to_thread(bed.append, ALICE, invoice(number))


def ids(payload: dict[str, Any]) -> list[str]:
    """The Message-IDs of what was found."""
    assert payload["status"] == "found", payload
    return [mail["ref"]["message_id"] for mail in payload["mails"]]


# ------------------------------------------------------------ outcomes


def test_found(bed: Bed, connect: Callable[..., None]) -> None:
    """In seconds, by the server's own word; other mails do not count, and nothing is changed."""
    waiting = trigger(position=baseline(bed, ALICE), idle_refresh=60)

    async def run() -> None:
        async with meanwhile(waiting) as (task,):
            await asyncio.to_thread(bed.append, ALICE, plain(1))
            await asyncio.sleep(1)
            assert not task.done()
            await arrive(bed)
            payload = await asyncio.wait_for(task, 10)
        assert ids(payload) == ["<invoice-1@acme.com>"]
        assert payload["mails"][0]["seen"] is False

    asyncio.run(run())


def test_mails_before_the_baseline_are_not_looked_at(bed: Bed, connect: Callable[..., None]) -> None:
    """The sensor has seen them; but where flags are asked for, an old mail may match now."""
    bed.append(ALICE, invoice(1))
    start = baseline(bed, ALICE)
    assert asyncio.run(event(trigger(0, position=start)))["status"] == "missing"
    assert ids(asyncio.run(event(trigger(0, position=None)))) == ["<invoice-1@acme.com>"]
    unread = MailQuery(sender="@acme.com", unseen=True).as_dict()
    assert ids(asyncio.run(event(trigger(0, position=start, query=unread)))) == ["<invoice-1@acme.com>"]


def test_missing(bed: Bed, connect: Callable[..., None]) -> None:
    """At the end of the wait, not before."""
    start = time.monotonic()
    assert asyncio.run(event(trigger(2, idle_refresh=60)))["status"] == "missing"
    assert 1.9 < time.monotonic() - start < 4


def test_a_folder_that_was_made_anew(
    bed: Bed, connect: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    """UIDs mean other mails now: the whole folder is looked at, and the log says so, once."""
    bed.append(ALICE, plain(1))
    start = {**baseline(bed, ALICE), "validity": "1"}

    async def run() -> None:
        async with meanwhile(trigger(position=start, idle_refresh=0.5)) as (task,):
            await asyncio.sleep(2)
            await arrive(bed)
            assert ids(await asyncio.wait_for(task, 10)) == ["<invoice-1@acme.com>"]

    asyncio.run(run())
    assert capfd.readouterr().out.count("was made anew") == 1


@pytest.mark.parametrize(
    ("changes", "folder", "message"),
    [
        ({"incoming_security": "nonsense"}, "INBOX", "Incoming server"),
        ({}, "Nowhere", "no folder 'Nowhere'"),
    ],
)
def test_what_will_come_again(
    bed: Bed, connect: Callable[..., None], changes: dict[str, Any], folder: str, message: str
) -> None:
    """An error at once, not to be retried."""
    connect(**changes)
    payload = asyncio.run(event(trigger(30, folder=folder)))
    assert (payload["status"], payload["retryable"]) == ("error", False)
    assert message in payload["message"]


def test_a_wrong_password_is_tried_once(bed: Bed, connect: Callable[..., None]) -> None:
    """More tries lock the account."""

    def refuse(conversation: Conversation) -> None:
        conversation.send(b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready\r\n")
        while line := conversation.readline():
            conversation.send(line.split()[0] + b" NO [AUTHENTICATIONFAILED] no\r\n")

    with ScriptedServer(refuse) as server:
        connect(port=server.port, incoming_security="none")
        payload = asyncio.run(event(trigger(30)))
    assert (payload["status"], payload["retryable"]) == ("error", False)
    assert server.received.count(b"AUTHENTICATE") == 1


def test_patience_ends(bed: Bed, connect: Callable[..., None]) -> None:
    """Nobody answers for longer than that: an error that Airflow may retry."""
    with FaultProxy(bed.imap_port) as proxy:
        proxy.fault = Fault("refuse")
        connect(port=proxy.port, incoming_security="none")
        start = time.monotonic()
        payload = asyncio.run(event(trigger(60, patience=2.0)))
    assert (payload["status"], payload["retryable"]) == ("error", True)
    assert 2 < time.monotonic() - start < 8
    assert 2 <= proxy.connections < 8


def test_nobody_could_look_at_the_end(bed: Bed, connect: Callable[..., None]) -> None:
    """That is no "missing": the mail may be there."""
    with FaultProxy(bed.imap_port) as proxy:
        proxy.fault = Fault("refuse")
        connect(port=proxy.port, incoming_security="none")
        assert asyncio.run(event(trigger(2)))["status"] == "error"


def test_pop3_is_polled(bed: Bed, connect: Callable[..., None]) -> None:
    """And between two looks it is not held: others could not get in."""
    start = Position("INBOX").as_dict()
    bed.append(ALICE, plain(1))

    async def run() -> None:
        with FaultProxy(bed.ports.pop3) as proxy:
            connect(port=proxy.port, incoming_protocol="pop3", incoming_security="none")
            async with meanwhile(trigger(position=start, poll_interval=0.5)) as (task,):
                for looks in range(1, 4):
                    await until(lambda looks=looks: proxy.connections >= looks)
                    await until(lambda: sockets_to(proxy.port) == 0)
                await arrive(bed)
                assert ids(await asyncio.wait_for(task, 20)) == ["<invoice-1@acme.com>"]
            assert proxy.seen_from_client.count(b"QUIT") == proxy.connections

    asyncio.run(run())


# ------------------------------------------------------------ arguments


def test_arguments_are_json_and_come_back(bed: Bed, connect: Callable[..., None]) -> None:
    """What Airflow stores makes the same trigger, and holds no secret."""
    waiting = trigger(position=baseline(bed, ALICE), query=MailQuery(subject={"regex": "a.c"}).as_dict())
    path, arguments = waiting.serialize()
    assert path == "airflow_email_conn.triggers.mail.EmailTrigger"
    stored = json.dumps(arguments)
    assert EmailTrigger(**json.loads(stored)).serialize() == (path, arguments)
    assert leaks(stored.encode(), {"password": bed.users[ALICE]}) == []


def test_a_triggerer_that_dies_loses_nothing(bed: Bed, connect: Callable[..., None]) -> None:
    """The next one begins with the same arguments, long after mails came that nobody heard of."""
    waiting = trigger(position=baseline(bed, ALICE))

    async def die() -> None:
        async with meanwhile(waiting):
            await asyncio.sleep(0.5)

    asyncio.run(die())
    for number in range(3):
        bed.append(ALICE, invoice(number))
    _, arguments = waiting.serialize()
    found = asyncio.run(event(EmailTrigger(**json.loads(json.dumps(arguments)))))
    assert ids(found) == [f"<invoice-{number}@acme.com>" for number in range(3)]


# ------------------------------------------------------------ faults

FAULTS = {
    # What goes wrong, one after the other; the next one when the one before has hit.
    "cut": [Fault("cut", side="server", pass_on=False)],
    "reset": [Fault("reset", side="server", pass_on=False)],
    "stall": [Fault("stall", side="server", pass_on=False)],
    "halfopen": [Fault("halfopen", side="server", pass_on=False)],
    "slow": [Fault("slow", rate=300)],
    "refuse": [Fault("cut", once=True), Fault("refuse")],
    "bye": [Fault("cut", side="server", once=True), Fault("stall", side="server")],
}


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("security", ["none", "tls"])
def test_mail_that_comes_during_an_outage(
    bed: Bed, connect: Callable[..., None], kind: str, security: str
) -> None:
    """It is found after it; the connection broke while the server told of the mail."""
    start = baseline(bed, ALICE)

    async def run() -> None:
        port = bed.imaps_port if security == "tls" else bed.imap_port
        with FaultProxy(port) as proxy:
            connect(port=proxy.port, incoming_security=security)
            async with meanwhile(trigger(position=start)) as (task,):
                await until(lambda: len(proxy.seen_from_client) > 400)
                await asyncio.sleep(0.5)
                for planned in FAULTS[kind]:
                    proxy.fault = fault = replace(planned, hits=0)
                    if fault.once:
                        await until(lambda fault=fault: fault.hits)
                await arrive(bed)
                await until(lambda: fault.hits)
                await asyncio.sleep(2)
                proxy.fault = None
                assert ids(await asyncio.wait_for(task, 30)) == ["<invoice-1@acme.com>"]

    asyncio.run(run())


def test_50_reconnects_leave_one_socket(
    bed: Bed, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one sign-in for each of them."""
    monkeypatch.setattr(lookout, "_LONGEST_PAUSE", 0.02)
    start = baseline(bed, ALICE)

    async def run() -> None:
        with FaultProxy(bed.imap_port) as proxy:
            connect(port=proxy.port, incoming_security="none")
            async with meanwhile(trigger(position=start, idle_refresh=0.05)) as (task,):
                for number in range(50):
                    kind: Any = ("cut", "reset", "halfopen")[number % 3] if number % 10 == 0 else "cut"
                    proxy.fault = fault = Fault(kind, when=rb"DONE\r\n$", once=True)
                    await until(lambda fault=fault: fault.hits)
                    assert sockets_to(proxy.port) <= 1
                assert proxy.connections >= 50
                assert proxy.seen_from_client.count(b"AUTHENTICATE") == proxy.connections
                await arrive(bed)
                await asyncio.wait_for(task, 20)
            await until(lambda: sockets_to(proxy.port) == 0, 2)

    asyncio.run(run())


# ------------------------------------------------------------ many


def test_a_silent_server_does_not_delay_the_others(bed: Bed, connect: Callable[..., None]) -> None:
    """Though twenty triggers wait for its greeting."""

    async def run() -> None:
        with ScriptedServer(lambda conversation: conversation.read_to_end(), seconds=60) as silent:
            connect("silent", port=silent.port, timeout=20)
            stuck = [trigger(email_conn_id="silent") for _ in range(20)]
            async with meanwhile(*stuck), meanwhile(trigger(idle_refresh=60)) as (task,):
                await asyncio.sleep(1)
                await arrive(bed)
                start = time.monotonic()
                assert ids(await asyncio.wait_for(task, 10)) == ["<invoice-1@acme.com>"]
                assert time.monotonic() - start < 3
                ended = time.monotonic()
            assert time.monotonic() - ended < 1

    asyncio.run(run())


def test_the_loop_is_never_blocked(
    bed: Bed, connect: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """For no longer than 100 ms, says asyncio: signing in, TLS, 500 summaries, and the end of connections."""
    for number in range(500):
        bed.append(ALICE, invoice(number))

    async def run(proxy: FaultProxy) -> None:
        asyncio.get_running_loop().slow_callback_duration = 0.1
        never = MailQuery(subject={"regex": "never"}, unseen=True).as_dict()
        every = trigger(query=never, idle_refresh=2.0)
        async with meanwhile(*[every] * 3):
            await asyncio.sleep(3)
            proxy.fault = Fault("cut", once=True)
            await asyncio.sleep(3)

    slow: list[str] = []
    for _ in range(3):  # a machine that is busy with something else pauses any loop, but not each time
        caplog.clear()
        with FaultProxy(bed.imaps_port) as proxy, caplog.at_level(logging.WARNING, "asyncio"):
            connect(port=proxy.port)
            asyncio.run(run(proxy), debug=True)
        slow = [record.getMessage() for record in caplog.records if "Executing" in record.getMessage()]
        if not slow:
            break
    assert slow == []


@pytest.mark.timeout(300)
def test_200_triggers_in_one_process(bed: Bed) -> None:
    """Over TLS: at most 16 threads and 70 kB for each."""
    logins = [login for login in bed.users if login.isascii()]
    for login in logins:  # a mail that another test left would end the wait at once
        bed.empty(login)
    forms = {f"crowd_{number}": form(bed, login, timeout=20) for number, login in enumerate(logins)}
    run = subprocess.run(
        [sys.executable, "-m", "tests.airflow.crowd", json.dumps(forms), "200"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    seen = json.loads(run.stdout.splitlines()[-1])
    print(seen)
    assert seen["waiting"] == 200
    assert seen["threads"] <= 16
    assert seen["kilobytes each"] <= 70
    assert seen["cpu"] < 0.05
