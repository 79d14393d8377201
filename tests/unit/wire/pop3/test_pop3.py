"""POP3 without a socket: bodies, answers, lists, ids, and what refusals mean."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn.errors import (
    AuthenticationError,
    ProtocolError,
    ServerError,
    SettingsError,
    UnavailableError,
)
from airflow_email_conn.wire.pop3 import commands, servers
from airflow_email_conn.wire.pop3.engine import Answer, Pop3Engine
from airflow_email_conn.wire.pop3.identity import HeaderDigest, told_apart
from airflow_email_conn.wire.pop3.listing import CapabilityList, SizeList, UniqueIdList
from airflow_email_conn.wire.pop3.received import received
from airflow_email_conn.wire.pop3.unstuffing import Unstuffer

# ------------------------------------------------------------ bodies

PIECES = st.lists(st.sampled_from([b".", b"\r\n", b"\r", b"\n", b"..", b"x", b"abc", b"\r\n."])).map(b"".join)


def stuffed(body: bytes) -> bytes:
    """What a server sends for a body (RFC 1939 3), CR LF alone being a line end."""
    whole = body if body.endswith(b"\r\n") or not body else body + b"\r\n"
    return (b"\r\n" + whole).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"


@given(body=PIECES, rest=PIECES, step=st.integers(1, 9))
def test_bodies_round_trip(body: bytes, rest: bytes, step: int) -> None:
    """However the stream is cut: the same body, the end found, and what is behind it left over."""
    stream = stuffed(body) + rest
    unstuffer = Unstuffer()
    found = b""
    for start in range(0, len(stream), step):
        if unstuffer.ended:
            break
        found += unstuffer.feed(stream[start : start + step])
    end = min(len(stream), -(-len(stuffed(body)) // step) * step)
    assert unstuffer.ended
    assert found == (body if body.endswith(b"\r\n") or not body else body + b"\r\n")
    assert unstuffer.rest == stream[len(stuffed(body)) : end]


@pytest.mark.parametrize("line", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\n.\n+OK\r\n"])
def test_no_mail_ends_its_own_answer(line: bytes) -> None:
    """A bare CR or LF ends no line: what follows the dot is no answer of the server."""
    unstuffer = Unstuffer()
    unstuffer.feed(b"Subject: x\r\n\r\na" + line + b"b\r\n")
    assert not unstuffer.ended
    unstuffer.feed(b".\r\n")
    assert unstuffer.ended


# ------------------------------------------------------------ answers


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"+OK", Answer("OK")),
        (b"+OK hello <1.2@x>", Answer("OK", "", "hello <1.2@x>")),
        (b"-ERR [IN-USE] busy", Answer("ERR", "IN-USE", "busy")),
        (b"-ERR [sys/temp]later", Answer("ERR", "SYS/TEMP", "later")),
        (b"-ERR [not a code] no", Answer("ERR", "", "[not a code] no")),
        (b"-ERR\tno", Answer("ERR", "", "no")),
        (b"+ ", Answer("+")),
        (b"+", Answer("+")),
        (b"+OK \xff", Answer("OK", "", "\ufffd")),
    ],
)
def test_answers(line: bytes, answer: Answer) -> None:
    """The first line, with its code."""
    engine = Pop3Engine()
    engine.receive(line + b"\r")
    assert engine.answer() is None
    engine.receive(b"\n+OK")
    assert engine.answer() == answer
    assert engine.pending


@pytest.mark.parametrize("line", [b"OK\r\n", b"* OK\r\n", b"+OKAY\r\n", b"\r\n", b"220 mx\r\n", b"x" * 5000])
def test_what_is_no_answer(line: bytes) -> None:
    """Another protocol, or a line without an end."""
    engine = Pop3Engine()
    engine.receive(line)
    with pytest.raises(ProtocolError):
        engine.answer()


def test_hidden_texts() -> None:
    """Longest first, so that no half of a secret is left."""
    engine = Pop3Engine()
    engine.hide("pw", "pw-and-more")
    engine.receive(b"-ERR wrong: PASS pw-and-more\r\n")
    assert engine.answer() == Answer("ERR", "", "wrong: PASS ***")


# ------------------------------------------------------------ lists


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_lists(step: int) -> None:
    """Odd shapes that servers give; a line that makes no sense hides no other."""
    ids = b"1 abc\r\n2   two  spaces \r\n 3\tT\r\n4\r\n5 \r\n6 a\x01b\r\n"
    ids += b"7 \xc3\xa4\r\nx y\r\n1 again\r\n8 last\n"
    sizes = b"1 120\r\n2  200 more\r\n3 x\r\n\t4 44\r\n5 99999999999999999999\r\n6\t7\r\n"
    found_ids, found_sizes = UniqueIdList(), SizeList()
    for start in range(0, len(ids), step):
        found_ids.take(ids[start : start + step])
    for start in range(0, len(sizes), step):
        found_sizes.take(sizes[start : start + step])
    assert found_ids.found == {1: "abc", 2: "two  spaces", 3: "T", 7: "ä", 8: "last"}
    assert found_sizes.found == {1: 120, 2: 200, 4: 44, 6: 7}


def test_capabilities() -> None:
    """Names and arguments, in any case of letters."""
    listed = CapabilityList()
    listed.take(b"top\r\nSASL plain LOGIN\r\n\r\nLOGIN-DELAY 300 USER\r\nSTLS\r\n")
    assert listed.found == {
        "TOP": frozenset(),
        "SASL": {"PLAIN", "LOGIN"},
        "LOGIN-DELAY": {"300", "USER"},
        "STLS": frozenset(),
    }


def test_line_without_an_end_in_a_list() -> None:
    """Refused before it fills the memory."""
    with pytest.raises(ProtocolError, match="4096"):
        SizeList().take(b"1" * 5000)


# ------------------------------------------------------------ ids


def digest(*pieces: bytes, size: int = 0) -> str:
    """The id of a mail that comes in these pieces."""
    made = HeaderDigest()
    for piece in pieces:
        made.take(piece)
    return made.uid(size)


def test_digest_of_a_header() -> None:
    """The same by TOP and by RETR, whatever a server notes in it; another one for another mail."""
    header = b"Received: from a\r\nSubject: x\r\nMessage-ID: <1@x>\r\n"
    uid = digest(header, b"\r\n")
    assert uid == digest(header[:9], header[9:], b"\r\nbody\r\n", b"more\r\n")
    assert uid == digest(b"Status: RO\r\n" + header + b"X-UIDL: 1\r\n  2\r\nX-Status: A\r\n\r\n")
    assert uid == digest(header)
    assert uid != digest(header.replace(b"<1@x>", b"<2@x>"), b"\r\n")
    assert uid.startswith("sha256:")
    assert len(uid) == 71  # one more than an id of a server can have (RFC 1939 7)


def test_digest_with_a_size() -> None:
    """Mails of one header have different ids when their sizes differ; what a server notes is not counted."""
    header, noted = b"Subject: x\r\n\r\n", b"Status: RO\r\n"
    uid = digest(header, size=100)
    assert uid == digest(noted + header, size=100 + len(noted))
    assert len({uid, digest(header, size=101), digest(header)}) == 3


def test_ids_that_come_twice() -> None:
    """All that share one have other names, by size and number, also than an id that looks like theirs."""
    assert list(told_apart([("a", 7), ("b", 7), ("a", 9), ("a 7", 1), ("a", 7), ("a", 7)])) == [
        ("a 7 2", True),
        ("b", False),
        ("a 9", True),
        ("a 7", False),
        ("a 7 3", True),
        ("a 7 4", True),
    ]
    assert len(set(told_apart([("a", 1)] * 20_000))) == 20_000


TIME = datetime(2026, 3, 14, 9, 26, 53, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("field", "time"),
    [
        (b"from a by b id 1; Sat, 14 Mar 2026 09:26:53 +0000", TIME),
        (b"by b (x; y); Sat, 14 Mar 2026 10:26:53 +0100 (CET)", TIME),
        (b"from a by b", None),
        (b"from a by b; soon", None),
        (b"", None),
    ],
)
def test_received(field: bytes, time: datetime | None) -> None:
    """The time behind the last semicolon."""
    assert received(field) == time


# ------------------------------------------------------------ commands


@pytest.mark.parametrize("value", ["", "a\r\nb", "a\nb", "a\rb", "a\0b", "\ud800", "x" * 250, "ä" * 125])
@pytest.mark.parametrize("make", [commands.user, commands.password])
def test_arguments_that_cannot_be_sent(make: object, value: str) -> None:
    """Each error names the field, and none holds the value."""
    with pytest.raises(SettingsError, match=r"^(user|secret): ") as caught:
        make(value)  # type: ignore[operator]
    assert not value or value not in repr(caught.value)
    assert caught.value.__cause__ is None


def test_commands() -> None:
    """As they go out; secrets are in no repr."""
    assert commands.password("a b ü").line == "PASS a b ü\r\n".encode()
    assert commands.top(7).line == b"TOP 7 0\r\n"
    assert commands.auth("PLAIN", b"\0u\0p").line == b"AUTH PLAIN AHUAcA==\r\n"
    assert commands.auth("PLAIN", b"\0u\0" + b"p" * 200).line == b"AUTH PLAIN\r\n"
    assert commands.auth("OAUTHBEARER", b"x").line == b"AUTH OAUTHBEARER eA==\r\n"
    assert commands.auth("XOAUTH2", b"x").line == b"AUTH XOAUTH2\r\n"
    assert "hunter2" not in repr(commands.password("hunter2"))


# ------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("code", "text", "kind", "mend"),
    [
        ("IN-USE", "", UnavailableError, "another session"),
        ("LOGIN-DELAY", "wait", UnavailableError, "less often"),
        ("SYS/TEMP", "x", UnavailableError, "will pass"),
        ("", "Server Unavailable. 21", UnavailableError, "busy"),
        ("", "mailbox lock busy! Is another session active?", UnavailableError, "busy"),
        ("AUTH", "try again later", AuthenticationError, "check the user"),
        ("AUTH", "Application-specific password required: x", AuthenticationError, "app password"),
        ("SYS/PERM", "Your account is not enabled for POP access.", AuthenticationError, "switch it on"),
        ("", "Logon failure: unknown user name or bad password.", AuthenticationError, "check the user"),
        ("X-OWN", "no", AuthenticationError, "check the user"),
    ],
)
def test_sign_in_refusals(code: str, text: str, kind: type[ServerError], mend: str) -> None:
    """What passes, what does not, and the mend."""
    error = servers.sign_in_refusal("CORP\\robot", Answer("ERR", code, text))
    assert type(error) is kind
    assert error.retryable == (kind is UnavailableError)
    assert mend in error.message
    assert "'CORP\\robot'" in error.message


def test_refusals_of_commands() -> None:
    """Ours is the message, the server's text stands apart, and a code of its own is not repeated."""
    error = servers.refusal("LIST", Answer("ERR", "X-EVIL", "no"))
    assert (type(error), error.message, error.server_text) == (
        ServerError,
        "the POP3 server refused LIST",
        "no",
    )
    assert type(servers.refusal("LIST", Answer("ERR", "SYS/TEMP"))) is UnavailableError
    servers.check("LIST", Answer("OK"))
