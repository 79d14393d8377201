"""Sending by the fake Graph: whatever happens, no mail goes out twice, and none is said to that did not."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import pytest

from airflow_email_conn.backends.graph import sender
from airflow_email_conn.errors import (
    AuthenticationError,
    DeliveryUnknownError,
    DraftError,
    EmailError,
    NetworkError,
    RefusedError,
    UnavailableError,
)
from airflow_email_conn.model.draft import Content, Draft
from tests.graph.opening import MAILBOX, Renewals, open_sender

if TYPE_CHECKING:
    from types import FrameType

    from tests.servers.graph.server import GraphServer

_TO = "vendor@example.test"
_LARGE = Content("large.bin", b"0123456789" * 320_000)  # 3.2 MB


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What became of a mail is looked at for half a second, not eight."""
    monkeypatch.setattr(sender, "_LOOKS", (0.1, 0.2, 0.2))


def _draft(*, large: bool = False, **more: object) -> Draft:
    return Draft(to=_TO, subject="x", text="y", attachments=[_LARGE] if large else [], **more)  # type: ignore[arg-type]


def _copies(graph: GraphServer) -> int:
    """How many mails went out."""
    return len(graph.sent)


def _drafts(graph: GraphServer) -> int:
    return len(graph.messages(MAILBOX, "drafts"))


@pytest.mark.parametrize("large", [False, True])
def test_sent_once(graph: GraphServer, large: bool) -> None:
    """The receipt names who it went to and its Message-ID; a copy is kept, and no draft."""
    with open_sender(graph) as out:
        receipt = out.send(_draft(large=large, bcc="accounting@example.test"))
    (sent,) = graph.sent
    assert receipt.accepted == sent.recipients == (_TO, "accounting@example.test")
    assert receipt.refused == {}
    assert receipt.message_id == sent.message_id
    assert _drafts(graph) == 0
    (arrived,) = graph.messages(_TO)
    assert arrived.parsed.text("Bcc") is None or "accounting" not in str(arrived.parsed.text("Bcc"))


def test_small_mail_needs_the_right_to_send_alone(graph: GraphServer) -> None:
    """Also when the mailbox cannot be looked at; a large one needs more, and says so."""
    renew = Renewals(graph, permissions=["Mail.Send"])
    with open_sender(graph, graph.token(permissions=["Mail.Send"]), renew=renew) as out:
        assert out.send(_draft()).accepted
        assert renew.asked == []
        with pytest.raises(AuthenticationError, match=r"Mail\.ReadWrite"):
            out.send(_draft(large=True))
    assert _copies(graph) == 1


def test_no_right_to_send(graph: GraphServer) -> None:
    """A token that may only read."""
    may = ["Mail.ReadWrite"]
    with (
        open_sender(graph, graph.token(permissions=may), renew=Renewals(graph, permissions=may)) as out,
        pytest.raises(AuthenticationError, match=r"Mail\.Send"),
    ):
        out.send(_draft())


@pytest.mark.parametrize("large", [False, True])
def test_sender_of_another(graph: GraphServer, large: bool) -> None:
    """It is refused with the mend, and nothing is left behind."""
    with (
        open_sender(graph) as out,
        pytest.raises(RefusedError, match=r"may not send as that From address.*ErrorSendAsDenied"),
    ):
        out.send(_draft(large=large, sender="stranger@example.test"))
    assert (_copies(graph), _drafts(graph)) == (0, 0)


def test_shared_mailbox(graph: GraphServer) -> None:
    """A person sends by the mailbox of another; the copy is there."""
    person = "vendor@example.test"
    token, renew = graph.token(person), Renewals(graph, person)
    with open_sender(graph, token, renew=renew) as out, pytest.raises(AuthenticationError, match="Shared"):
        out.send(_draft())
    assert _copies(graph) == 0


def test_texts_that_are_too_large(graph: GraphServer) -> None:
    """They can only be in the request itself."""
    with open_sender(graph) as out, pytest.raises(DraftError, match="attach them as a file"):
        out.send(Draft(to=_TO, html="x" * 3_500_000))
    assert _copies(graph) == 0


def test_address_that_is_not_ascii(graph: GraphServer) -> None:
    """Nobody says that Graph takes one in MIME: it is refused, before the mail is lost on the way."""
    with open_sender(graph) as out, pytest.raises(DraftError, match="SMTPUTF8"):
        out.send(Draft(to="jürgen@example.test"))
    assert _copies(graph) == 0


def test_wrong_draft_after_another(graph: GraphServer) -> None:
    """A sender sends any number of mails, whatever happens between."""
    with open_sender(graph) as out:
        for _ in range(2):
            assert out.send(_draft()).accepted
            with pytest.raises(DraftError):
                out.send(_draft(headers={"X-A": "a\nb"}))
    assert _copies(graph) == 2


# ------------------------------------------------------------ lost answers


