"""Moving and deleting on servers of every make: only what was named, and nothing is ever lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.backends.imap.mailbox import ImapMailbox
from airflow_email_conn.errors import CapabilityError, FolderNotFoundError, ServerError, UnavailableError
from airflow_email_conn.model.message import MailRef
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.model.server import Credential, Server
from tests.contract.imap_script import imap_script
from tests.contract.places import ignore
from tests.servers.scripted import ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable

REF = MailRef("INBOX", "7", "1")
OK = b"%b OK done\r\n"
COPIED = b"%b OK [COPYUID 1 7 70] copied\r\n"


def _server(port: int) -> Server:
    ann = Credential("secret", "ann", "s3cret-pw")
    return Server("imap", "127.0.0.1", port, "none", credential=ann, timeout=2.0)


def _does(what: Callable[[ImapMailbox], Any], capabilities: bytes, **answers: Any) -> tuple[Any, list[str]]:
    """What it returns or raises, and the verbs that the server saw once it was in."""
    known = {
        "AUTHENTICATE": b"%b OK [CAPABILITY IMAP4rev1 " + capabilities + b"] in\r\n",
        "SEARCH": b"* SEARCH 7\r\n%b OK\r\n",
        **dict.fromkeys(("STORE", "EXPUNGE", "FETCH"), OK),
        **answers,
    }
    with ScriptedServer(imap_script(known)) as server:
        with ImapMailbox.open(_server(server.port), ignore) as mailbox:
            try:
                result = what(mailbox)
            except (ServerError, CapabilityError) as exc:
                result = exc
        lines = [line.partition(b" ")[2].decode() for line in server.received.split(b"\r\n")]
    return result, [line for line in lines if line.startswith("UID ") or "EXPUNGE" in line]


def test_move_where_the_server_can() -> None:
    """MOVE alone."""
    moved, seen = _does(lambda box: box.move(REF, "Done"), b"MOVE UIDPLUS", MOVE=COPIED)
    assert moved == {REF: MailRef("Done", "70", "1")}
    assert seen[1:] == ['UID MOVE 7 "Done"']


def test_move_by_copy_and_expunge() -> None:
    """Without MOVE: COPY, then the flag, then UID EXPUNGE of that mail, in this order."""
    moved, seen = _does(lambda box: box.move(REF, "Done"), b"UIDPLUS", COPY=COPIED)
    assert moved == {REF: MailRef("Done", "70", "1")}
    assert seen[1:] == ['UID COPY 7 "Done"', "UID STORE 7 +FLAGS.SILENT (\\Deleted)", "UID EXPUNGE 7"]


@pytest.mark.parametrize(
    "refusal", [b"%b NO [TRYCREATE] no\r\n", b"%b NO [OVERQUOTA] full\r\n", b"%b BAD no\r\n"]
)
@pytest.mark.parametrize("capabilities", [b"UIDPLUS", b"MOVE UIDPLUS"])
def test_nothing_is_lost_where_the_copy_fails(refusal: bytes, capabilities: bytes) -> None:
    """A folder that is missing, or full: no mail is marked, none expunged."""
    error, seen = _does(lambda box: box.move(REF, "Done"), capabilities, COPY=refusal, MOVE=refusal)
    # Neither folder is known to the server; only a full one could be.
    assert isinstance(error, FolderNotFoundError)
    assert not [line for line in seen if "STORE" in line or "EXPUNGE" in line]


_GONE = b"%b NO [EXPUNGEISSUED] some are gone\r\n"


@pytest.mark.parametrize("capabilities", [b"UIDPLUS", b"MOVE UIDPLUS"])
def test_what_a_refused_move_has_moved(capabilities: bytes) -> None:
    """Half-way a mail vanishes: what is left is tried again, and each mail is told where it went."""
    refs = [MailRef("INBOX", str(uid), "1") for uid in (7, 8, 9)]
    half = b"* OK [COPYUID 1 7 70] moved\r\n" + _GONE if b"MOVE" in capabilities else _GONE
    left = b"* SEARCH 9\r\n%b OK\r\n" if b"MOVE" in capabilities else b"* SEARCH 7 9\r\n%b OK\r\n"
    rest = (
        b"%b OK [COPYUID 1 9 90] done\r\n" if b"MOVE" in capabilities else b"%b OK [COPYUID 1 7,9 70,90]\r\n"
    )
    searches = iter([b"* SEARCH 7 8 9\r\n%b OK\r\n", left])
    transfers = iter([half, rest])
    moved, seen = _does(
        lambda box: box.move(refs, "Done"),
        capabilities,
        SEARCH=lambda _: next(searches),
        MOVE=lambda _: next(transfers),
        COPY=lambda _: next(transfers),
    )
    assert moved == {refs[0]: MailRef("Done", "70", "1"), refs[2]: MailRef("Done", "90", "1")}
    changes = [line for line in seen if "SEARCH" not in line]
    if b"MOVE" in capabilities:
        assert changes == ['UID MOVE 7:9 "Done"', 'UID MOVE 9 "Done"']
    else:
        assert changes == [
            'UID COPY 7:9 "Done"',
            'UID COPY 7,9 "Done"',
            "UID STORE 7,9 +FLAGS.SILENT (\\Deleted)",
            "UID EXPUNGE 7,9",
        ]


def test_only_what_was_copied_is_expunged() -> None:
    """COPYUID names two of three: the third has no copy, and stays."""
    refs = [MailRef("INBOX", str(uid), "1") for uid in (7, 8, 9)]
    moved, seen = _does(
        lambda box: box.move(refs, "Done"),
        b"UIDPLUS",
        SEARCH=b"* SEARCH 7 8 9\r\n%b OK\r\n",
        COPY=b"%b OK [COPYUID 1 7,9 70,90] copied\r\n",
    )
    assert moved == {refs[0]: MailRef("Done", "70", "1"), refs[2]: MailRef("Done", "90", "1")}
    assert seen[2:] == ["UID STORE 7,9 +FLAGS.SILENT (\\Deleted)", "UID EXPUNGE 7,9"]


def test_many_that_are_left() -> None:
    """A set of 2,000 neighbours of which every other one vanishes takes three sets."""
    everything = range(100_001, 102_001)
    searches = iter([everything, everything[::2]])
    moves = iter([_GONE, OK, OK, OK])
    moved, seen = _does(
        lambda box: box.move([MailRef("INBOX", str(uid), "1") for uid in everything], "Done"),
        b"MOVE UIDPLUS",
        SEARCH=lambda _: b"* SEARCH " + b" ".join(b"%d" % uid for uid in next(searches)) + b"\r\n%b OK\r\n",
        MOVE=lambda _: next(moves),
    )
    assert [ref.uid for ref in moved] == [str(uid) for uid in everything[::2]]
    assert max(map(len, seen)) < 4500


@pytest.mark.parametrize("capabilities", [b"UIDPLUS", b"MOVE UIDPLUS"])
def test_mails_that_keep_vanishing(capabilities: bytes) -> None:
    """A server that says so for ever: an error that may be tried again, soon, and nothing is expunged."""
    error, seen = _does(lambda box: box.move(REF, "Done"), capabilities, COPY=_GONE, MOVE=_GONE)
    assert isinstance(error, UnavailableError)
    assert len(seen) < 20
    assert not [line for line in seen if "STORE" in line or "EXPUNGE" in line]


@pytest.mark.parametrize("change", ["move", "delete"])
def test_never_a_bare_expunge(change: str) -> None:
    """Without UIDPLUS and MOVE nothing is sent at all: a bare EXPUNGE takes other people's mails."""
    calls = {"move": lambda box: box.move(REF, "Done"), "delete": lambda box: box.delete(REF)}
    error, seen = _does(calls[change], b"IDLE", COPY=COPIED)
    assert isinstance(error, CapabilityError)
    assert seen == []


