"""Limits: what is tried again, how long is waited, and how many requests are in flight."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest

from airflow_email_conn.backends.graph import limits
from airflow_email_conn.backends.graph.limits import in_flight
from airflow_email_conn.errors import EmailError, NetworkError, UnavailableError
from airflow_email_conn.lifeline import Lifeline
from airflow_email_conn.wire.graph import paths
from airflow_email_conn.wire.graph.errors import OutcomeUnknownError
from tests.graph.opening import MAILBOX, open_session

if TYPE_CHECKING:
    from airflow_email_conn.backends.graph.session import GraphSession
    from tests.servers.graph.server import GraphServer


def _date(seconds: float) -> str:
    return format_datetime(datetime.now(timezone.utc) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize("how", ["seconds", "date"])
@pytest.mark.parametrize(("status", "code"), [(429, "ApplicationThrottled"), (503, ""), (504, "")])
def test_retry_after(graph: GraphServer, how: str, status: int, code: str) -> None:
    """The server is left alone as long as it asks for, in either form."""
    session = open_session(graph)
    after = "1" if how == "seconds" else _date(2)  # of a date the fraction is lost
    graph.fault(r"GET .*/inbox", status=status, code=code, headers={"Retry-After": after})
    begin = time.monotonic()
    assert session.get("/mailFolders/inbox")["id"]
    session.close()
    assert 1.0 <= time.monotonic() - begin < 5


def test_long_retry_after(graph: GraphServer) -> None:
    """No thread stands still for minutes: who called is told how long."""
    session = open_session(graph)
    fault = graph.fault(r"GET .*/inbox", status=429, headers={"Retry-After": "120"}, times=None)
    begin = time.monotonic()
    with pytest.raises(UnavailableError) as caught:
        session.get("/mailFolders/inbox")
    session.close()
    assert caught.value.retry_after == 120
    assert fault.hits == 1
    assert time.monotonic() - begin < 1


def test_tries_end(graph: GraphServer) -> None:
    """Four; then whoever called decides."""
    session = open_session(graph)
    fault = graph.fault(r"GET .*/inbox", times=None)
    with pytest.raises(UnavailableError, match="serviceNotAvailable"):
        session.get("/mailFolders/inbox")
    session.close()
    assert fault.hits == 4


def test_a_crowd_is_waited_for(graph: GraphServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """429 is tried again as long as others may need, and then no more."""
    session = open_session(graph)
    fault = graph.fault(r"GET .*/inbox", status=429, times=9)
    assert session.get("/mailFolders/inbox")["id"]
    assert fault.hits == 9
    monkeypatch.setattr(limits, "_QUEUEING", 1.0)
    graph.fault(r"GET .*/inbox", status=429, headers={"Retry-After": "1"}, times=None)
    begin = time.monotonic()
    with pytest.raises(UnavailableError):
        session.get("/mailFolders/inbox")
    session.close()
    assert time.monotonic() - begin < 3


def _move(session: GraphSession, graph: GraphServer) -> None:
    message = paths.segment(graph.append(MAILBOX, b"Subject: x\r\n\r\n").id)
    session.post(f"/messages/{message}/move", {"destinationId": "archive"})


def test_throttled_post_is_tried_again(graph: GraphServer) -> None:
    """429 says that it was not begun with."""
    session = open_session(graph)
    fault = graph.fault(r"POST .*/move", status=429)
    _move(session, graph)
    session.close()
    assert fault.hits == 1
    assert len(graph.messages(MAILBOX, "archive")) == 1


@pytest.mark.parametrize("kind", ["status", "close", "stall"])
def test_post_is_not_repeated(graph: GraphServer, kind: str) -> None:
    """It was done, and its answer lost: a second one would do it twice."""
    session = open_session(graph, timeout=0.5)
    fault = graph.fault(r"POST .*/move", kind=kind, after=True, times=None)
    with pytest.raises(OutcomeUnknownError):
        _move(session, graph)
    session.close()
    assert fault.hits == 1
    assert len(graph.messages(MAILBOX, "archive")) == 1


@pytest.mark.parametrize("kind", ["status", "close"])
def test_what_can_be_repeated(graph: GraphServer, kind: str) -> None:
    """PATCH comes to the same when it is done twice, and some of what is posted."""
    session = open_session(graph)
    message = f"/messages/{paths.segment(graph.append(MAILBOX, b'Subject: x').id)}"
    fault = graph.fault(r"PATCH", kind=kind, after=True)
    assert session.patch(message, {"isRead": True})["isRead"] is True
    assert fault.hits == 1
    fault = graph.fault(r"POST", kind=kind)
    session.post(f"{message}/permanentDelete", is_repeatable=True)
    session.close()
    assert fault.hits == 1


# ------------------------------------------------------------ in flight


def test_four_at_a_time(graph: GraphServer) -> None:
    """Eight threads of a process, each with a session of its own, are four to the mailbox."""
    graph.site.latency = 0.05
    sessions = [open_session(graph) for _ in range(8)]

    def work(session: GraphSession) -> None:
        for _ in range(6):
            session.get("/mailFolders/inbox")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, sessions))
    for session in sessions:
        session.close()
    assert graph.peak(MAILBOX) == 4
    assert all(seen.status == 200 for seen in graph.requests)


def test_other_mailboxes_are_counted_apart(graph: GraphServer) -> None:
    """Streams that are open in one mailbox hold nothing up in another."""
    other = next(login for login in graph.users if login != MAILBOX)
    root = f"{graph.url}/v1.0/users/{MAILBOX}"
    session = open_session(graph, user=other)
    with in_flight(root, 1, "x"), in_flight(root, 1, "x"), in_flight(root, 1, "x"), in_flight(root, 1, "x"):
        assert session.get("/mailFolders/inbox")["id"]
    session.close()


def test_waiting_for_others_ends(graph: GraphServer) -> None:
    """By a deadline, and when the lifeline is cut."""
    session = open_session(graph, timeout=0.1)
    root = f"{graph.url}/v1.0/users/{MAILBOX}"
    with in_flight(root, 1, "x"), in_flight(root, 1, "x"), in_flight(root, 1, "x"), in_flight(root, 1, "x"):
        with pytest.raises(UnavailableError, match="4 requests for this mailbox"), in_flight(root, 0.1, "x"):
            pass
        lifeline, begin = Lifeline(), time.monotonic()
        threading.Timer(0.2, lifeline.cut).start()
        with lifeline, pytest.raises(NetworkError, match="broken off"), in_flight(root, 10, "x"):
            pass
        assert time.monotonic() - begin < 5
        begin = time.monotonic()
        with pytest.raises(UnavailableError, match="4 requests for this mailbox"):
            session.get("/mailFolders/inbox")
        assert time.monotonic() - begin < 1  # once 0.4 s, not four times
    assert session.get("/mailFolders/inbox")["id"]
    session.close()


def test_failures_give_their_place_back(graph: GraphServer) -> None:
    """Whatever ends a request, the next one has room."""
    session = open_session(graph, timeout=0.3)
    for kind in ("close", "garbage", "stall", "status"):
        fault = graph.fault(r"POST .*/move", kind=kind, times=None)
        for _ in range(2):
            with pytest.raises(EmailError):
                _move(session, graph)
        assert fault.hits == 2
        graph.faults.clear()
    assert session.get("/mailFolders/inbox")["id"]
    session.close()