@pytest.mark.parametrize("kind", ["status", "close", "stall"])
@pytest.mark.parametrize("large", [False, True])
def test_answer_lost(graph: GraphServer, kind: str, large: bool) -> None:
    """It went out: the copy in Sent Items tells so, and it does not go again."""
    path = r"POST .*/send\?" if large else r"POST .*/sendMail"
    fault = graph.fault(path, kind=kind, after=True, times=None)
    with open_sender(graph, timeout=0.4 if kind == "stall" else 5.0) as out:
        receipt = out.send(_draft(large=large))
    assert receipt.accepted == (_TO,)
    assert fault.hits == 1
    assert _copies(graph) == 1


@pytest.mark.parametrize("kind", ["status", "close"])
@pytest.mark.usefixtures("hasty")
def test_request_lost(graph: GraphServer, kind: str) -> None:
    """A draft that lies there still is told to leave once more."""
    fault = graph.fault(r"POST .*/send\?", kind=kind)
    with open_sender(graph) as out:
        assert out.send(_draft(large=True)).accepted == (_TO,)
    assert fault.hits == 1
    assert (_copies(graph), _drafts(graph)) == (1, 0)


@pytest.mark.usefixtures("hasty")
def test_requests_lost(graph: GraphServer) -> None:
    """A draft that does not leave is deleted: nothing was sent, and it may be tried again."""
    fault = graph.fault(r"POST .*/send\?", times=None)
    with open_sender(graph) as out, pytest.raises(NetworkError) as caught:
        out.send(_draft(large=True))
    assert caught.value.retryable
    assert not isinstance(caught.value, DeliveryUnknownError)
    assert fault.hits == 2
    assert (_copies(graph), _drafts(graph)) == (0, 0)


@pytest.mark.usefixtures("hasty")
def test_nobody_knows(graph: GraphServer) -> None:
    """A small mail of which there is no copy: it may be on its way."""
    graph.fault(r"POST .*/sendMail", times=None)
    with open_sender(graph) as out, pytest.raises(DeliveryUnknownError, match="in Sent Items") as caught:
        out.send(_draft())
    assert not caught.value.retryable
    assert _copies(graph) == 0


@pytest.mark.parametrize("large", [False, True])
def test_nobody_can_be_asked(graph: GraphServer, large: bool) -> None:
    """The answer is lost, and the mailbox cannot be looked at: it is not sent again, nor deleted."""
    graph.fault(r"POST .*/send(Mail)?\?", kind="close", after=True, times=None)
    graph.fault(r"GET .*(sentitems|messages/[^/]+\?)", status=403, code="ErrorAccessDenied", times=None)
    with open_sender(graph) as out, pytest.raises(DeliveryUnknownError):
        out.send(_draft(large=large))
    assert _copies(graph) == 1


def test_throttled(graph: GraphServer) -> None:
    """429 is waited for; when it asks for too long, nothing was sent."""
    graph.fault(r"POST .*/sendMail", status=429, headers={"Retry-After": "1"})
    with open_sender(graph) as out:
        assert out.send(_draft()).accepted
        graph.fault(r"POST .*/sendMail", status=429, headers={"Retry-After": "300"}, times=None)
        with pytest.raises(UnavailableError) as caught:
            out.send(_draft())
    assert caught.value.retry_after == 300
    assert _copies(graph) == 1


@pytest.mark.parametrize("large", [False, True])
def test_interrupted(graph: GraphServer, large: bool) -> None:
    """A task's execution_timeout while the answer is waited for: nobody knows, so Airflow must not retry."""

    class TimeIsOver(BaseException):
        pass

    def end(_number: int, _frame: FrameType | None) -> None:
        raise TimeIsOver

    before = signal.signal(signal.SIGALRM, end)
    try:
        graph.fault(r"POST .*/send(Mail)?\?", kind="stall", after=True, times=None)
        with open_sender(graph, timeout=30.0) as out:
            signal.setitimer(signal.ITIMER_REAL, 1.5)
            with pytest.raises(DeliveryUnknownError):
                out.send(_draft(large=large))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert _copies(graph) == 1


# ------------------------------------------------------------ drafts


@pytest.mark.parametrize(
    "match", [r"POST .*/messages\?", r"createUploadSession", r"POST .*/attachments\?", r"PUT .*/uploads/"]
)
def test_draft_is_removed(graph: GraphServer, match: str) -> None:
    """Whatever fails before it leaves, nothing is left behind."""
    graph.fault(match, after=True, times=None)
    files = [_LARGE, Content("middle.bin", b"x" * 2_500_000)]
    with open_sender(graph) as out, pytest.raises(EmailError) as caught:
        out.send(Draft(to=_TO, subject="x", attachments=files))
    assert caught.value.retryable
    assert (_copies(graph), _drafts(graph)) == (0, 0)


def test_two_at_the_same_time(graph: GraphServer) -> None:
    """Each thread has a sender; the drafts do not meet."""
    receipts: list[str] = []

    def work() -> None:
        with open_sender(graph) as out:
            receipts.append(out.send(_draft(large=True)).message_id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(receipts) == sorted(sent.message_id for sent in graph.sent)
    assert len(receipts) == 4
