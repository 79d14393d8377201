"""STARTTLS taken away or answered wrongly, capabilities that lie: no credential goes out in clear."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.errors import (
    CapabilityError,
    DeadlineError,
    EmailError,
    NetworkError,
    ProtocolError,
    TLSError,
    UnavailableError,
)
from tests.contract.dialects import SECRET, USER, Manners, forms_of, handler_of, settings_of
from tests.contract.imap_dialect import ImapDialect
from tests.servers.scripted import Conversation, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.contract.dialects import Deed, Dialect
    from tests.contract.witness import Witness
    from tests.servers.certificates import Authority

TIMEOUT = 1.0


def attacked(
    dialect: Dialect, manners: Manners, witness: Witness, **changes: Any
) -> tuple[EmailError | None, ScriptedServer]:
    """Open and do the usual; the error, and the server. In time, and nothing secret in clear."""
    error = None
    started = time.monotonic()
    with ScriptedServer(handler_of(dialect, manners)) as server:
        try:
            changes = {"security": manners.security, "timeout": TIMEOUT, **changes}
            with dialect.open(settings_of(dialect, server.port, **changes)) as opened:
                dialect.job(opened)
        except EmailError as exc:
            error = exc
    seconds = time.monotonic() - started
    witness.outcome(error, seconds)
    clear, _ = witness.server(server)
    assert dialect.clear.fullmatch(clear)
    assert not any(form in clear for form in forms_of(USER, SECRET))
    assert seconds < 3 * TIMEOUT
    return error, server


# ------------------------------------------------------------ STARTTLS


def say(*packets: bytes, wait: bool = True) -> Deed:
    """Send these instead of the right answer, `%a`: the right answer itself, each in a packet of its own.

    :param wait: after each packet for the client's next byte, so that it has read that packet.
    """

    def deed(conversation: Conversation, answer: bytes) -> None:
        for number, packet in enumerate(packets):
            if number and wait:
                conversation.read(1)
            conversation.send(packet.replace(b"%a", answer).replace(b"%t", answer.split(b" ")[0]))

    return deed


def go_on(deed: Deed) -> Deed:
    """Afterwards all goes on as usual."""

    def both(conversation: Conversation, answer: bytes) -> bool:
        deed(conversation, answer)
        return True

    return both


# What is done, by protocol: the state, the deed, and the error.
STARTTLS: dict[str, dict[str, Any]] = {
    "refused": {
        "imap": ("STARTTLS", say(b"%t NO not now\r\n"), TLSError),
        "smtp": ("STARTTLS", say(b"454 4.7.0 not available\r\n"), TLSError),
        "pop3": ("STARTTLS", say(b"-ERR not now\r\n"), TLSError),
    },
    "unknown": {
        "imap": ("STARTTLS", say(b"%t BAD what?\r\n"), TLSError),
        "smtp": ("STARTTLS", say(b"502 5.5.1 what?\r\n"), TLSError),
        "pop3": ("STARTTLS", say(b"-ERR what?\r\n"), TLSError),
    },
    "no-go-ahead": {
        "imap": ("STARTTLS", say(b"%t PREAUTH you are in\r\n"), TLSError),
        "smtp": ("STARTTLS", say(b"250 ok\r\n"), TLSError),
        "pop3": ("STARTTLS", say(b"+ \r\n"), ProtocolError),
    },
    "goodbye": {
        "imap": ("STARTTLS", say(b"* BYE no\r\n%a"), UnavailableError),
        "smtp": ("STARTTLS", say(b"421 4.3.2 no\r\n"), UnavailableError),
        "pop3": ("STARTTLS", say(b"-ERR [SYS/TEMP] no\r\n"), UnavailableError),
    },
    "answer-of-another-command": {
        "imap": ("STARTTLS", say(b"A99 OK go ahead\r\n"), ProtocolError),
        "smtp": ("STARTTLS", say(b"220-go ahead\r\n250 ok\r\n"), ProtocolError),
        "pop3": ("STARTTLS", say(b"+OK\r\nSTLS\r\n.\r\n"), ProtocolError),
    },
    "early-with-greeting": {
        "imap": (
            "greeting",
            go_on(say(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\nA1 OK go\r\n")),
            ProtocolError,
        ),
        "smtp": ("greeting", go_on(say(b"220 mx\r\n250-mx\r\n250 STARTTLS\r\n220 go\r\n")), ProtocolError),
        "pop3": ("greeting", go_on(say(b"+OK hi\r\n+OK\r\nSTLS\r\n.\r\n+OK go\r\n")), ProtocolError),
    },
    "early-with-capabilities": {
        "imap": ("capability", go_on(say(b"%aA2 OK go\r\n")), ProtocolError),
        "smtp": ("EHLO", go_on(say(b"%a220 go\r\n")), ProtocolError),
        "pop3": ("capabilities", go_on(say(b"%a+OK go\r\n")), ProtocolError),
    },
    "twice": {
        "imap": ("STARTTLS", say(b"%a%a"), ProtocolError),
        "smtp": ("STARTTLS", say(b"%a%a"), ProtocolError),
        "pop3": ("STARTTLS", say(b"%a%a"), ProtocolError),
    },
    "twice-later": {
        "imap": ("STARTTLS", say(b"%a", b"%a"), TLSError),
        "smtp": ("STARTTLS", say(b"%a", b"%a"), TLSError),
        "pop3": ("STARTTLS", say(b"%a", b"%a"), TLSError),
    },
    "appended": {
        "imap": ("STARTTLS", say(b"%a* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nA3 OK hi\r\n"), ProtocolError),
        "smtp": ("STARTTLS", say(b"%a250-mx\r\n250 AUTH PLAIN\r\n"), ProtocolError),
        "pop3": ("STARTTLS", say(b"%a+OK\r\nSASL PLAIN\r\n.\r\n"), ProtocolError),
    },
    "appended-half-a-line": {
        "imap": ("STARTTLS", say(b"%a* CAP"), ProtocolError),
        "smtp": ("STARTTLS", say(b"%a250-"), ProtocolError),
        "pop3": ("STARTTLS", say(b"%a+O"), ProtocolError),
    },
    "appended-then-tls": {
        "imap": ("STARTTLS", go_on(say(b"%a* CAPABILITY AUTH=PLAIN\r\n")), ProtocolError),
        "smtp": ("STARTTLS", go_on(say(b"%a250 AUTH PLAIN\r\n")), ProtocolError),
        "pop3": ("STARTTLS", go_on(say(b"%a+OK\r\n")), ProtocolError),
    },
    "appended-later": {
        "imap": ("STARTTLS", say(b"%a", b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nA3 OK hi\r\n"), TLSError),
        "smtp": ("STARTTLS", say(b"%a", b"250-mx\r\n250 AUTH PLAIN\r\n"), TLSError),
        "pop3": ("STARTTLS", say(b"%a", b"+OK\r\nSASL PLAIN\r\n.\r\n+OK hi\r\n"), TLSError),
    },
    "appended-in-the-next-packet": {
        "imap": (
            "STARTTLS",
            say(b"%a", b"* CAPABILITY AUTH=PLAIN\r\n", wait=False),
            (ProtocolError, TLSError),
        ),
        "smtp": ("STARTTLS", say(b"%a", b"250 AUTH PLAIN\r\n", wait=False), (ProtocolError, TLSError)),
        "pop3": ("STARTTLS", say(b"%a", b"+OK\r\n.\r\n", wait=False), (ProtocolError, TLSError)),
    },
    "appended-later-then-tls": {
        "imap": ("handshake", say(b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n"), TLSError),
        "smtp": ("handshake", say(b"250-mx\r\n250 AUTH PLAIN\r\n"), TLSError),
        "pop3": ("handshake", say(b"+OK\r\nSASL PLAIN\r\n.\r\n"), TLSError),
    },
    "in-clear-after-the-go-ahead": {
        "imap": ("handshake", say(b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n"), TLSError),
        "smtp": ("handshake", say(b"220 mx\r\n"), TLSError),
        "pop3": ("handshake", say(b"+OK ready\r\n"), TLSError),
    },
    "silent-after-the-go-ahead": {
        "imap": ("handshake", say(), DeadlineError),
        "smtp": ("handshake", say(), DeadlineError),
        "pop3": ("handshake", say(), DeadlineError),
    },
    "hangs-up-after-the-go-ahead": {
        "imap": ("handshake", lambda c, _: c.close(), NetworkError),
        "smtp": ("handshake", lambda c, _: c.close(), NetworkError),
        "pop3": ("handshake", lambda c, _: c.close(), NetworkError),
    },
    "signed-in-already": {
        # RFC 5321 4.2 knows no such thing; the nearest is a server that says that it trusts us
        "smtp": ("greeting", go_on(say(b"235 2.7.0 you are signed in\r\n250 mx\r\n")), ProtocolError),
        "imap": ("greeting", go_on(say(b"* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n")), TLSError),
        # nor RFC 1939: the nearest is a server that says so, and has no STLS any more
        "pop3": ("capabilities", go_on(say(b"-ERR you are signed in\r\n-ERR not now\r\n")), ProtocolError),
    },
}


@pytest.mark.parametrize("attack", STARTTLS)
def test_starttls_is_strict(authority: Authority, dialect: Dialect, attack: str, witness: Witness) -> None:
    """Whatever happens instead of TLS: one clear error, and only STARTTLS and what leads to it went out."""
    state, deed, kind = STARTTLS[attack][dialect.name]
    manners = Manners(authority.issue("leaf", "127.0.0.1"), "starttls", {state: deed})
    error, server = attacked(dialect, manners, witness, ca_certificates=str(authority.ca))
    assert isinstance(error, kind)
    assert b"".join(c.received_in_tls for c in server.conversations) == b""


STRIPPED = {
    "imap": b"IMAP4rev1 AUTH=PLAIN",
    "pop3": b"SASL PLAIN\nUSER",
    "smtp": b"8BITMIME\nAUTH PLAIN",
}


@pytest.mark.parametrize("checked", [True, False], ids=["checked", "unchecked"])
def test_starttls_stripped(dialect: Dialect, checked: bool, witness: Witness) -> None:
    """Removed from what is offered: no going on in clear, whether the identity is checked or not."""
    manners = Manners(None, "starttls", offers={"clear": STRIPPED[dialect.name]})
    error, _ = attacked(dialect, manners, witness, check_server_identity=checked)
    assert type(error) is TLSError
    assert "STARTTLS" in str(error)


# ------------------------------------------------------------ capabilities

PLAIN = {
    "imap": b"IMAP4rev1 STARTTLS AUTH=PLAIN SASL-IR",
    "pop3": b"STLS\nSASL PLAIN",
    "smtp": b"STARTTLS\nAUTH PLAIN",
}
NO_SIGN_IN = {"imap": b"IMAP4rev1 STARTTLS LOGINDISABLED", "pop3": b"STLS", "smtp": b"STARTTLS"}
FOREIGN = {
    "imap": b"IMAP4rev1 STARTTLS LOGINDISABLED AUTH=GSSAPI AUTH=SCRAM-SHA-256",
    "pop3": b"STLS\nSASL GSSAPI SCRAM-SHA-256",
    "smtp": b"STARTTLS\nAUTH GSSAPI SCRAM-SHA-256",
}
OFFERS: list[tuple[str, str, Mapping[str, bytes], Mapping[str, bytes], type[EmailError] | None]] = [
    ("truth-is-less", "starttls", PLAIN, NO_SIGN_IN, CapabilityError),
    ("truth-is-foreign", "starttls", PLAIN, FOREIGN, CapabilityError),
    ("truth-is-more", "starttls", NO_SIGN_IN, PLAIN, None),
    ("lied-foreign", "starttls", FOREIGN, PLAIN, None),
    ("foreign", "tls", PLAIN, FOREIGN, CapabilityError),
    ("nothing", "tls", PLAIN, NO_SIGN_IN, CapabilityError),
    ("foreign-in-clear", "none", FOREIGN, PLAIN, CapabilityError),
    ("nothing-in-clear", "none", NO_SIGN_IN, PLAIN, CapabilityError),
]


@pytest.mark.parametrize(
    ("security", "clear", "truth", "kind"), [row[1:] for row in OFFERS], ids=[row[0] for row in OFFERS]
)
def test_offers(
    authority: Authority,
    dialect: Dialect,
    security: str,
    clear: Mapping[str, bytes],
    truth: Mapping[str, bytes],
    kind: type[EmailError] | None,
    witness: Witness,
) -> None:
    """What was said in clear counts no more in TLS; where there is no sign-in of ours, none is tried."""
    manners = Manners(
        authority.issue("leaf", "127.0.0.1"),
        security,
        offers={"clear": clear[dialect.name], "tls": truth[dialect.name]},
    )
    error, server = attacked(dialect, manners, witness, ca_certificates=str(authority.ca))
    assert (type(error) if error else None) is kind
    inside = b"".join(c.received_in_tls for c in server.conversations)
    assert bool(kind) != any(form in inside for form in forms_of(USER, SECRET))


@pytest.mark.parametrize("told", ["asked", "with the answer"])
@pytest.mark.parametrize("after", [b"IMAP4rev1 UIDPLUS", b"IMAP4rev1"])
def test_capabilities_after_sign_in(authority: Authority, told: str, after: bytes, witness: Witness) -> None:
    """Only those that hold for the user count (RFC 9051 6.2.2), whatever was said before."""
    dialect = ImapDialect()
    welcome = go_on(say(b"%t OK [CAPABILITY " + after + b"] welcome\r\n"))
    manners = Manners(
        authority.issue("leaf", "127.0.0.1"),
        "tls",
        {"sign in": welcome} if told == "with the answer" else {},
        {"tls": b"IMAP4rev1 AUTH=PLAIN UIDPLUS MOVE", "signed in": after},
    )
    with ScriptedServer(handler_of(dialect, manners)) as server:
        asked = settings_of(dialect, server.port, ca_certificates=str(authority.ca))
        with dialect.open(asked) as mailbox:
            assert mailbox.capabilities.delete == (b"UIDPLUS" in after)
    witness.outcome(None)
    witness.server(server)
