"""CR, LF, NUL and all else that could end a command: whatever is given, no second command is ever seen."""

from __future__ import annotations

import contextlib
import email
import io
import re
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn.backends.smtp.sender import SmtpSender
from airflow_email_conn.errors import EmailError
from airflow_email_conn.model.draft import Content, Draft
from airflow_email_conn.model.message import Attachment, MailRef
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.model.server import Credential
from tests.contract.dialects import USER, Manners, handler_of, settings_of
from tests.contract.imap_dialect import ImapDialect
from tests.contract.pop3_dialect import Pop3Dialect
from tests.contract.smtp_dialect import SmtpDialect
from tests.servers.scripted import ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_email_conn.backends.base import Mailbox

IMAP, POP3, SMTP = ImapDialect(), Pop3Dialect(), SmtpDialect()
_PIECES = (
    *(
        "\r\n",
        "\n",
        "\r",
        "\0",
        "\x85",
        "\u2028",
        "\x1b",
        "\ud800",
        "é",
        "²",
        "٣",
        " ",
        "x",
        "7",
        "1",
        "9" * 5000,
    ),
    *(
        '"',
        "\\",
        "(",
        ")",
        "[",
        "]",
        "<",
        ">",
        "{5}",
        "{5+}",
        "{5}\r\n",
        "*",
        "%",
        "&",
        "&-",
        "@",
        ".",
        ",",
        ":",
    ),
    *("A9 DELETE INBOX", "A1 STORE 1:* +FLAGS (\\Deleted)", "] UID STORE 1:* FLAGS ("),
    *("MAIL FROM:<evil@x.test>", "RCPT TO:<evil@x.test>", "\r\n.\r\n", "X-Evil: 1", "evil@x.test"),
)
BAD = st.lists(st.sampled_from(_PIECES), min_size=1, max_size=6).map("".join)


# ------------------------------------------------------------ IMAP

_COMMAND = re.compile(rb"A(\d+) (?:UID )?([A-Z]+)(?: [^\r\n\0]*)?")
_LITERAL = re.compile(rb"\{(\d+)\+?\}$")


def commands_of(seen: bytes) -> list[str]:
    """The verbs of all commands, read as the strictest server does; each has the next tag."""
    verbs: list[str] = []
    while seen:
        line, end, seen = seen.partition(b"\r\n")
        assert end
        whole = line
        while literal := _LITERAL.search(line):
            size = int(literal[1])
            line, end, seen = seen[size:].partition(b"\r\n")
            assert end
            whole += line
        match = _COMMAND.fullmatch(whole)
        assert match, whole
        verbs.append(match[2].decode())
        assert int(match[1]) == len(verbs), whole
    return verbs


def ref(**changes: str) -> MailRef:
    """The mail of the scripted server, but for the changes."""
    return MailRef(**{"folder": "INBOX", "uid": "7", "validity": "1", **changes})


def part(mail: MailRef, number: str = "2", encoding: str = "base64") -> Attachment:
    """One of its attachments."""
    return Attachment(ref=mail, part=number, encoding=encoding, name="a", content_type="a/b", size=1)


def searching(name: str) -> Callable[[Mailbox, str], object]:
    """A search whose criterion of that name is bad."""
    return lambda box, bad: list(box.search(MailQuery(**{name: bad})))


