"""Replies, extensions, commands and dots of SMTP."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_email_conn.errors import DraftError, ProtocolError, SettingsError
from airflow_email_conn.wire import sasl
from airflow_email_conn.wire.smtp import protocol as smtp
from airflow_email_conn.wire.smtp.refusals import explain

if TYPE_CHECKING:
    from collections.abc import Iterable

CONTROLS = ["\0", "\r", "\n", "\r\n", "\x85", "\u2028", "\x1b"]


def parse(*pieces: bytes) -> list[smtp.Reply]:
    """All replies in these pieces."""
    parser, replies = smtp.ReplyParser(), []
    for piece in pieces:
        parser.feed(piece)
        while reply := parser.next():
            replies.append(reply)
    assert not parser.pending
    return replies


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """The same bytes in pieces."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


SESSION = (
    b"220 mx ESMTP\r\n250-mx\r\n250-SIZE 100\r\n250 HELP\r\n"
    b"535-5.7.8 Username and\r\n535 5.7.8 Password not accepted\r\n250\r\n421 4.3.2 bye\n"
)


def test_replies() -> None:
    """Codes, lines and enhanced status codes; a line may end by LF alone, or hold nothing but the code."""
    greeting, hello, refused, empty, bye = parse(SESSION)
    assert greeting == smtp.Reply(220, ("mx ESMTP",))
    assert hello.lines == ("mx", "SIZE 100", "HELP")
    assert (refused.code, refused.status) == (535, "5.7.8")
    assert refused.text == "5.7.8 Username and Password not accepted"
    assert empty == smtp.Reply(250, ("",))
    assert (bye.code, bye.status, bye.temporary, bye.positive) == (421, "4.3.2", True, False)


@given(st.lists(st.integers(0, 10_000), max_size=30))
def test_replies_in_any_pieces(places: list[int]) -> None:
    """However the network cuts them, the same replies come out."""
    assert parse(*cut(SESSION, places)) == parse(SESSION)


