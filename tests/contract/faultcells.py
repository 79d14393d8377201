"""One cell of the fault matrix: a job on a real server, through a proxy that hurts it at one stage.

Where a stage begins is seen on the wire: in clear by the command, inside TLS by the number of its piece among
those of the job, which a rehearsal in clear tells.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_email_conn.errors import EmailError
from tests.contract.faultscene import JOBS
from tests.contract.imap_dialect import ImapDialect
from tests.contract.pop3_dialect import Pop3Dialect
from tests.servers.base import HOST
from tests.servers.faultproxy import Fault, FaultProxy

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_email_conn.backends.base import Mailbox
    from tests.contract.faultscene import Scene
    from tests.servers.faults import Kind, Side

__all__ = ["FAULTS", "Cell", "Outcome", "play"]

TIMEOUT = 2.0
RESTART_TIMEOUT = 10.0  # Dovecot takes more than a second to end
_RESTARTED = 60.0  # seconds after which the server runs again, on the slowest machine

#: What goes wrong: the proxy's name for it, and how.
FAULTS: dict[str, tuple[Kind, dict[str, Any]]] = {
    "cut": ("cut", {}),
    "reset": ("reset", {}),
    "stall": ("stall", {}),
    "half-open": ("halfopen", {}),
    "slow": ("slow", {"rate": 32_000}),  # more than the 16 kB of each timeout that count as progress
    "drip": ("slow", {"rate": 20}),
    "BYE": ("say", {}),
    "restart": ("call", {}),
}
_OPENING = ("greeting", "TLS", "sign in")
_DIALECTS: dict[str, ImapDialect | Pop3Dialect] = {"imap": ImapDialect(), "pop3": Pop3Dialect()}
#: The command that a job is about.
_COMMANDS = {
    "search": rb"UID SEARCH",
    "headers": rb"UID FETCH",
    "body": rb"UID FETCH",
    "store": rb"UID STORE",
    "move": rb"UID MOVE",
    # Where there is no MOVE, moving is these three.
    "copy": rb"UID COPY",
    "mark": rb"UID STORE",
    "expunge": rb"UID EXPUNGE",
    # POP3
    "list": rb"UIDL",
    "top": rb"TOP ",
    "retr": rb"RETR ",
    "dele": rb"DELE ",
    "quit": rb"QUIT",
}
#: By stage, once it was rehearsed: the number of the piece with that command among those of the job.
_NUMBERS: dict[str, int] = {}


@dataclass(frozen=True)
class Cell:
    """Which fault strikes where.

    :param octets: of the server's answer that still pass; None where the command sets the fault off.
    :param arrives: the command that sets it off still reaches the server, whose answer is lost.
    :param heals: it strikes once; else it does so on every connection.
    """

    fault: str
    stage: str
    security: str = "none"
    octets: int | None = None
    arrives: bool = True
    heals: bool = False
    protocol: str = "imap"

    @property
    def name(self) -> str:
        """As a test id."""
        at = "" if self.octets is None else f" at {self.octets}"
        lost = "" if self.arrives else " command lost"
        once = " once" if self.heals else ""
        pop3 = "pop3-" if self.protocol == "pop3" else ""
        return f"{pop3}{self.fault}-{self.stage}{at}{lost}{once}-{self.security}"

    @property
    def timeout(self) -> float:
        """The connection's, in seconds."""
        return RESTART_TIMEOUT if self.fault == "restart" else TIMEOUT

    @property
    def modest(self) -> bool:
        """It needs a server without MOVE."""
        return self.stage in {"copy", "mark", "expunge"}

    @property
    def changes(self) -> bool:
        """The command that sets the fault off changes mails."""
        return self.modest or self.deletes or self.stage in {"store", "move"}

    @property
    def deletes(self) -> bool:
        """What it does deletes mails."""
        return self.stage in {"dele", "quit"}

    @property
    def ends_tls(self) -> bool:
        """The proxy ends TLS itself: no other can put a word in."""
        return self.security == "tls" and self.fault == "BYE"

    @property
    def in_clear(self) -> bool:
        """The proxy sees the commands."""
        return self.security == "none" or self.ends_tls


@dataclass
class Outcome:
    """How a cell ended for the client.

    :param fault: as the proxy knew it.
    :param result: of the job, where it came to its end.
    :param seconds: that it took.
    :param later: the errors of every call on the same mailbox afterwards, None for each that worked.
    :param passed: bytes that passed the proxy, by where they came from.
    :param connections: that were made.
    """

    fault: Fault
    error: EmailError | None = None
    result: object = None
    seconds: float = 0.0
    later: list[EmailError | None] = field(default_factory=list)
    passed: dict[Side, int] = field(default_factory=dict)
    connections: int = 0