OPENING = {"CAPABILITY", "AUTHENTICATE", "LOGIN", "LOGOUT"}
READING = OPENING | {"EXAMINE", "LIST", "SEARCH", "FETCH", "NOOP"}
# Argument: the call, and the commands that may be seen.
IMAP_ARGUMENTS: dict[str, tuple[Callable[[Mailbox, str], object], set[str]]] = {
    "folder": (lambda box, bad: list(box.search(MailQuery(), folder=bad)), READING),
    "special use": (lambda box, bad: list(box.search(MailQuery(), folder="\\" + bad)), READING),
    **{
        name: (searching(name), READING)
        for name in ("sender", "recipient", "subject", "body", "message_id", "raw", "attachment")
    },
    "ref folder": (lambda box, bad: box.raw(ref(folder=bad)), READING),
    "ref uid": (lambda box, bad: box.raw(ref(uid=bad)), READING),
    "ref validity": (lambda box, bad: box.raw(ref(validity=bad)), READING),
    "part": (lambda box, bad: box.save(part(ref(), bad), io.BytesIO()), READING),
    "encoding": (lambda box, bad: box.save(part(ref(), "2", bad), io.BytesIO()), READING),
    "create_folder": (lambda box, bad: box.create_folder(bad), READING | {"CREATE"}),
    "copy to": (lambda box, bad: box.copy(ref(), bad), READING | {"SELECT", "COPY"}),
    "move to": (lambda box, bad: box.move(ref(), bad), READING | {"SELECT", "MOVE"}),
    "mark_seen uid": (lambda box, bad: box.mark_seen([ref(), ref(uid=bad)]), READING | {"SELECT", "STORE"}),
    "flag folder": (lambda box, bad: box.flag(ref(folder=bad)), READING | {"SELECT", "STORE"}),
    "keyword": (
        lambda box, bad: box.change_keywords(ref(), add=["x", bad], remove=[bad]),
        READING | {"SELECT", "STORE"},
    ),
    "delete uid": (
        lambda box, bad: box.delete([ref(), ref(uid=bad)]),
        READING | {"SELECT", "STORE", "EXPUNGE"},
    ),
}


@pytest.mark.parametrize("argument", IMAP_ARGUMENTS)
def test_imap(argument: str) -> None:
    """Every argument of a mailbox: refused by an EmailError, or sent so that it stays an argument."""
    call, allowed = IMAP_ARGUMENTS[argument]

    with ScriptedServer(handler_of(IMAP, Manners()), seconds=60) as server:

        @given(bad=BAD)
        def attempt(bad: str) -> None:
            mailbox = cast("Mailbox", boxes[-1])
            try:
                call(mailbox, bad)
            except EmailError:
                if mailbox_is_closed(mailbox):
                    boxes.append(IMAP.open(settings))
            assert set(commands_of(bytes(server.conversations[-1].received))) <= allowed

        settings = settings_of(IMAP, server.port, security="none", timeout=5.0)
        boxes = [IMAP.open(settings)]
        attempt()
        boxes[-1].close()
    for conversation in server.conversations:
        assert set(commands_of(bytes(conversation.received))) <= allowed


def mailbox_is_closed(mailbox: Mailbox) -> bool:
    """Whether an error has ended its session."""
    try:
        mailbox.folders()
    except EmailError:
        return True
    return False


@pytest.mark.parametrize("field", ["user", "secret"])
@pytest.mark.parametrize("how", [b"IMAP4rev1 AUTH=PLAIN SASL-IR", b"IMAP4rev1 AUTH=PLAIN", b"IMAP4rev1"])
def test_imap_credential(how: bytes, field: str) -> None:
    """By AUTHENTICATE with and without an initial response, and by LOGIN."""

    @given(bad=BAD)
    def attempt(bad: str) -> None:
        credential = Credential("secret", **{"user": "u", "secret": "s", field: bad})  # type: ignore[arg-type]
        with contextlib.suppress(EmailError):
            IMAP.open(
                settings_of(IMAP, server.port, security="none", credential=credential, timeout=5.0)
            ).close()

    with ScriptedServer(handler_of(IMAP, Manners(offers={"clear": how}, deeds={}))) as server:
        attempt()
        for conversation in server.conversations:
            seen = re.sub(rb"(A2 AUTHENTICATE PLAIN\r\n)[^\r\n]*\r\n", rb"\1", bytes(conversation.received))
            assert set(commands_of(seen)) <= OPENING


# ------------------------------------------------------------ POP3

