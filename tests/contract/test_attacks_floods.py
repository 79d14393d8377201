"""Servers that never come to an end, or announce more than anybody can hold: bounded memory and time."""

from __future__ import annotations

import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from airflow_email_conn.errors import (
    DeadlineError,
    DeliveryUnknownError,
    EmailError,
    ProtocolError,
    TLSError,
)
from tests.contract.dialects import SECRET, USER, Manners, forms_of, handler_of, settings_of
from tests.contract.imap_dialect import ImapDialect
from tests.contract.pop3_dialect import Pop3Dialect
from tests.contract.smtp_dialect import SmtpDialect
from tests.servers.scripted import Conversation, ScriptedServer

if TYPE_CHECKING:
    from tests.contract.dialects import Deed, Dialect
    from tests.contract.witness import Witness

IMAP, POP3, SMTP = ImapDialect(), Pop3Dialect(), SmtpDialect()
TIMEOUT = 1.0
SLOWED_DOWN = 10.0  # seconds, for what is much work and takes several times as long under tracemalloc
MEBIBYTE = 2**20
MAX_MEMORY = 70 * MEBIBYTE  # the bound is 64 MiB of answers to one command; here with what Python adds
ANSWERS = 2 * MEBIBYTE  # the same bound for floods of small answers, which would take half a minute else
SMALL_MEMORY = 2 * MEBIBYTE  # before the sign-in nothing is long


