"""A server that falls silent, drips, hangs up or talks nonsense, in every state of a session."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from airflow_email_conn.errors import (
    DeadlineError,
    DeliveryUnknownError,
    EmailError,
    NetworkError,
    ProtocolError,
    TLSError,
    UnavailableError,
)
from tests.contract.dialects import SECRET, USER, Manners, forms_of, handler_of, settings_of
from tests.contract.imap_dialect import ImapDialect
from tests.contract.pop3_dialect import Pop3Dialect
from tests.contract.smtp_dialect import SmtpDialect
from tests.servers.scripted import Conversation, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.contract.dialects import Deed, Dialect
    from tests.contract.witness import Witness
    from tests.servers.certificates import Authority, Certificate

DIALECTS = [ImapDialect(), Pop3Dialect(), SmtpDialect()]
TIMEOUT = 1.0
# The answer to a complete mail may take four times the timeout.
PATIENCE = {"end of DATA": 4.0}


def silent(_conversation: Conversation, _answer: bytes) -> None:
    """Say nothing."""


def drip(conversation: Conversation, answer: bytes) -> None:
    """A byte every 0.2 s, and never the end of the answer; in the handshake a TLS record without an end."""
    begin = answer.removesuffix(b"\r\n") or b"\x16\x03\x03\x3f\xff"
    for byte in itertools.chain(begin, itertools.repeat(ord("."))):
        conversation.send(bytes([byte]))
        time.sleep(0.2)


def cut(conversation: Conversation, answer: bytes) -> None:
    """Half of the answer, and the wire is cut: within TLS without its closing message."""
    conversation.send(answer[: len(answer) // 2])
    conversation.close()


def all_but_the_end(conversation: Conversation, answer: bytes) -> None:
    """The whole answer but for its line end, and the wire is cut."""
    conversation.send(answer.removesuffix(b"\r\n"))
    conversation.close()


def nonsense(conversation: Conversation, _answer: bytes) -> None:
    """Another protocol."""
    conversation.send(b"SSH-2.0-OpenSSH_9.2\r\n")


def goodbye(dialect: Dialect) -> Deed:
    """The server ends the session."""

    def deed(conversation: Conversation, _answer: bytes) -> None:
        conversation.send(dialect.goodbye)

    return deed


DEEDS: dict[str, tuple[Callable[[Dialect], Deed], type[EmailError]]] = {
    "silent": (lambda _: silent, DeadlineError),
    "drip": (lambda _: drip, DeadlineError),
    "cut": (lambda _: cut, NetworkError),
    "no line end": (lambda _: all_but_the_end, NetworkError),
    "nonsense": (lambda _: nonsense, ProtocolError),
    "goodbye": (goodbye, UnavailableError),
}
CASES = [
    pytest.param(dialect, state, deed, id=f"{dialect.name}-{state}-{deed}")
    for dialect in DIALECTS
    for state in dialect.states
    for deed in DEEDS
]


def expected(state: str, deed: str) -> type[EmailError]:
    """The right error: after a complete mail only a clear no is one."""
    kind = DEEDS[deed][1]
    if state == "handshake" and kind in {ProtocolError, UnavailableError}:
        return TLSError
    if state == "end of DATA" and kind is not UnavailableError:
        return DeliveryUnknownError
    return kind


@dataclass(frozen=True)
class Outcome:
    """How it went."""

    error: EmailError | None
    server: ScriptedServer
    seconds: float


def run(dialect: Dialect, state: str, deed: str, certificate: Certificate) -> Outcome:
    """Open by STARTTLS and do the usual, at a server that does the deed in that state."""
    manners = Manners(certificate, "starttls", {state: DEEDS[deed][0](dialect)})
    error = None
    with ScriptedServer(handler_of(dialect, manners)) as server:
        started = time.monotonic()
        try:
            settings = settings_of(
                dialect,
                server.port,
                security="starttls",
                timeout=TIMEOUT,
                ca_certificates=certificate.chain.read_text(),
            )
            with dialect.open(settings) as opened:
                dialect.job(opened)
        except EmailError as exc:
            error = exc
        seconds = time.monotonic() - started
    return Outcome(error, server, seconds)


@pytest.fixture(scope="module")
def outcomes(authority: Authority) -> Iterator[dict[tuple[str, ...], Future[Outcome]]]:
    """All cases, waiting at the same time."""
    certificate = authority.issue("leaf", "127.0.0.1")
    certificate.chain.write_bytes(certificate.chain.read_bytes() + authority.ca.read_bytes())
    with ThreadPoolExecutor(len(CASES)) as pool:
        yield {
            (dialect.name, state, deed): pool.submit(run, dialect, state, deed, certificate)
            for dialect, state, deed in (case.values for case in CASES)  # type: ignore[misc]
        }


@pytest.mark.parametrize(("dialect", "state", "deed"), CASES)
def test_every_state(
    outcomes: dict[tuple[str, ...], Future[Outcome]],
    dialect: Dialect,
    state: str,
    deed: str,
    witness: Witness,
) -> None:
    """One error of the right kind, in time; half an answer is never taken for a whole one."""
    outcome = outcomes[dialect.name, state, deed].result()
    witness.outcome(outcome.error, outcome.seconds)
    clear, inside = witness.server(outcome.server)
    assert type(outcome.error) is expected(state, deed)
    assert outcome.seconds < (PATIENCE.get(state, 1.0) + 2) * TIMEOUT
    assert len(outcome.server.conversations) == 1
    assert dialect.clear.fullmatch(clear)
    given_away = any(form in inside for form in forms_of(USER, SECRET))
    assert given_away == (dialect.states.index(state) >= dialect.states.index("sign in"))


# ------------------------------------------------------------ after a time-out

LATE = [
    pytest.param(dialect, state, id=f"{dialect.name}-{state}")
    for dialect in DIALECTS
    for state in dialect.states[len(dialect.opening) :]
]


@pytest.mark.parametrize("deed", [silent, drip], ids=["silent", "drip"])
@pytest.mark.parametrize(("dialect", "state"), LATE)
def test_no_session_is_used_after_a_time_out(
    authority: Authority, dialect: Dialect, state: str, deed: Deed, witness: Witness
) -> None:
    """Not a byte more goes out, every call fails at once; a new session is a new connection."""
    late = [deed]

    def first_time_only(conversation: Conversation, answer: bytes) -> object:
        if late:
            return late.pop()(conversation, answer)
        conversation.send(answer)
        return True

    manners = Manners(authority.issue("leaf", "127.0.0.1"), "tls", {state: first_time_only})
    with ScriptedServer(handler_of(dialect, manners)) as server:
        settings = settings_of(dialect, server.port, timeout=0.2, ca_certificates=str(authority.ca))
        with dialect.open(settings) as opened:
            with pytest.raises((DeadlineError, DeliveryUnknownError)) as caught:
                dialect.job(opened)
            seen = server.received
            started = time.monotonic()
            for call in dialect.calls(opened):
                with pytest.raises(NetworkError):
                    call()
            assert time.monotonic() - started < 0.2
        with dialect.open(settings) as opened:
            dialect.job(opened)
        witness.outcome(caught.value)
        witness.server(server)
        first, second = server.conversations
    assert bytes(first.received) == seen
    assert second.received
