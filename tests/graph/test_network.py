"""Every fault of the network at every stage of a job: the right error in time, or the whole result, once.

A proxy that ends TLS sees each request. What the server itself does wrong is in the suites of the parts.
"""

from __future__ import annotations

import io
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import pytest

from airflow_email_conn.backends.graph import limits, sender
from airflow_email_conn.backends.graph.mailbox import GraphMailbox
from airflow_email_conn.backends.graph.sender import GraphSender
from airflow_email_conn.errors import DeadlineError, DeliveryUnknownError, EmailError, NetworkError
from airflow_email_conn.model.draft import Content, Draft
from airflow_email_conn.model.query import MailQuery
from tests.contract.mails import invoice
from tests.graph.opening import MAILBOX, Renewals, setting
from tests.servers.certificates import client_context
from tests.servers.faultproxy import Fault, FaultProxy
from tests.servers.graph.behaviours import Behaviour

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.faults import Kind, Side
    from tests.servers.graph.server import GraphServer

TIMEOUT: Final = 1.0
_MARGIN: Final = 5.0  # seconds, for a machine that is busy
_FINAL: Final = 4  # times the timeout, for the answer to what sends a mail
_TO: Final = "vendor@example.test"
_FILE: Final = os.urandom(300_000)
_LARGE: Final = os.urandom(7_000_000)
_MAILS: Final = 60

#: What goes wrong, as the proxy knows it.
FAULTS: Final[dict[str, tuple[Kind, dict[str, Any]]]] = {
    "cut": ("cut", {}),
    "reset": ("reset", {}),
    "stall": ("stall", {}),
    "half-open": ("halfopen", {}),
    "slow": ("slow", {"rate": 400_000}),
    "drip": ("slow", {"rate": 20}),  # the least that the proxy can do: a byte each 50 ms
}
_SILENT: Final = {"stall", "half-open", "drip"}


def _search(port: int, graph: GraphServer, _name: str) -> object:
    with _mailbox(port, graph) as mailbox:
        return len(list(mailbox.search(MailQuery())))


def _save(port: int, graph: GraphServer, _name: str) -> object:
    with _mailbox(port, graph) as mailbox:
        (mail,) = mailbox.search(MailQuery(message_id="<invoice-7@acme.com>"))
        file = io.BytesIO()
        mailbox.save(mail.attachments[1], file)
        return file.getvalue()


def _mark(port: int, graph: GraphServer, name: str) -> object:
    with _mailbox(port, graph) as mailbox:
        (mail,) = mailbox.search(MailQuery(message_id="<invoice-9@acme.com>"))
        return len(list(mailbox.mark_seen([mail.ref])))


def _send(port: int, graph: GraphServer, name: str) -> object:
    with _sender(port, graph) as out:
        return len(out.send(Draft(to=_TO, subject=name)).accepted)


def _upload(port: int, graph: GraphServer, name: str) -> object:
    with _sender(port, graph) as out:
        return len(out.send(Draft(to=_TO, subject=name, attachments=[Content("a", _LARGE)])).accepted)


@dataclass(frozen=True)
class Stage:
    """Where a fault strikes.

    :param job: what is done; gives what `result` is on a healthy network.
    :param begins: what is seen when the stage begins, as a regular expression; None: it sees no TLS end.
    :param seen_from: whose word that is.
    :param octets: from then on, that still pass; None: what begins the stage already does not.
    :param side: whose octets these are.
    """

    job: Callable[[int, GraphServer, str], object]
    result: object
    begins: bytes | None
    octets: int | None = None
    seen_from: Side = "client"
    side: Side = "server"

    @property
    def sends(self) -> bool:
        """A mail goes out."""
        return self.job in {_send, _upload}


STAGES: Final = {
    "TLS": Stage(_search, _MAILS, None),
    "opening": Stage(_search, _MAILS, rb"GET \S+/mailFolders/inbox\?"),
    "listing": Stage(_search, _MAILS, rb"GET \S+/messages\?", 20_000),
    "file": Stage(_save, _FILE, rb"GET \S+/\$value", 100_000),
    "mark": Stage(_mark, 1, rb"PATCH "),
    "mark, answer": Stage(_mark, 1, rb"PATCH ", 10),
    "send": Stage(_send, 1, rb"POST \S+/sendMail"),
    "send, answer": Stage(_send, 1, rb"POST \S+/sendMail", 10),
    "upload": Stage(_upload, 1, rb"uploadUrl", 1_000_000, "server", "client"),
    "upload, answer": Stage(_upload, 1, rb"uploadUrl", 10, "server"),
    "dispatch": Stage(_upload, 1, rb"POST \S+/send "),
    "dispatch, answer": Stage(_upload, 1, rb"POST \S+/send ", 10),
}