def again_and_again(piece: bytes, begin: bytes = b"", least: int = 64 * 1024) -> Deed:
    """Send this for ever."""
    chunk = piece * (least // len(piece) + 1)

    def deed(conversation: Conversation, _answer: bytes) -> None:
        conversation.send(begin)
        while True:
            conversation.send(chunk)

    return deed


def times(count: int, piece: bytes, begin: bytes = b"", end: bytes = b"") -> Deed:
    """Send this so many times, then the right answer."""

    def deed(conversation: Conversation, answer: bytes) -> bool:
        conversation.send(begin)
        for _ in range(0, count, 1000):
            conversation.send(piece * 1000)
        conversation.send(end + answer)
        return True

    return deed


def measured(
    dialect: Dialect, state: str, deed: Deed, witness: Witness, timeout: float = TIMEOUT
) -> tuple[EmailError | None, int, float]:
    """Open and do the usual at such a server: the error, the most memory in bytes, the seconds."""
    security = "starttls" if state == "STARTTLS" else "none"
    offers = {"clear": b"IMAP4rev1 STARTTLS AUTH=PLAIN SASL-IR"} if dialect is IMAP else {}
    error = None
    with ScriptedServer(handler_of(dialect, Manners(deeds={state: deed}, offers=offers))) as server:
        settings = settings_of(dialect, server.port, security=security, timeout=timeout)
        tracemalloc.start()
        started = time.monotonic()
        try:
            with dialect.open(settings) as opened:
                dialect.job(opened)
        except EmailError as exc:
            error = exc
        seconds = time.monotonic() - started
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    witness.outcome(error, seconds)
    witness.memory(peak)
    clear, _ = witness.server(server)
    early = state in dialect.opening[: dialect.opening.index("sign in")]
    assert early != any(form in clear for form in forms_of(USER, SECRET))
    return error, peak, seconds


EARLY = {
    "line": {
        IMAP: again_and_again(b"x", b"* OK "),
        POP3: again_and_again(b"x", b"+OK "),
        SMTP: again_and_again(b"x", b"220 "),
    },
    "lines": {
        IMAP: again_and_again(b"* 1 EXISTS\r\n"),
        POP3: again_and_again(b"x\r\n", b"+OK\r\n"),
        SMTP: again_and_again(b"250-x\r\n"),
    },
    "texts": {
        IMAP: again_and_again(b"* OK " + b"x" * 8000 + b"\r\n"),
        POP3: again_and_again(b"x " + b"x" * 2000 + b"\r\n", b"+OK\r\n"),
        SMTP: again_and_again(b"250-" + b"x" * 2000 + b"\r\n"),
    },
    "empty lines": {
        IMAP: again_and_again(b"\r\n"),
        POP3: again_and_again(b"\r\n", b"+OK\r\n"),
        SMTP: again_and_again(b"\r\n"),
    },
    "literal": {
        IMAP: again_and_again(b"x", b"* CAPABILITY {60000}\r\n"),
        POP3: again_and_again(b"+OK {60000}\r\n", b"+OK\r\n"),
        SMTP: again_and_again(b"250 {60000}\r\n", b"250-"),
    },
}


@pytest.mark.parametrize("flood", EARLY)
@pytest.mark.parametrize("number", range(4), ids=["greeting", "capabilities", "STARTTLS", "sign in"])
def test_before_sign_in(dialect: Dialect, number: int, flood: str, witness: Witness) -> None:
    """Whoever has proved nothing yet gets little memory and no more than the time for one step."""
    states = [state for state in dialect.opening if state != "handshake" and "in TLS" not in state]
    deed = next(deed for spoken, deed in EARLY[flood].items() if spoken.name == dialect.name)
    error, peak, seconds = measured(dialect, states[number], deed, witness)
    assert isinstance(error, EmailError)
    assert peak < SMALL_MEMORY
    assert seconds < 3 * TIMEOUT


SMALL: dict[str, tuple[str, Deed]] = {
    "lines-search": ("search", again_and_again(b"* 1 EXISTS\r\n")),
    "lines-fetch": ("fetch", again_and_again(b"* 1 EXISTS\r\n")),
    "texts-select": ("select", again_and_again(b"* OK " + b"x" * 8000 + b"\r\n")),
    "texts-search": ("search", again_and_again(b"* OK " + b"x" * 8000 + b"\r\n")),
    "found": ("search", again_and_again(b"* SEARCH 7\r\n")),
    "mails": ("fetch", again_and_again(b"* 1 FETCH (UID 7 RFC822.SIZE 1)\r\n")),
    "literals": ("search", again_and_again(b"* 1 FETCH (UID 7 BODY[X] {600}\r\n" + b"x" * 600 + b")\r\n")),
}


@pytest.mark.parametrize("flood", SMALL)
def test_small_answers_without_end(flood: str, witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is counted with what it takes in memory, which for the smallest is twenty times its octets."""
    monkeypatch.setattr("airflow_email_conn.backends.imap.conversation._MAX_ANSWERS", ANSWERS)
    state, deed = SMALL[flood]
    error, peak, seconds = measured(IMAP, state, deed, witness, timeout=SLOWED_DOWN)
    assert type(error) is ProtocolError
    assert peak < 1.3 * ANSWERS + SMALL_MEMORY
    assert seconds < SLOWED_DOWN


_LITERAL = b"* 1 FETCH (UID 7 BODY[X] {200000}\r\n" + b"x" * 200_000 + b")\r\n"
LONG: dict[str, tuple[Dialect, str, Deed]] = {
    "imap-line-select": (IMAP, "select", again_and_again(b"x", b"* OK ")),
    "imap-line-search": (IMAP, "search", again_and_again(b"1", b"* SEARCH ")),
    "imap-line-fetch": (IMAP, "fetch", again_and_again(b"x", b"* 1 FETCH (")),
    "imap-status": (IMAP, "search", times(31_000_000, b"x", b"* OK ", b"\r\n")),
    "imap-numbers": (IMAP, "search", times(15_000_000, b" 1", b"* SEARCH", b"\r\n")),
    "imap-literals-search": (IMAP, "search", again_and_again(_LITERAL)),
    "imap-literals-fetch": (IMAP, "fetch", again_and_again(_LITERAL)),
    **{
        f"pop3-{name}-{state}": (POP3, state, deed)
        for state in ("list", "ids", "mail")
        for name, deed in {
            "line": again_and_again(b"x", b"+OK\r\n"),
            "answer": again_and_again(b"x", b"+OK "),
        }.items()
    },
    **{
        f"smtp-{name}-{state}": (SMTP, state, deed)
        for state in SMTP.states[len(SMTP.opening) :]
        for name, deed in {
            "line": again_and_again(b"x", b"250 "),
            "lines": again_and_again(b"250-x\r\n"),
        }.items()
    },
}


@pytest.mark.parametrize("flood", LONG)
def test_long_answers(flood: str, witness: Witness) -> None:
    """A mailbox may be large, but not endless."""
    dialect, state, deed = LONG[flood]
    error, peak, seconds = measured(dialect, state, deed, witness, timeout=SLOWED_DOWN)
    assert type(error) is (DeliveryUnknownError if state == "end of DATA" else ProtocolError)
    assert peak < MAX_MEMORY
    assert seconds < SLOWED_DOWN


@pytest.mark.parametrize("line", [b"1 1\r\n", b"\r\n"], ids=["same", "empty"])
@pytest.mark.parametrize("state", ["list", "ids"])
def test_lists_without_end(
    state: str, line: bytes, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines are counted, whatever they say."""
    monkeypatch.setattr("airflow_email_conn.wire.pop3.listing.MAX_MAILS", 20_000)
    deed = again_and_again(line, b"+OK\r\n")
    error, peak, seconds = measured(POP3, state, deed, witness, timeout=SLOWED_DOWN)
    assert type(error) is ProtocolError
    assert peak < 8 * MEBIBYTE
    assert seconds < SLOWED_DOWN


@pytest.mark.parametrize(
    "size", [b"9999999999", b"99999999999999999999999999", b"-1", b"4294967295", b"1000000000", b"0x10", b""]
)
@pytest.mark.parametrize("state", ["capability", "sign in", "select", "search", "fetch"])
def test_announced_sizes(state: str, size: bytes, witness: Witness) -> None:
    """A literal that nobody could hold, or that has no size: no memory is taken on a server's word."""

    def deed(conversation: Conversation, answer: bytes) -> bool:
        conversation.send(b"* 1 FETCH (UID 7 BODY[X] {" + size + b"}\r\n)\r\n" + answer)
        return True

    error, peak, seconds = measured(IMAP, state, deed, witness)
    assert isinstance(error, EmailError)
    assert peak < SMALL_MEMORY
    assert seconds < 3 * TIMEOUT


def test_many_changes(witness: Witness) -> None:
    """Mails that others removed meanwhile are told one by one, and nobody keeps that."""
    deed = times(20_000, b"* 1 EXPUNGE\r\n")
    error, peak, _ = measured(IMAP, "select", deed, witness, timeout=SLOWED_DOWN)
    assert error is None
    assert peak < SMALL_MEMORY


TRICKLES = {
    "imap": (b"", b"* OK " + b"x" * 1000 + b"\r\n"),
    "pop3": (b"+OK\r\n", b"x " + b"x" * 1000 + b"\r\n"),
    "smtp": (b"", b"250-" + b"x" * 1000 + b"\r\n"),
}


@pytest.mark.parametrize("number", range(4), ids=["greeting", "capabilities", "STARTTLS", "sign in"])
def test_steady_trickle(dialect: Dialect, number: int, witness: Witness) -> None:
    """Much more than a drip, and without an end: a step before the sign-in gets its time once."""
    states = [state for state in dialect.opening if state != "handshake" and "in TLS" not in state]
    begin, piece = TRICKLES[dialect.name]

    def deed(conversation: Conversation, _answer: bytes) -> None:
        conversation.send(begin)
        while True:
            conversation.send(piece)
            time.sleep(0.04)

    error, _, seconds = measured(dialect, states[number], deed, witness, timeout=TIMEOUT / 2)
    # Where POP3 expects one line, more of them are the answers to what was not asked.
    one_line = dialect.name == "pop3" and number != 1
    assert type(error) in ({ProtocolError, TLSError, DeadlineError} if one_line else {DeadlineError})
    assert seconds < TIMEOUT