_POP3_LINE = re.compile(
    rb"(?:CAPA|STLS|LIST|UIDL|RSET|QUIT|USER [^\r\n\0]+|PASS [^\r\n\0]+|AUTH PLAIN(?: [A-Za-z0-9+/=]+)?"
    rb"|TOP 1 0|RETR 1|DELE 1)\r\n|[A-Za-z0-9+/=]+\r\n"
)
POP3_ARGUMENTS: dict[str, Callable[[Mailbox, str], object]] = {
    "folder": lambda box, bad: list(box.search(MailQuery(), folder=bad)),
    "subject": searching("subject"),
    "ref folder": lambda box, bad: box.raw(ref(validity="", folder=bad)),
    "ref uid": lambda box, bad: box.raw(ref(validity="", uid=bad)),
    "ref validity": lambda box, bad: box.raw(ref(validity=bad)),
    "part": lambda box, bad: box.save(part(ref(validity="", uid="seven"), bad), io.BytesIO()),
    "create_folder": lambda box, bad: box.create_folder(bad),
    "many": lambda box, bad: list(box.fetch_many([ref(validity="", uid=bad)])),
    "delete": lambda box, bad: box.delete([ref(validity="", uid=bad)]),
}


@pytest.mark.parametrize("argument", POP3_ARGUMENTS)
def test_pop3(argument: str) -> None:
    """Every argument of a mailbox: nothing of it is ever sent, only the numbers of mails that were found."""
    with ScriptedServer(handler_of(POP3, Manners()), seconds=60) as server:

        @given(bad=BAD)
        def attempt(bad: str) -> None:
            with contextlib.suppress(EmailError):
                POP3_ARGUMENTS[argument](mailbox, bad)

        with cast("Mailbox", POP3.open(settings_of(POP3, server.port, security="none"))) as mailbox:
            attempt()
            list(mailbox.search(MailQuery()))
    (conversation,) = server.conversations
    lines = bytes(conversation.received).splitlines(keepends=True)
    assert all(_POP3_LINE.fullmatch(line) for line in lines)
    assert not any(line.startswith(b"DELE") for line in lines)


@pytest.mark.parametrize("field", ["user", "secret"])
@pytest.mark.parametrize("how", [b"SASL PLAIN", b"USER"])
def test_pop3_credential(how: bytes, field: str) -> None:
    """By AUTH, with and without an initial response, and by USER and PASS."""

    @given(bad=BAD)
    def attempt(bad: str) -> None:
        credential = Credential("secret", **{"user": "u", "secret": "s", field: bad})  # type: ignore[arg-type]
        with contextlib.suppress(EmailError):
            POP3.open(
                settings_of(POP3, server.port, security="none", credential=credential, timeout=5.0)
            ).close()

    with ScriptedServer(handler_of(POP3, Manners(offers={"clear": how})), seconds=60) as server:
        attempt()
        for conversation in server.conversations:
            lines = bytes(conversation.received).split(b"\n")
            assert lines.pop() == b""
            assert all(_POP3_LINE.fullmatch(line + b"\n") for line in lines)
            assert sum(line.startswith((b"PASS ", b"AUTH ")) for line in lines) <= 1


# ------------------------------------------------------------ SMTP

_LINE = re.compile(
    rb"EHLO [A-Za-z0-9.:\[\]_-]+|AUTH (?:PLAIN|LOGIN)(?: [A-Za-z0-9+/=]+)?"
    rb"|MAIL FROM:<[^\s<>]+>(?: SIZE=\d+)?|RCPT TO:<[^\s<>]+>|DATA|RSET|QUIT"
)
_HEADERS = {
    *("from", "to", "cc", "reply-to", "subject", "date", "message-id", "in-reply-to", "references"),
    *("mime-version", "content-type", "content-transfer-encoding", "content-disposition", "auto-submitted"),
    "content-id",
}


def mails_of(seen: bytes) -> Iterator[bytes]:
    """The mails in what a client sent; every line outside of them is one well-formed command."""
    while seen:
        line, end, seen = seen.partition(b"\r\n")
        assert end
        assert _LINE.fullmatch(line), line
        if line == b"DATA":
            mail, end, seen = seen.partition(b"\r\n.\r\n")
            assert end
            yield mail + b"\r\n"


