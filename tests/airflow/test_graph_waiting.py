"""Waiting for mail on Microsoft 365: each way of the sensor, by delta, and through what goes wrong."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowRescheduleException, TaskDeferred

from airflow_email_conn.backends.graph import limits
from airflow_email_conn.backends.position import Position
from airflow_email_conn.hooks import probe
from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn.hooks.tokens import tokens_of
from airflow_email_conn.model.message import MailRef
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.sensors.mail import EmailSensor
from airflow_email_conn.triggers.mail import EmailTrigger
from tests.airflow.leaks import leaks
from tests.airflow.oauth import graph_form, sign_in
from tests.airflow.test_secrets import dumped, written
from tests.airflow.test_tasks import Instance
from tests.airflow.test_waiting import subjects, task_of, wait_for_state, xcom
from tests.airflow.waits import event, meanwhile, sockets_to, trigger, until
from tests.contract.mails import RECEIVED, invoice, plain
from tests.contract.places import graph_mailbox
from tests.servers.faultproxy import FaultProxy
from tests.servers.graph.behaviours import Behaviour

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Mapping
    from pathlib import Path

    from tests.airflow.stage import Stage
    from tests.servers.authority import Authority
    from tests.servers.graph.server import GraphServer
    from tests.servers.graph.tokens import Token

    Connect = Callable[..., None]

ALICE = "alice@example.test"


@pytest.fixture
def graph(graph_at_authority: GraphServer) -> GraphServer:
    """Microsoft 365, with empty mailboxes."""
    return graph_at_authority


@pytest.fixture(autouse=True)
def connect(
    graph: GraphServer, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Connect:
    """Define the connection `email_default`, an application's to Alice's mailbox, with changes."""
    monkeypatch.setattr(limits, "_LONGEST", 0.01)
    store = "airflow_email_conn.token_store.FileTokenStore"
    monkeypatch.setenv("AIRFLOW__EMAIL_CONN__TOKEN_STORE", store)
    monkeypatch.setenv("AIRFLOW__EMAIL_CONN__TOKEN_STORE_KWARGS", json.dumps({"directory": str(tmp_path)}))

    def define(**extra: Any) -> None:
        form = graph_form(graph, authority, ALICE, **extra)
        monkeypatch.setenv("AIRFLOW_CONN_EMAIL_DEFAULT", json.dumps(form))

    define()
    return define


def sensor(**arguments: Any) -> EmailSensor:
    """A sensor that waits for a CSV of acme.com."""
    usual = {"task_id": "wait", "poke_interval": 0.1, "timeout": 30, "sender": "@acme.com"}
    return EmailSensor(**{**usual, "attachment": "*.csv", **arguments})


def execute(waiting: EmailSensor) -> Any:
    """As Airflow does in a worker."""
    context: Any = {"ti": Instance()}
    return waiting.execute(context)


def deferred(**arguments: Any) -> dict[str, Any]:
    """What a sensor that finds no mail leaves to the triggerer: the arguments as Airflow keeps them."""
    with pytest.raises(TaskDeferred) as caught:
        execute(sensor(deferrable=True, **arguments))
    kept: dict[str, Any] = json.loads(json.dumps(caught.value.trigger.serialize()[1]))
    return kept


def ids(payload: dict[str, Any]) -> list[str]:
    """The Message-IDs of what a trigger found."""
    assert payload["status"] == "found", payload
    return [mail["ref"]["message_id"] for mail in payload["mails"]]


def rounds(graph: GraphServer) -> int:
    """Requests of delta queries so far."""
    return sum("/delta" in seen.path for seen in graph.requests)


@asynccontextmanager
async def waiting_on(graph: GraphServer, **changes: Any) -> AsyncIterator[asyncio.Task[dict[str, Any]]]:
    """A trigger that has looked once, and goes on."""
    before = rounds(graph)
    async with meanwhile(trigger(**{"poll_interval": 0.3, **changes})) as (task,):
        await until(lambda: rounds(graph) > before + 1 or task.done())
        yield task


async def arrives(graph: GraphServer, number: int = 1) -> None:
    """A mail of acme.com comes."""
    await asyncio.to_thread(graph.append, ALICE, invoice(number))


# ------------------------------------------------------------ each way to wait


def test_all_ways_give_the_same(graph: GraphServer) -> None:
    """Looking in the worker, giving it back between two looks, and waiting in the triggerer."""
    graph.append(ALICE, plain(1))
    with pytest.raises(AirflowRescheduleException):
        execute(sensor(mode="reschedule"))
    assert rounds(graph) == 0
    waiting = EmailTrigger(**deferred())
    graph.append(ALICE, invoice())
    found = asyncio.run(event(waiting))["mails"]
    assert [mail["ref"]["message_id"] for mail in found] == ["<invoice-1@acme.com>"]
    assert found == execute(sensor()) == execute(sensor(mode="reschedule"))


def test_the_end_is_asked_for_only_where_it_is_of_use(graph: GraphServer) -> None:
    """A mail that somebody marks as unread is found, wherever it lies: counting all mails helps nobody."""
    graph.append(ALICE, invoice(), flags="\\Seen")
    kept = deferred(unseen=True)
    assert kept["position"] is None
    assert rounds(graph) == 0

    async def run() -> dict[str, Any]:
        async with meanwhile(EmailTrigger(**{**kept, "poll_interval": 0.3})) as (task,):
            await asyncio.sleep(1)
            with graph.site.lock:
                (mail,) = graph.messages(ALICE)
                mail.is_read = False
                graph.mailbox(ALICE).changed(mail)
            return await asyncio.wait_for(task, 10)

    assert ids(asyncio.run(run())) == ["<invoice-1@acme.com>"]
    assert rounds(graph) == 0


def test_a_look_of_the_worker(graph: GraphServer) -> None:
    """The end by a thousand mails in a request, before the search that the server narrows down."""
    for number in range(1001):
        graph.append(ALICE, plain(number))
    with graph.without(Behaviour.DELTA_EMPTY_PAGE):
        deferred(sender="somebody@acme.org")
    asked = [seen.path.rpartition("/")[2] for seen in graph.requests]
    assert asked == ["inbox", "delta", "delta", "messages"]


def test_what_the_triggerer_is_given(graph: GraphServer, authority: Authority) -> None:
    """No secret, and not much: where the folder ends, and what is known of the newest mails."""
    graph.append(ALICE, plain(1))
    kept = deferred()
    position = Position.from_dict(kept["position"])
    assert position.link.startswith(graph.url)
    assert len(position.uids) == 1
    assert Position.from_dict(json.loads(json.dumps(position.as_dict()))) == position
    server = EmailHook().settings.incoming
    assert server
    token = tokens_of("").of(server).token().access_token
    secrets = {"client secret": authority.clients.secret, "access token": token}
    assert leaks(json.dumps(kept).encode(), secrets) == []


def test_a_position_is_bounded(graph: GraphServer) -> None:
    """What would make it large is left out: a link, which costs a full round, and what was owed longest."""
    graph.append(ALICE, invoice())
    with graph_mailbox(graph, ALICE) as mailbox:
        here = mailbox.position()
        owing = here.short_of(MailRef("INBOX", f"{number:0200}") for number in range(1010))
        assert len(json.dumps(owing.as_dict())) < 300_000
        assert Position.from_dict(owing.as_dict()) == replace(owing, owed=owing.owed[-1000:])
        large = replace(here, link=here.link + "x" * 16_000)
        assert len(json.dumps(large.as_dict())) < 10_000
        past = Position.from_dict(large.as_dict())
        graph.append(ALICE, plain(2))
        assert past.fits(mailbox.position("INBOX", past))
        assert [mail.message_id for mail in mailbox.search(MailQuery(), after=past)] == ["<plain-2@acme.com>"]


# ------------------------------------------------------------ in the triggerer


def test_an_idle_look_is_one_request(graph: GraphServer, authority: Authority) -> None:
    """Over one connection, in one session, with one token."""
    for number in range(30):
        graph.append(ALICE, plain(number))

    async def run() -> list[str]:
        async with waiting_on(graph):
            graph.site.requests.clear()
            await until(lambda: len(graph.requests) >= 5)
            return [seen.path for seen in graph.requests[:5]]

    with graph.without(Behaviour.DELTA_EMPTY_PAGE):
        asked = asyncio.run(run())
    assert all(path.endswith("/messages/delta") for path in asked)
    assert authority.counts().client_credentials == 1


def test_a_connection_that_ended_between_two_looks(
    graph: GraphServer, connect: Connect, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each look goes over the same one; once the server has closed it, over the next one, unnoticed."""

    async def run(proxy: FaultProxy) -> None:
        async with waiting_on(graph, poll_interval=1.0) as task:
            await until(lambda: rounds(graph) >= 6)
            assert proxy.connections == 1
            await asyncio.to_thread(proxy.hang_up)
            await arrives(graph)
            assert ids(await asyncio.wait_for(task, 10)) == ["<invoice-1@acme.com>"]
        assert proxy.connections == 2

    with FaultProxy(graph.port) as proxy:
        connect(graph_url=f"https://localhost:{proxy.port}")
        asyncio.run(run(proxy))
    assert "trying again" not in capfd.readouterr().out


