"""Mails that a server cannot read, or tells so badly that nobody can: they hurt nobody but themselves."""

from __future__ import annotations

import io
import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.backends.base import Saved, Unfetched
from airflow_email_conn.backends.imap.mailbox import ImapMailbox
from airflow_email_conn.errors import NetworkError, ProtocolError, ServerError, UnavailableError
from airflow_email_conn.model.message import Attachment, Mail, MailRef
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.model.server import Credential, Server
from tests.contract.imap_script import imap_script
from tests.contract.mails import delivered, invoice
from tests.contract.places import ignore, imap_server
from tests.servers.scripted import ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.bed import Bed


def _unreadable(path: Path) -> None:
    path.chmod(0)


def _cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _removed(path: Path) -> None:
    path.unlink()


def _of_another_size(path: Path) -> None:
    size = path.stat().st_size
    path.rename(path.with_name(path.name.replace(f"S={size}", f"S={size + 4000}")))


@contextmanager
def damaged(bed: Bed, damage: Callable[[Path], None], *, known: bool) -> Iterator[ImapMailbox]:
    """Dovecot with five mails, of which the file of the third is damaged.

    :param known: it was read before, so that the server's index knows it.
    """
    login = next(iter(bed.users))
    bed.empty(login)
    for number in range(5):
        bed.append(login, delivered(invoice(number)))
    if known:
        with ImapMailbox.open(imap_server(bed, login), ignore) as mailbox:
            assert len(list(mailbox.search(MailQuery()))) == 5
    folder = bed.directory / "mail" / login
    files = [path for name in ("cur", "new") for path in (folder / name).iterdir()]
    (third,) = (path for path in files if b"<invoice-2@" in path.read_bytes())
    damage(third)
    with ImapMailbox.open(imap_server(bed, login), ignore) as mailbox:
        yield mailbox


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("damage", [_unreadable, _cut_short, _emptied, _removed, _of_another_size])
def test_damaged_file_of_dovecot(bed: Bed, damage: Callable[[Path], None], known: bool) -> None:
    """Dovecot ends the session over it, in the middle of an answer: the other four are all there."""
    others = [f"<invoice-{number}@acme.com>" for number in (0, 1, 3, 4)]
    with damaged(bed, damage, known=known) as mailbox:
        found = list(mailbox.search(MailQuery()))
        assert [mail.message_id for mail in found if mail.message_id in others] == others
        if len(found) > 4 and found[2].message_id is None:
            assert "cannot read this mail" in found[2].defects[0]
        read = list(mailbox.fetch_many([mail.ref for mail in found]))
        assert [
            mail.message_id for mail in read if isinstance(mail, Mail) and mail.message_id in others
        ] == others
        files = {what: io.BytesIO() for mail in found for what in mail.attachments}
        saved = list(mailbox.save_many(files, files.__getitem__))
        assert [item.what for item in saved] == list(files)
        assert sum(isinstance(item, Saved) for item in saved) >= 4 * 3
        assert len(list(mailbox.search(MailQuery()))) >= 4, "the mailbox can be used further on"


# ------------------------------------------------------------ scripted servers

_SUMMARY = (
    b'* %d FETCH (UID %d FLAGS () INTERNALDATE "01-Mar-2026 10:00:00 +0000" RFC822.SIZE 9 '
    b'BODYSTRUCTURE ("text" "plain" NIL NIL NIL "7bit" 2 1) BODY[HEADER.FIELDS (SUBJECT)] {14}\r\n'
    b"Subject: s%02d\r\n)\r\n"
)


def _uids(arguments: str) -> list[int]:
    uids: list[int] = []
    for item in arguments.split(" ", maxsplit=1)[0].split(","):
        first, _, last = item.partition(":")
        uids += range(int(first), int(last or first) + 1)
    return uids


def _fetching(poison: int, bad: bytes, end: bytes = b"%b OK done\r\n") -> Callable[[str], bytes | None]:
    """Ten mails, one of which is answered by `bad`, and a command that names it by `end`."""

    def fetch(arguments: str) -> bytes:
        uids = _uids(arguments)
        out = b""
        for uid in uids:
            if uid == poison:
                out += bad
                if not end:
                    return out
            elif "HEADER" in arguments:
                out += _SUMMARY % (uid, uid, uid)
            else:
                out += b"* %d FETCH (UID %d BODY[] {9}\r\nmail %04d)\r\n" % (uid, uid, uid)
        return out + (end if poison in uids else b"%b OK done\r\n")

    return fetch