# ------------------------------------------------------------ answers as servers give them

_HEADER = b"BODY[HEADER.FIELDS (SUBJECT)] {12}\r\nSubject: a\r\n"


def test_answers_are_known_by_their_uid() -> None:
    """Answers about others, in pieces, twice, in any order and without UID: each mail once, one is gone."""
    fetch = (
        b"* 3 FETCH (FLAGS (\\Seen))\r\n* 9 EXISTS\r\n"
        b"* 5 FETCH (UID 99 RFC822.SIZE 1 " + _HEADER + b")\r\n"
        b"* 2 FETCH (UID 8 RFC822.SIZE 2 " + _HEADER + b")\r\n"
        b"* 1 FETCH (RFC822.SIZE 1 UID 7)\r\n* 1 FETCH (UID 7 FLAGS (\\Flagged))\r\n"
        b"* 1 FETCH (UID 7 " + _HEADER + b")\r\n* 1 FETCH (UID 7 FLAGS (\\Flagged))\r\n"
        b"* 4 FETCH (UID 9 FLAGS ())\r\n%b OK\r\n"
    )
    found, _ = _does(
        lambda box: list(box.search(MailQuery())), b"IDLE", SEARCH=b"* SEARCH 7 8 9\r\n%b OK\r\n", FETCH=fetch
    )
    assert [(mail.ref.uid, mail.subject, mail.flagged) for mail in found] == [
        ("7", "a", True),
        ("8", "a", False),
    ]


def test_commands_for_100_000_mails_are_short() -> None:
    """Sets are cut into chunks, and ranges compressed: few commands, none of which is long."""
    everything = b"* ESEARCH UID ALL 1:100000\r\n%b OK\r\n"
    found, seen = _does(lambda box: list(box.search(MailQuery())), b"ESEARCH", SEARCH=everything)
    assert found == []
    assert len(seen) == 1 + 200
    assert max(map(len, seen)) < 250
    scattered = b"* SEARCH " + b" ".join(b"%d" % uid for uid in range(1, 100_000, 5)) + b"\r\n%b OK\r\n"
    _, seen = _does(lambda box: list(box.search(MailQuery())), b"IDLE", SEARCH=scattered)
    assert len(seen) <= 1 + 20 * 2
    assert max(map(len, seen)) < 4500


def test_a_line_of_one_megabyte() -> None:
    """A search that found all of a large folder, and a structure that is one endless line."""
    name = b"x" * 1_000_000
    fetch = (
        b'* 1 FETCH (UID 7 RFC822.SIZE 2 BODYSTRUCTURE ("text" "csv" ("name" "'
        + name
        + b'") NIL NIL "7bit" 2 1)'
        b" " + _HEADER + b")\r\n%b OK\r\n"
    )
    found, _ = _does(lambda box: list(box.search(MailQuery())), b"IDLE", FETCH=fetch)
    assert [mail.subject for mail in found] == ["a"]