@pytest.mark.parametrize("state", ["idle", "asking", "pausing"])
def test_cancelled(graph: GraphServer, state: str) -> None:
    """The connection is closed at once: between two looks, in a request, and before another try."""
    if state == "asking":
        graph.fault(r"deltatoken", kind="stall", times=None, seconds=30)
    if state == "pausing":
        graph.fault(r"deltatoken", status=429, headers={"Retry-After": "15"}, times=None)

    async def run() -> float:
        async with meanwhile(trigger(poll_interval=0.5 if state != "idle" else 60.0)):
            wanted = "deltatoken" if state != "idle" else "/messages?"
            await until(lambda: any(wanted in f"{seen.path}?{seen.query}" for seen in graph.requests))
            await asyncio.sleep(0.3)
            assert state == "pausing" or sockets_to(graph.port) == 1
            began = time.monotonic()
        await until(lambda: sockets_to(graph.port) == 0, 3)
        return time.monotonic() - began

    assert asyncio.run(run()) < 1
    count = len(graph.requests)
    time.sleep(0.5)
    assert len(graph.requests) == count


# ------------------------------------------------------------ what goes wrong


@pytest.mark.parametrize("how", ["410", "syncStateNotFound", "resyncRequired"])
def test_a_link_that_is_lost(graph: GraphServer, how: Any) -> None:
    """The mails from before do not come again, though they match; those that came later do, once each."""
    for number in range(3):
        graph.append(ALICE, invoice(number), when=RECEIVED)
    with_known = trigger(0, position=None)
    assert len(ids(asyncio.run(event(with_known)))) == 3
    with graph_mailbox(graph, ALICE) as mailbox:
        past = mailbox.position().as_dict()
    graph.lose_delta_tokens(how)

    async def run() -> None:
        async with waiting_on(graph, position=past) as task:
            graph.lose_delta_tokens(how)
            before = rounds(graph)
            await until(lambda: rounds(graph) > before + 2)
            graph.lose_delta_tokens(how)
            await arrives(graph, 7)
            assert ids(await asyncio.wait_for(task, 10)) == ["<invoice-7@acme.com>"]

    asyncio.run(run())


