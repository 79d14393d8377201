"""The engine: whatever way the stream is cut, the events are the same; what may be sent waits its turn."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn.errors import ProtocolError
from airflow_email_conn.wire.imap import commands, engine
from airflow_email_conn.wire.imap.engine import (
    Continuation,
    Data,
    EndOfStream,
    ImapEngine,
    LiteralPiece,
    LiteralStart,
    Status,
)
from airflow_email_conn.wire.imap.grammar import Streamed

LONG = b"x" * (engine.INLINE_LITERAL + 10)
SESSION = (
    b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready {3}\r\n"
    b"* 3 EXISTS\r\n"
    b"\r\n"
    b'* LIST (\\HasNoChildren) "/" {6}\r\nR & D"\r\n'
    b"* 2 FETCH (UID 7 BODY[] {5}\r\nab\r\nc FLAGS (\\Seen))\r\n"
    b"* 2 FETCH (UID 8 BODY[2] {%d}\r\n%s BODY[1] {0}\r\n)\r\n"
    b"+ go on\r\n"
    b"* SEARCH 1 2 3\n"
    b'A1 NO [BADCHARSET ("US]ASCII" UTF-8)] no\r\n'
    b"A2 OK\r\n"
    b"* BYE\r\n"
) % (len(LONG), LONG)


def events_of(pieces: list[bytes]) -> list[object]:
    """All events, neighbouring pieces of a literal joined."""
    parser = ImapEngine()
    events: list[object] = []
    for piece in [*pieces, b""]:
        parser.receive(piece)
        while (event := parser.next_event()) is not None:
            if isinstance(event, LiteralPiece) and events and isinstance(events[-1], LiteralPiece):
                events[-1] = LiteralPiece(events[-1].data + event.data)
            else:
                events.append(event)
    return [_comparable(event) for event in events]


def _comparable(event: object) -> object:
    if not isinstance(event, Data):
        return event
    pieces = tuple(f"streamed {p.size}" if isinstance(p, Streamed) else p for p in event.pieces)
    return (event.kind, event.number, pieces)


def test_a_session_in_events() -> None:
    """Every kind of response, as it should be read."""
    assert events_of([SESSION]) == [
        Status("*", "OK", "CAPABILITY", b"IMAP4rev1 AUTH=PLAIN", "ready {3}"),
        ("EXISTS", 3, (b"",)),
        ("LIST", None, (b'(\\HasNoChildren) "/" ', b'R & D"', b"")),
        ("FETCH", 2, (b"(UID 7 BODY[] ", b"ab\r\nc", b" FLAGS (\\Seen))")),
        LiteralStart(len(LONG), b"* 2 FETCH (UID 8 BODY[2] "),
        LiteralPiece(LONG),
        ("FETCH", 2, (b"(UID 8 BODY[2] ", f"streamed {len(LONG)}", b" BODY[1] ", b"", b")")),
        Continuation(b"go on"),
        ("SEARCH", None, (b"1 2 3",)),
        Status("A1", "NO", "BADCHARSET", b'("US]ASCII" UTF-8)', "no"),
        Status("A2", "OK"),
        Status("*", "BYE"),
        EndOfStream(),
    ]


@given(st.lists(st.integers(0, len(SESSION)), max_size=40))
def test_any_split_gives_the_same_events(cuts: list[int]) -> None:
    """TLS records and TCP segments end anywhere."""
    edges = [0, *sorted(cuts), len(SESSION)]
    pieces = [SESSION[a:b] for a, b in pairwise(edges) if a < b]
    assert events_of(pieces) == events_of([SESSION])


def test_byte_by_byte() -> None:
    """The finest split of all, around every line end."""
    short = SESSION.replace(LONG, b"y" * len(LONG))[:400]
    assert events_of([short[i : i + 1] for i in range(len(short))]) == events_of([short])


@given(st.binary(max_size=300))
def test_garbage_gives_events_or_one_error(data: bytes) -> None:
    """Nothing but ProtocolError, and no endless loop."""
    with suppress(ProtocolError):
        events_of([data])


def test_end_of_stream_in_a_literal() -> None:
    """What came before the end is kept, what is incomplete is not an answer."""
    events = events_of([b"* 1 EXISTS\r\n* 2 FETCH (BODY[] {100}\r\nabc"])
    assert events == [("EXISTS", 1, (b"",)), EndOfStream()]


@pytest.mark.parametrize("line", [b"* 1 FETCH (BODY[] {99999999999}\r\n", b"hello\r\n", b"*\r\n"])
def test_nonsense_is_refused(line: bytes) -> None:
    """A literal that no grammar allows, and lines that are not IMAP."""
    with pytest.raises(ProtocolError):
        events_of([line])


def test_an_endless_line_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded, in one line and over many literals."""
    monkeypatch.setattr(engine, "MAX_RESPONSE", 1000)
    with pytest.raises(ProtocolError, match="more than 1000 octets"):
        events_of([b"* " + b"x" * 2000])
    with pytest.raises(ProtocolError, match="more than 1000 octets"):
        events_of([b"* 1 FETCH (" + b"X {300}\r\n" * 1 + b"y" * 300 + b" X {800}\r\n"])


# ------------------------------------------------------------ sending


def test_commands_are_sent_at_once() -> None:
    """Without literals nothing waits."""
    parser = ImapEngine()
    assert parser.start(commands.simple("NOOP")) == "A1"
    parser.start(commands.login("u", 'p"w'))
    assert parser.outgoing() == b'A1 NOOP\r\nA2 LOGIN "u" "p\\"w"\r\n'
    assert parser.outgoing() == b""


def test_a_literal_waits_until_it_is_asked_for() -> None:
    """And what comes behind it waits too (RFC 9051 4.3)."""
    parser = ImapEngine()
    parser.start(commands.login("ä", "ö"))
    parser.start(commands.simple("NOOP"))
    assert parser.outgoing() == b"A1 LOGIN {2}\r\n"
    parser.receive(b"+ ok\r\n")
    assert parser.next_event() is None
    assert parser.outgoing() == "ä".encode() + b" {2}\r\n"
    parser.receive(b"+ \r\n")
    assert parser.next_event() is None
    assert parser.outgoing() == "ö".encode() + b"\r\nA2 NOOP\r\n"


def test_a_refused_literal_is_not_sent() -> None:
    """The server said NO instead of asking: the rest of the command must not become the next one."""
    parser = ImapEngine()
    parser.start(commands.login("ä", "ö"))
    parser.start(commands.simple("NOOP"))
    parser.outgoing()
    parser.receive(b"A1 NO too long\r\n")
    assert parser.next_event() == Status("A1", "NO", text="too long")
    assert parser.outgoing() == b"A2 NOOP\r\n"


def test_literals_go_unasked_where_the_server_says_so() -> None:
    """LITERAL+ saves the round trip."""
    parser = ImapEngine()
    parser.literal_plus = True
    parser.start(commands.uid_search([b"SUBJECT", commands.string("märz", "subject")], returns_set=False))
    assert parser.outgoing() == b"A1 UID SEARCH CHARSET UTF-8 SUBJECT {5+}\r\nm\xc3\xa4rz\r\n"
