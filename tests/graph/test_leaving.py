"""Drafts that were told to leave, and the answer is lost: none goes twice or is lost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.backends.graph import sender
from airflow_email_conn.backends.graph.sender import GraphSender
from airflow_email_conn.backends.graph.session import GraphSession
from airflow_email_conn.errors import DeliveryUnknownError, EmailError
from airflow_email_conn.model.draft import Content, Draft
from tests.graph.opening import MAILBOX, open_sender, open_session
from tests.servers.graph.behaviours import Behaviour

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_email_conn.model.draft import SendReceipt
    from tests.servers.graph.server import GraphServer

_LARGE = Content("large.bin", b"0123456789" * 320_000)  # 3.2 MB
_LOST: dict[str, Any] = {"status": 504, "times": 1}


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What became of a mail is looked at for less than a second, not eight."""
    monkeypatch.setattr(sender, "_LOOKS", (0.1, 0.1, 0.1, 0.1))


def send(graph: GraphServer) -> SendReceipt:
    """A mail that goes as a draft."""
    with open_sender(graph) as out:
        return out.send(Draft(to="vendor@example.test", subject="x", text="y", attachments=[_LARGE]))


def told(graph: GraphServer) -> int:
    """How often a draft was told to leave."""
    return len([seen for seen in graph.requests if seen.path.endswith("/send")])


def before(monkeypatch: pytest.MonkeyPatch, name: str, then: Callable[[Any], None]) -> None:
    """Something happens to the draft before the sender's method is called, from its second call on."""
    real, calls = getattr(GraphSender, name), []

    def method(self: GraphSender, draft: Any, *more: Any) -> Any:
        calls.append(name)
        if name != "_tell" or len(calls) > 1:
            then(draft)
        return real(self, draft, *more)

    monkeypatch.setattr(GraphSender, name, method)


def heard(graph: GraphServer) -> Callable[[Any], None]:
    """Exchange comes to the request that it seemed to have lost, and the copy is in Sent Items."""

    def leave(draft: Any) -> None:
        session = open_session(graph)
        session.post(f"{draft.path}/send")
        session.close()
        end = time.monotonic() + 5
        while not graph.messages(MAILBOX, "sentitems") and time.monotonic() < end:
            time.sleep(0.02)
        graph.fault(r"POST .*/send\?", status=429, headers={"Retry-After": "300"}, times=None)

    return leave


def test_looks_that_differ(graph: GraphServer) -> None:
    """It lay there at first, and is between two folders since: it is not told again."""
    graph.fault(r"POST .*/send\?", **_LOST)
    graph.fault(r"GET .*isDraft", status=404, code="ErrorItemNotFound", skip=1, times=3)
    with pytest.raises(DeliveryUnknownError):
        send(graph)
    assert told(graph) == 1


def test_heard_late(graph: GraphServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is told again, and that is refused: it went out, once, and the copy stays."""
    graph.fault(r"POST .*/send\?", **_LOST)
    before(monkeypatch, "_tell", heard(graph))
    assert send(graph).accepted
    assert len(graph.sent) == len(graph.messages(MAILBOX, "sentitems")) == 1


def test_heard_too_late(graph: GraphServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is about to be taken back: nothing is deleted, and nobody may try it again."""
    graph.fault(r"POST .*/send\?", status=504, times=2)
    before(monkeypatch, "_take_back", heard(graph))
    with pytest.raises(DeliveryUnknownError) as caught:
        send(graph)
    assert not caught.value.retryable
    assert len(graph.sent) == len(graph.messages(MAILBOX, "sentitems")) == 1


def test_nothing_is_left_behind(graph: GraphServer) -> None:
    """A draft that does not leave is gone for good, with its megabytes."""
    graph.fault(r"POST .*/send\?", status=504, times=2)
    with pytest.raises(EmailError) as caught:
        send(graph)
    assert caught.value.retryable
    assert not any(graph.messages(MAILBOX, name) for name in ("drafts", "deleteditems", "sentitems"))


def test_outbox(graph: GraphServer) -> None:
    """On its way it may lie in the Outbox, a draft still."""
    graph.site.sent_delay = 2.0
    graph.fault(r"POST .*/send\?", after=True, **_LOST)
    with graph.without(Behaviour.SENT_DRAFT_IS_AWAY):
        assert send(graph).accepted
    assert told(graph) == 1


def test_moved_by_somebody(graph: GraphServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A draft that a person threw away has not left, and is theirs."""

    def throw_away(_draft: Any) -> None:
        with graph.site.lock:
            box = graph.mailbox(MAILBOX)
            for message in list(box.folder("drafts").messages.values()):
                box.move(message, box.folder("deleteditems"))

    graph.fault(r"POST .*/send\?", **_LOST)
    before(monkeypatch, "_look_at", throw_away)
    with pytest.raises(DeliveryUnknownError):
        send(graph)
    assert not graph.sent
    assert len(graph.messages(MAILBOX, "deleteditems")) == 1


def test_no_folder_is_told(graph: GraphServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that does not say where the draft lies is no sign that it has left."""
    real = GraphSession.post_mime

    def post_mime(self: GraphSession, *what: Any, **how: Any) -> Any:
        return {name: value for name, value in real(self, *what, **how).items() if name != "parentFolderId"}

    monkeypatch.setattr(GraphSession, "post_mime", post_mime)
    graph.fault(r"POST .*/send\?", **_LOST)
    with pytest.raises(DeliveryUnknownError):
        send(graph)
    assert not graph.sent