@pytest.mark.parametrize("longest", [20.0, 0.5])
def test_throttled(graph: GraphServer, monkeypatch: pytest.MonkeyPatch, longest: float) -> None:
    """The wait goes on as slowly as Graph asks for: in the thread, or without one for longer pauses."""
    monkeypatch.setattr(limits, "_LONGEST_WAIT", longest)
    fault = graph.fault(r"deltatoken", status=429, headers={"Retry-After": "1"}, times=2)

    async def run() -> None:
        async with meanwhile(trigger(poll_interval=0.3)) as (task,):
            await until(lambda: fault.hits)
            await arrives(graph)
            assert ids(await asyncio.wait_for(task, 20)) == ["<invoice-1@acme.com>"]

    asyncio.run(run())
    asked = [seen for seen in graph.requests if "deltatoken" in seen.query]
    refused = [seen.at for seen in asked if seen.status == 429]
    assert len(refused) == 2
    assert all(late - early >= 1 for early, late in pairwise(refused))


def test_a_permission_that_is_missing(graph: GraphServer) -> None:
    """The wait ends at once: which permission it is, and that the task is not to be retried."""
    graph.fault(r"deltatoken", status=403, code="ErrorAccessDenied", times=None)
    began = time.monotonic()
    payload = asyncio.run(event(trigger(poll_interval=0.3)))
    assert (payload["status"], payload["retryable"]) == ("error", False)
    assert "the permission Mail.Read" in payload["message"]
    assert "request-id" in payload["message"]
    assert time.monotonic() - began < 10
    context: Any = {}
    with pytest.raises(AirflowFailException, match=r"Mail\.Read"):
        sensor().execute_complete(context, payload)