def play(cell: Cell, scene: Scene, restart: Callable[[], object]) -> Outcome:
    """Do the job of a cell.

    :param restart: restarts the real server.
    """
    restarted = threading.Event()

    def restarting() -> None:
        restart()
        restarted.set()

    outcome = Outcome(_fault(cell, scene, restarting))
    port = scene.port("none" if cell.ends_tls else cell.security)
    with FaultProxy(port, scene.host, scene.servers.certificate if cell.ends_tls else None) as proxy:
        mailbox = None
        started = time.monotonic()
        try:
            mailbox = _open(cell, scene, proxy, outcome.fault)
            outcome.result = JOBS[cell.stage][0](mailbox, scene)
        except EmailError as exc:
            outcome.error = exc
        outcome.seconds = time.monotonic() - started
        outcome.connections = proxy.connections
        if mailbox and outcome.error:
            outcome.later = [_error(call) for call in _DIALECTS[cell.protocol].calls(mailbox)]
        if mailbox:
            mailbox.close()
        outcome.passed = dict(proxy.passed)
        if outcome.fault.hits and cell.fault == "restart":
            assert restarted.wait(_RESTARTED)
    return outcome


def _open(cell: Cell, scene: Scene, proxy: FaultProxy, fault: Fault) -> Mailbox:
    """Open the mailbox through the proxy, and plant the fault in time."""

    def arm() -> None:
        proxy.fault = fault

    def arm_in_the_answer() -> None:
        fault.after = proxy.passed["server"] + (cell.octets or 0)
        arm()

    def on_step(step: str) -> None:
        if step == cell.stage == "sign in":
            arm()

    if cell.stage in {"greeting", "TLS"}:
        arm()
    mailbox = scene.open(
        on_step, host="localhost", port=proxy.port, security=cell.security, timeout=cell.timeout
    )
    if cell.octets is not None:
        proxy.fault = Fault("call", pass_on=False, action=arm_in_the_answer, **_command(cell, scene))
    elif cell.stage not in _OPENING:
        arm()
    return mailbox


def _fault(cell: Cell, scene: Scene, restart: Callable[[], object]) -> Fault:
    kind, how = FAULTS[cell.fault]
    goodbye = _DIALECTS[cell.protocol].goodbye
    # Where nothing is changed, what the server would answer is not to be mixed with its end.
    unanswered = cell.fault in {"BYE", "restart"} and not cell.changes
    once = cell.heals or cell.fault == "restart"
    arrives = cell.arrives and not unanswered
    fault = partial(Fault, kind, once=once, action=restart, pass_on=arrives, text=goodbye, **how)
    if cell.octets is not None:
        return fault(side="server", pass_on=True)
    if cell.stage == "greeting":
        # Inside TLS it comes with the second piece, after the handshake.
        return fault(
            side="server", nth=2 if cell.security == "tls" and not cell.ends_tls else 1, pass_on=False
        )
    if cell.stage == "TLS":
        if cell.fault == "BYE":
            return fault(when=rb"(?:STARTTLS|STLS)\r\n$")
        return fault(when=rb"(?:STARTTLS|STLS)\r\n\x16\x03") if cell.security == "starttls" else fault()
    if cell.stage == "sign in":
        return fault(when=rb"AUTH|LOGIN") if cell.in_clear else fault()
    return fault(**_command(cell, scene))


def _command(cell: Cell, scene: Scene) -> dict[str, Any]:
    """How the command that the job is about shows on the wire."""
    pattern = _COMMANDS[cell.stage]
    if cell.in_clear:
        return {"when": pattern}
    if cell.stage not in _NUMBERS:
        rehearsal = scene.another()
        seen = Fault("call", when=pattern, once=True)
        with (
            FaultProxy(scene.port("none"), scene.host) as proxy,
            rehearsal.open(host=HOST, port=proxy.port) as mailbox,
        ):
            proxy.fault = seen
            JOBS[cell.stage][0](mailbox, rehearsal)
        # Commands that go out together are one piece.
        _NUMBERS[cell.stage] = seen.pieces
    return {"nth": _NUMBERS[cell.stage]}


def _error(call: Callable[[], object]) -> EmailError | None:
    try:
        call()
    except EmailError as exc:
        return exc
    return None