@pytest.mark.parametrize(
    "garbage",
    [
        b"* OK IMAP ready\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\r\n",
        b"199 x\r\n",
        b"2500 x\r\n",
        b"250x\r\n",
        b"+OK\r\n",
        b"250-a\r\n251 b\r\n",
        b"2" * 5000,
        b"250 " + b"x" * 5000 + b"\r\n",
        b"250-x\r\n" * 300,
    ],
)
def test_garbage(garbage: bytes) -> None:
    """It is an error, and never waits for more."""
    with pytest.raises(ProtocolError):
        parse(garbage)


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Any bytes are replies, an error, or wait for more."""
    parser = smtp.ReplyParser()
    parser.feed(data)
    try:
        while reply := parser.next():
            assert 200 <= reply.code <= 599
    except ProtocolError:
        pass


def test_secrets_that_are_echoed() -> None:
    """They are hidden in replies and in errors, as text and in base64."""
    parser = smtp.ReplyParser()
    parser.hide(*sasl.hidden_forms("pä".encode()))
    parser.feed("535 no: pä cMOk\r\n".encode())
    reply = parser.next()
    assert reply is not None
    assert reply.text == "no: *** ***"
    parser.feed(b"what is cMOk?\r\n")
    with pytest.raises(ProtocolError) as caught:
        parser.next()
    assert "cMOk" not in str(caught.value)


def test_pending() -> None:
    """Bytes behind a reply are seen: after the answer to STARTTLS they are an attack."""
    parser = smtp.ReplyParser()
    parser.feed(b"220 go\r\n250")
    assert parser.next() is not None
    assert parser.pending


def test_extensions() -> None:
    """Keywords in any case, both forms of AUTH, and lines that mean nothing."""
    lines = ("mx", "size 100", "AUTH PLAIN", "auth=LOGIN plain", "AUTH=CRAM-MD5", "", "8BITMIME", "X-ODD a b")
    offered = smtp.Extensions.of(smtp.Reply(250, lines))
    assert offered.offered["SIZE"] == ("100",)
    assert offered.auth == {"PLAIN", "LOGIN", "CRAM-MD5"}
    assert "8BITMIME" in offered
    assert "STARTTLS" not in offered
    assert smtp.Extensions.of(smtp.Reply(250, ("only a greeting: AUTH PLAIN",))).auth == set()


def test_commands() -> None:
    """Each as it goes over the wire."""
    assert smtp.ehlo("acme.com") == b"EHLO acme.com\r\n"
    assert smtp.helo("[IPv6:::1]") == b"HELO [IPv6:::1]\r\n"
    assert smtp.mail("a@b.c") == b"MAIL FROM:<a@b.c>\r\n"
    assert smtp.mail("jürgen@b.c", size=7, utf8=True, eight_bit=True) == (
        "MAIL FROM:<jürgen@b.c> SIZE=7 BODY=8BITMIME SMTPUTF8\r\n".encode()
    )
    assert smtp.rcpt('"a b"@b.c') == b'RCPT TO:<"a b"@b.c>\r\n'
    assert smtp.auth("LOGIN") == (b"AUTH LOGIN\r\n", False)
    assert smtp.auth("PLAIN", b"\0a\0b") == (b"AUTH PLAIN AGEAYg==\r\n", True)
    assert smtp.auth("XOAUTH2", b"x" * 371) == (b"AUTH XOAUTH2 " + b"eHh4" * 123 + b"eHg=\r\n", True)
    assert smtp.auth("XOAUTH2", b"x" * 373) == (b"AUTH XOAUTH2\r\n", False)
    assert smtp.auth_answer(b"") == b"\r\n"


@pytest.mark.parametrize("bad", [*CONTROLS, " ", "> SIZE=1", "<", ">", '"', "@"])
@pytest.mark.parametrize("place", ["{}a@b.c", "a{}a@b.c", "a@b{}.c", "a@b.c{}"])
def test_addresses_that_would_inject(bad: str, place: str) -> None:
    """They are refused by name of the field, also where SMTPUTF8 is on."""
    address = place.format(bad)
    for utf8 in (False, True):
        with pytest.raises(DraftError, match=r"^sender: "):
            smtp.mail(address, utf8=utf8)
        with pytest.raises(DraftError, match=r"^to: "):
            smtp.rcpt(address, utf8=utf8)


def test_non_ascii_needs_smtputf8() -> None:
    """Without it, nothing but ASCII goes out."""
    with pytest.raises(DraftError, match="SMTPUTF8"):
        smtp.rcpt("jürgen@b.c")


@pytest.mark.parametrize("bad", [*CONTROLS, "", "a b", "ä.de", "a\r\nMAIL FROM:<>", "[1.2.3.4] x"])
def test_names_that_would_inject(bad: str) -> None:
    """EHLO takes a domain or an address literal."""
    with pytest.raises(SettingsError):
        smtp.ehlo(bad)


@given(st.text(alphabet=st.sampled_from(list('a\r\n\0 <>@"\\.ä\u2028')), max_size=20))
def test_commands_are_one_line(text: str) -> None:
    """Whatever is refused or taken: one line end, at the end."""
    for build in (smtp.ehlo, smtp.mail, smtp.rcpt, lambda t: smtp.rcpt(t, utf8=True)):
        try:
            line = build(text)
        except (DraftError, SettingsError):
            continue
        assert line.endswith(b"\r\n")
        assert not re.search(rb"[\r\n\0]", line[:-2])


MAILISH = st.lists(st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"a", b"..", b"\r\n.\r\n", b"bc"])).map(
    b"".join
)


@given(MAILISH, st.lists(st.integers(0, 10_000), max_size=10))
@example(b"a\n.\nMAIL FROM:<>", [])
@example(b"a\r.\rMAIL FROM:<>", [2])
@example(b"a\r\n.\r\n", [2])
@example(b"", [])
def test_dots(data: bytes, places: list[int]) -> None:
    """Any cutting gives the same; no bare CR or LF; one end; and what is inside comes out again."""
    stuffer = smtp.DotStuffer()
    out = b"".join([*(stuffer.feed(piece) for piece in cut(data, places)), stuffer.finish()])
    assert out == b".\r\n" or out.endswith(b"\r\n.\r\n")
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", out)
    lines = out.split(b"\r\n")[:-2]
    assert b"." not in lines  # the end would come early
    unstuffed = b"".join(line.removeprefix(b".") + b"\r\n" for line in lines)
    normal = re.sub(rb"\r\n|\r|\n", b"\r\n", data)
    assert unstuffed == (normal if normal.endswith(b"\r\n") or not normal else normal + b"\r\n")


@pytest.mark.parametrize(
    ("status", "text", "mend"),
    [
        (
            "5.7.139",
            (
                "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. "
                "Visit https://aka.ms/smtp_auth_disabled for more information."
            ),
            "Authenticated SMTP",
        ),
        ("5.7.139", "5.7.139 Authentication unsuccessful, basic authentication is disabled.", "OAuth"),
        (
            "5.7.139",
            "5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults.",
            "security defaults",
        ),
        ("5.7.139", "5.7.139 Authentication unsuccessful, the user credentials were incorrect.", "wrong"),
        ("5.7.30", "5.7.30 Basic authentication is not supported for Client Submission.", "OAuth"),
        ("5.7.57", "5.7.57 Client not authenticated to send mail.", "choose a credential"),
        ("5.7.3", "5.7.3 Authentication unsuccessful", "user or secret"),
        ("5.2.252", "5.2.252 SendAsDenied; a@b.c not allowed to send as x@y.z", "from_address"),
        (
            "5.7.9",
            "5.7.9 Application-specific password required. For more information, go to",
            "app password",
        ),
        ("5.7.8", "5.7.8 Username and Password not accepted. For more", "app password"),
    ],
)
def test_what_servers_mean(status: str, text: str, mend: str) -> None:
    """Known refusals come with their mend."""
    row = explain(status, text)
    assert row is not None
    assert mend in row.mend


def test_what_nobody_knows() -> None:
    """Unknown refusals have none."""
    assert explain("5.7.8", "5.7.8 Error: authentication failed") is None
    assert explain("", "no") is None