def test_a_sign_in_that_is_revoked(graph: GraphServer, authority: Authority, connect: Connect) -> None:
    """While the triggerer waits: it goes on to the end of its token, and then says who has to do what."""
    authority.ttl(access=4)
    connect(kind="device_flow")
    sign_in(authority, ALICE)

    async def run() -> dict[str, Any]:
        async with waiting_on(graph) as task:
            await asyncio.to_thread(authority.revoke_grants, ALICE)
            return await asyncio.wait_for(task, 20)

    payload = asyncio.run(run())
    assert (payload["status"], payload["retryable"]) == ("error", False)
    assert "airflow email-conn login email_default" in payload["message"]


def test_tokens_that_end(graph: GraphServer, authority: Authority, connect: Connect) -> None:
    """The same session goes on with the next one, and the mail is found."""
    authority.ttl(access=2)

    async def run() -> None:
        async with waiting_on(graph) as task:
            await asyncio.sleep(5)
            await arrives(graph)
            assert ids(await asyncio.wait_for(task, 10)) == ["<invoice-1@acme.com>"]

    asyncio.run(run())
    assert authority.counts().client_credentials >= 3
    assert sum(seen.path.endswith("/inbox") for seen in graph.requests) == 1


# ------------------------------------------------------------ the connection test


def test_a_thousand_folders(graph: GraphServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with one below it is a request: the test ends in time, and does not fail for that."""
    for number in range(60):
        graph.append(ALICE, plain(number), folder=[f"Folder {number}", "Below"])
    monkeypatch.setattr(probe, "_TEST_LIMIT", 2.0)
    graph.site.latency = 0.1
    began = time.monotonic()
    ok, told = EmailHook().test_connection()
    assert ok, told
    assert time.monotonic() - began < 4
    assert f"Incoming (Microsoft Graph, localhost port {graph.port}) OK: token, connect, mailbox" in told
    assert "open INBOX, more folders than could be counted in time" in told
    assert "whether it may send, only a mail can show" in told


def test_a_token_that_shows_folders_alone(graph: GraphServer) -> None:
    """Who may not read mails is told so by the test, not by the first task."""
    graph.fault(r"GET .*/messages\?", status=403, code="ErrorAccessDenied", times=None)
    ok, told = EmailHook().test_connection()
    assert not ok
    assert "FAILED at step 'open INBOX'" in told
    assert "the permission Mail.Read" in told


# ------------------------------------------------------------ in a whole Airflow


def test_a_real_triggerer(
    stage: Stage, graph: GraphServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deferred task gets its mail; database, logs and outputs hold neither secret nor token."""
    tokens = set()
    check = graph.site.tokens.check

    def noting(headers: Mapping[str, str], off: Collection[Behaviour]) -> Token:
        tokens.add(headers["authorization"].partition(" ")[2])
        return check(headers, off)

    monkeypatch.setattr(graph.site.tokens, "check", noting)
    airflow = stage.airflow
    airflow.connect("microsoft365", graph_form(graph, authority, ALICE))
    airflow.wait_for_dags("waiting")
    graph.append(ALICE, plain(1))
    run = airflow.trigger("waiting", subject="Comes later", conn_id="microsoft365")
    task = task_of("waiting", run)
    wait_for_state(stage, task, "deferred")
    kept = dumped(airflow.home / "airflow.db")
    time.sleep(2)  # Airflow 3.3.2 fails a task that goes on before its scheduler knows that it waits
    graph.append(ALICE, plain(2, subject="Comes later"))
    assert airflow.wait_for_run("waiting", run) == "success"
    assert subjects(xcom(stage, task, "return_value")) == ["Comes later"]
    assert tokens
    secrets = {"client secret": authority.clients.secret} | {f"token {n}": t for n, t in enumerate(tokens)}
    texts = {"database, deferred": kept, **written(airflow.home)}
    found = {name: leak for name, text in texts.items() if (leak := leaks(text, secrets))}
    assert found == {}