DRAFTS: dict[str, Callable[[str], Draft]] = {
    "to": lambda bad: Draft(to=bad),
    "to name": lambda bad: Draft(to=f"{bad} <a@b.test>"),
    "to local part": lambda bad: Draft(to=f"a{bad}@b.test"),
    "to domain": lambda bad: Draft(to=f"a@b{bad}.test"),
    "cc": lambda bad: Draft(to=USER, cc=bad),
    "bcc": lambda bad: Draft(to=USER, bcc=[bad]),
    "sender": lambda bad: Draft(to=USER, sender=bad),
    "sender domain": lambda bad: Draft(to=USER, sender=f"a@b{bad}.test"),
    "reply_to": lambda bad: Draft(to=USER, reply_to=bad),
    "subject": lambda bad: Draft(to=USER, subject=bad),
    "message_id": lambda bad: Draft(to=USER, message_id=f"<{bad}@b.test>"),
    "in_reply_to": lambda bad: Draft(to=USER, in_reply_to=f"<{bad}@b.test>"),
    "references": lambda bad: Draft(to=USER, references=[f"<{bad}@b.test>"]),
    "header": lambda bad: Draft(to=USER, headers={"X-Good": bad}),
    "header name": lambda bad: Draft(to=USER, headers={f"X-Good{bad}": "1"}),
    "text": lambda bad: Draft(to=USER, text=f"a\r\n{bad}"),
    "html": lambda bad: Draft(to=USER, html=f"a\r\n{bad}"),
    "file name": lambda bad: Draft(to=USER, attachments=[Content(f"a{bad}", b"")]),
    "content": lambda bad: Draft(to=USER, attachments=[Content("a", bad.encode("utf-8", "replace"))]),
}


@pytest.mark.parametrize("field", DRAFTS)
def test_smtp(field: str) -> None:
    """Every field of a draft: refused, or within its header or body."""

    @given(bad=BAD)
    def attempt(bad: str) -> None:
        with contextlib.suppress(EmailError), SMTP.open(settings) as sender:
            cast("Any", sender).send(DRAFTS[field](bad))

    with ScriptedServer(handler_of(SMTP, Manners()), seconds=60) as server:
        settings = settings_of(SMTP, server.port, security="none", credential=Credential())
        attempt()
        assert server.conversations
    for conversation in server.conversations:
        for mail in mails_of(bytes(conversation.received)):
            names = {name.lower() for name in email.message_from_bytes(mail)}
            assert all(name in _HEADERS or name.startswith("x-good") for name in names)


@pytest.mark.parametrize("field", ["user", "secret", "from_address", "from domain"])
@pytest.mark.parametrize("how", [b"AUTH PLAIN", b"AUTH LOGIN"])
def test_smtp_settings(how: bytes, field: str) -> None:
    """The credential, and the name in EHLO, which comes from the sender's domain."""

    @given(bad=BAD)
    def attempt(bad: str) -> None:
        given_away = {"user": "u", "secret": "s", "from_address": USER, "from domain": USER, field: bad}
        credential = Credential("secret", given_away["user"], given_away["secret"])
        settings = settings_of(SMTP, server.port, security="none", credential=credential)
        sender = f"a@{bad}.test" if field == "from domain" else given_away["from_address"]
        assert settings.outgoing
        with (
            contextlib.suppress(EmailError),
            SmtpSender.open(settings.outgoing, from_address=sender) as out,
        ):
            out.send(Draft(to=USER))

    with ScriptedServer(handler_of(SMTP, Manners(offers={"clear": how})), seconds=60) as server:
        attempt()
    for conversation in server.conversations:
        seen = re.sub(rb"(AUTH LOGIN\r\n)(?:[A-Za-z0-9+/=*]*\r\n){0,2}", rb"\1", bytes(conversation.received))
        list(mails_of(seen))