@contextmanager
def _scripted(
    fetch: Callable[[str], bytes | None], count: int = 10
) -> Iterator[tuple[ImapMailbox, ScriptedServer]]:
    answers = {"SEARCH": b"* SEARCH " + b" ".join(b"%d" % n for n in range(1, count + 1)) + b"\r\n%b OK\r\n"}
    with ScriptedServer(imap_script({**answers, "FETCH": fetch})) as server:
        ann = Credential("secret", "ann", "s3cret-pw")
        settings = Server("imap", "127.0.0.1", server.port, "none", credential=ann, timeout=2.0)
        with ImapMailbox.open(settings, ignore) as mailbox:
            yield mailbox, server


REFUSALS = {
    "NO [SERVERBUG]": (b"", b"%b NO [SERVERBUG] Internal error occurred\r\n"),
    "NO": (b"", b"%b NO cannot open message\r\n"),
    "BAD": (b"", b"%b BAD Internal Server Error\r\n"),
    "Yahoo": (b"", b"%b NO UID FETCH Server error - Please try again later\r\n"),
    "BYE": (b"* BYE FETCH failed: Internal error\r\n", b"%b OK\r\n"),
    "end of file in a literal": (b"* 7 FETCH (UID 7 BODY[] {900}\r\nhalf", b""),
    "no IMAP": (b"\x00\xff garbage\r\n", b"%b OK\r\n"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_one_mail_in_ten_cannot_be_read(refusal: str) -> None:
    """Search and fetch tell of it, and give the nine others, in their places."""
    bad, end = REFUSALS[refusal]
    with _scripted(_fetching(7, bad, end)) as (mailbox, server):
        found = list(mailbox.search(MailQuery()))
        assert [mail.ref.uid for mail in found] == [str(uid) for uid in range(1, 11)]
        assert [mail.ref.uid for mail in found if "cannot read" in " ".join(mail.defects)] == ["7"]
        assert [mail.subject for mail in found if mail.subject] == [
            f"s{uid:02d}" for uid in range(1, 11) if uid != 7
        ]
        read = list(mailbox.fetch_many([mail.ref for mail in found]))
        assert [mail.what.uid for mail in read if isinstance(mail, Unfetched)] == ["7"]  # type: ignore[union-attr]
        assert len(read) == 10
        files = {mail.ref: io.BytesIO() for mail in found}
        saved = list(mailbox.save_many(files, lambda ref: files[ref]))  # type: ignore[index]
        assert [files[item.what].getvalue() for item in saved if isinstance(item, Saved)] == [  # type: ignore[index]
            b"mail %04d" % uid for uid in range(1, 11) if uid != 7
        ]
    assert len(server.conversations) <= 1 + 3 * 3, "a mail costs few connections"


def test_unreadable_mail_that_does_not_match_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A filter that needs the envelope cannot take it: that must not go unseen."""
    with _scripted(_fetching(7, *REFUSALS["NO"])) as (mailbox, _), caplog.at_level(logging.WARNING):
        found = list(mailbox.search(MailQuery(subject="s0")))
    assert len(found) == 8
    assert any("UID 7" in record.message or "7" in record.message for record in caplog.records)


def test_gone_mails_are_left_out() -> None:
    """NO [EXPUNGEISSUED] (RFC 5530): not an error, and not a defect."""
    with _scripted(_fetching(7, b"", b"%b NO [EXPUNGEISSUED] some are gone\r\n")) as (mailbox, _):
        assert [mail.ref.uid for mail in mailbox.search(MailQuery())] == [
            str(uid) for uid in range(1, 11) if uid != 7
        ]
        (result,) = mailbox.fetch_many([MailRef("INBOX", "7", "1")])
        assert isinstance(result, Unfetched)


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (b"%b NO [UNAVAILABLE] come back later\r\n", UnavailableError),
        (b"%b BAD User is authenticated but not connected.\r\n", UnavailableError),
        (b"%b NO Request is throttled. Suggested Backoff Time: 299961 milliseconds\r\n", UnavailableError),
    ],
)
def test_throttling_is_about_no_mail(end: bytes, error: type[ServerError]) -> None:
    """The server wants to be left alone: nothing else is asked."""
    with _scripted(_fetching(7, b"", end)) as (mailbox, server), pytest.raises(error) as caught:
        list(mailbox.search(MailQuery()))
    assert caught.value.retryable
    assert len(server.conversations) == 1


@pytest.mark.parametrize(
    "text",
    [
        b"Request is throttled. Suggested Backoff Time: 299961 milliseconds",
        b"[UNAVAILABLE] Server is going down",
        b"[THROTTLED] slow down",
    ],
)
def test_throttling_by_a_farewell_is_about_no_mail(text: bytes) -> None:
    """BYE instead of an answer: nobody signs in again, and no mail is called unreadable."""
    with _scripted(_fetching(7, b"* BYE " + text + b"\r\n", b"")) as (mailbox, server):
        results: list[Mail | Unfetched] = []
        with pytest.raises(UnavailableError) as caught:
            results.extend(mailbox.fetch_many([MailRef("INBOX", str(uid), "1") for uid in range(1, 11)]))
    assert caught.value.retryable
    assert not [result for result in results if isinstance(result, Unfetched)]
    assert len(server.conversations) == 1


def test_connections_are_not_opened_in_a_storm() -> None:
    """The first break is mended at once; the more there are, the longer nobody comes back."""
    times: list[float] = []

    def fetch(arguments: str) -> bytes:
        times.append(time.monotonic())
        (uid,) = _uids(arguments)
        return b"* BYE FETCH failed\r\n" if uid < 4 else b"* 4 FETCH (UID 4 BODY[] {2}\r\nok)\r\n%b OK\r\n"

    refs = [MailRef("INBOX", str(uid), "1") for uid in range(1, 5)]
    with _scripted(fetch) as (mailbox, server):
        results = list(mailbox.save_many(refs, lambda _what: io.BytesIO()))
    assert [type(result) for result in results] == [Unfetched] * 3 + [Saved]
    assert len(server.conversations) > 3
    assert 0.7 < times[-1] - times[0] < 8


# ------------------------------------------------------------ mails whose structure nobody can read

_NO_STRUCTURE = {
    "bad quotes": b'(("TEXT" "CSV" ("NAME" "a"b") NIL NIL "7BIT" 8 1 NIL ("ATTACHMENT" NIL)))',
    "NIL": b"NIL",
}
_CSV = (
    b"From: a@acme.com\r\nSubject: s01\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n\r\nhi\r\n--B\r\n"
    b"Content-Type: text/csv\r\nContent-Disposition: attachment; filename=a.csv\r\n\r\n1,2\r\n--B--\r\n"
)


def _undescribed(structure: bytes, whole: bytes) -> Callable[[str], bytes]:
    """Two mails, of which the first has this structure, and these octets."""

    def fetch(arguments: str) -> bytes:
        out = b""
        for uid in _uids(arguments):
            if "BODY.PEEK[]" in arguments:
                out += whole
                continue
            answer = _SUMMARY % (uid, uid, uid)
            described, _, rest = answer.partition(b"BODYSTRUCTURE ")
            rest = rest.partition(b" BODY[")[2]
            if "HEADER" not in arguments:
                answer = answer.partition(b" BODY[")[0] + b")\r\n"
            elif "BODYSTRUCTURE" not in arguments:
                answer = described + b"BODY[" + rest
            if uid == 1 and "BODYSTRUCTURE" in arguments:
                answer = described + b"BODYSTRUCTURE " + structure
                answer += b" BODY[" + rest if "HEADER" in arguments else b")\r\n"
            out += answer
        return out + b"%b OK\r\n"

    return fetch


@pytest.mark.parametrize("structure", _NO_STRUCTURE)
def test_undescribed_parts_are_read(structure: str) -> None:
    """A search for attachments reads the mail itself, and neither loses it nor takes it for another."""
    whole = b"* 1 FETCH (UID 1 BODY[]<0> {%d}\r\n%b)\r\n" % (len(_CSV), _CSV)
    with _scripted(_undescribed(_NO_STRUCTURE[structure], whole), count=2) as (mailbox, _):
        (mail,) = mailbox.search(MailQuery(has_attachments=True))
        assert [file.name for file in mail.attachments] == ["a.csv"]
        assert (mail.ref.uid, mail.subject, mail.defects) == ("1", "s01", ())
        assert [mail.ref.uid for mail in mailbox.search(MailQuery(has_attachments=False))] == ["2"]
        assert list(mailbox.search(MailQuery(attachment="*.pdf"))) == []
        assert [mail.ref.uid for mail in mailbox.search(MailQuery(subject="s01"))] == ["1"]


def test_undescribed_parts_that_cannot_be_read(caplog: pytest.LogCaptureFixture) -> None:
    """Where the mail is not to be had either, the log tells of it, or the mail has a defect."""
    with _scripted(_undescribed(_NO_STRUCTURE["bad quotes"], b""), count=2) as (mailbox, _):
        assert list(mailbox.search(MailQuery(has_attachments=True))) == []
        assert ["the mail 1 in" in message for message in caplog.messages] == [True]
        mails = list(mailbox.search(MailQuery()))
    assert [(mail.subject, len(mail.defects)) for mail in mails] == [("s01", 1), ("s02", 0)]


def test_connection_that_always_breaks_is_an_error() -> None:
    """A lone mail over which the connection ends may as well be the network's fault."""
    lost = _fetching(1, b"* 1 FETCH (UID 1 BODY", b"")
    with _scripted(lost, count=1) as (mailbox, server), pytest.raises(NetworkError):
        list(mailbox.search(MailQuery()))
    assert len(server.conversations) == 1


def test_begun_file_goes_on_where_the_connection_broke() -> None:
    """What was written stays, the rest comes on a new connection, and no file is opened twice."""
    content = bytes(range(256)) * 400
    answer = b"* 1 FETCH (UID 1 BODY[2] {%d}\r\n%b)\r\n%%b OK\r\n" % (len(content), content)
    cuts = iter((80_000,))

    def fetch(arguments: str) -> bytes:
        (uid,) = _uids(arguments)
        if uid == 1:
            cut = next(cuts, None)
            return answer if cut is None else answer[:cut]
        return b"* %d FETCH (UID %d BODY[2] {3}\r\nok!)\r\n%%b OK\r\n" % (uid, uid)

    files = [
        Attachment(MailRef("INBOX", str(uid), "1"), "2", "a", "a/b", 9, encoding="binary") for uid in (1, 2)
    ]
    written: dict[Any, io.BytesIO] = {}

    def target(what: Any) -> io.BytesIO:
        assert what not in written
        written[what] = io.BytesIO()
        return written[what]

    with _scripted(fetch) as (mailbox, server):
        results = list(mailbox.save_many(files, target))
    assert [type(result) for result in results] == [Saved, Saved]
    assert [written[what].getvalue() for what in files] == [content, b"ok!"]
    assert len(server.conversations) == 2


def test_two_fetches_answered_at_once() -> None:
    """A server may mix the answers of commands in flight (RFC 9051 5.5), and end them in any order."""
    big = {uid: bytes([uid]) * 70_000 for uid in (1, 2)}

    def fetch(arguments: str) -> bytes | None:
        (uid,) = _uids(arguments)
        if uid == 1:
            return None
        out = b"".join(
            b"* %d FETCH (UID %d BODY[2] {70000}\r\n%b)\r\n" % (uid, uid, content)
            for uid, content in sorted(big.items(), reverse=True)
        )
        return out + b"* 9 FETCH (UID 99 FLAGS ())\r\n%b OK second\r\nA3 OK first\r\n"

    files = [
        Attachment(MailRef("INBOX", str(uid), "1"), "2", "a", "a/b", 9, encoding="binary") for uid in (1, 2)
    ]
    targets = {what: io.BytesIO() for what in files}
    with _scripted(fetch) as (mailbox, server):
        results = list(mailbox.save_many(files, lambda what: targets[what]))  # type: ignore[index]
    assert server.errors == []
    assert [type(result) for result in results] == [Saved, Saved]
    assert [targets[what].getvalue() for what in files] == [big[1], big[2]]


def test_header_of_4_gib_is_refused_at_once() -> None:
    """Not read and dropped for hours."""
    with (
        _scripted(
            _fetching(1, b"* 1 FETCH (UID 1 BODY[HEADER] {4294967295}\r\nx", b"%b OK\r\n"), count=1
        ) as (
            mailbox,
            _,
        ),
        pytest.raises(ProtocolError, match="4294967295"),
    ):
        list(mailbox.search(MailQuery()))