@dataclass(frozen=True)
class Cell:
    """One fault at one stage.

    :param heals: it strikes once; else on every connection that comes so far.
    """

    fault: str
    stage: str
    heals: bool

    @property
    def name(self) -> str:
        """As a test id, and as a mail's subject."""
        return f"{self.fault}-{self.stage}{'-once' if self.heals else ''}"

    @property
    def sends(self) -> bool:
        """It strikes what may let a mail go out."""
        return self.stage.startswith(("send", "dispatch"))


def _cells() -> Iterator[Cell]:
    for fault, stage in product(FAULTS, STAGES):
        if (fault, stage) == ("slow", "upload"):
            continue  # the proxy takes it in faster than it gives it on: to the client that is a silence
        yield Cell(fault, stage, heals=False)
        if FAULTS[fault][0] != "slow":
            yield Cell(fault, stage, heals=True)


CELLS: Final = {cell.name: cell for cell in _cells()}


def _mailbox(port: int, graph: GraphServer) -> GraphMailbox:
    return GraphMailbox.open(_through(port, graph), lambda _: None, Renewals(graph))


def _sender(port: int, graph: GraphServer) -> GraphSender:
    return GraphSender.open(_through(port, graph), from_address=MAILBOX, renew=Renewals(graph))


def _through(port: int, graph: GraphServer) -> Any:
    return setting(graph, port=port, url=f"https://localhost:{port}", timeout=TIMEOUT)


def _plant(proxy: FaultProxy, cell: Cell) -> Fault:
    """Let the fault strike when its stage comes, on each connection or once."""
    stage = STAGES[cell.stage]
    kind, how = FAULTS[cell.fault]
    if stage.octets is None:
        proxy.fault = Fault(kind, when=stage.begins, once=cell.heals, pass_on=False, **how)
        return proxy.fault
    octets, fault = stage.octets, Fault(kind, side=stage.side, once=cell.heals, **how)

    def arm() -> None:
        fault.after = proxy.passed[stage.side] + octets
        proxy.fault = fault

    # What the server says has passed before, so that it does not count.
    is_before = stage.seen_from == stage.side
    proxy.fault = Fault("call", when=stage.begins, side=stage.seen_from, pass_on=is_before, action=arm)
    return fault


@dataclass(frozen=True)
class Outcome:
    """How a cell ended.

    :param hits: how often the fault struck.
    """

    hits: int
    result: object
    error: EmailError | None
    seconds: float


def _play(cell: Cell, graph: GraphServer) -> Outcome:
    certificate = graph.certificate if STAGES[cell.stage].begins else None
    trust = client_context(graph.ca) if certificate else None
    with FaultProxy(graph.port, "localhost", certificate, target_trust=trust) as proxy:
        fault = _plant(proxy, cell)
        begin, result, error = time.monotonic(), None, None
        try:
            result = STAGES[cell.stage].job(proxy.port, graph, cell.name)
        except EmailError as exc:
            error = exc
        return Outcome(fault.hits, result, error, time.monotonic() - begin)


@pytest.fixture(scope="module")
def matrix(graph_server: GraphServer) -> Iterator[dict[str, Future[Outcome]]]:
    """All cells, many at a time: nearly all that they do is wait."""
    graph_server.reset()
    for number in range(_MAILS):
        graph_server.append(MAILBOX, invoice(number, csv=_FILE if number == 7 else b"x"))
    with (
        pytest.MonkeyPatch.context() as patch,
        # Uploads pass the proxy, too; and each cell's mailbox is its own, to itself and to the server.
        graph_server.without(Behaviour.UPLOAD_ELSEWHERE, Behaviour.FOUR_IN_FLIGHT),
        ThreadPoolExecutor(8) as pool,
    ):
        patch.setattr(limits, "_LONGEST", 0.05)
        patch.setattr(sender, "_LOOKS", (0.1, 0.2, 0.2))
        yield {name: pool.submit(_play, cell, graph_server) for name, cell in CELLS.items()}


@pytest.mark.parametrize("name", CELLS)
def test_every_cell(matrix: dict[str, Future[Outcome]], graph_server: GraphServer, name: str) -> None:
    """The right error in time, or the whole result; no mail goes out twice, or unnoticed."""
    cell, outcome = CELLS[name], matrix[name].result()
    stage, error = STAGES[cell.stage], outcome.error
    assert outcome.hits
    came = sum(mail.parsed.text("Subject") == name for mail in graph_server.messages(_TO))
    assert outcome.seconds < 4 * (_FINAL if cell.sends else 1) * TIMEOUT + _MARGIN
    if error is None:
        assert outcome.result == stage.result
        assert came == stage.sends
    elif isinstance(error, DeliveryUnknownError):
        assert cell.sends
        assert came <= 1
    else:
        assert isinstance(error, NetworkError)
        assert error.retryable
        assert came == 0
        assert not cell.heals
        assert cell.fault != "slow"
        # Of what sends, the silence is told in words alone.
        assert cell.sends or isinstance(error, DeadlineError) == (cell.fault in _SILENT)
