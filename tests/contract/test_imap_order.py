"""Answers out of order, about other mails, or cut short: no byte ever ends up in the wrong file."""

from __future__ import annotations

import io
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.backends.base import Saved, Unfetched
from airflow_email_conn.backends.imap.mailbox import ImapMailbox
from airflow_email_conn.errors import NetworkError, ProtocolError
from airflow_email_conn.model.message import Attachment, Mail, MailRef
from airflow_email_conn.model.server import Credential, Server
from tests.contract.imap_script import imap_script
from tests.contract.places import ignore
from tests.servers.scripted import ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_email_conn.backends.base import What

BIG = {uid: bytes([uid]) * 100_000 for uid in (1, 2, 3)}
REFS = [MailRef("INBOX", str(uid), "1") for uid in BIG]


@contextmanager
def _serving(
    fetch: Callable[[str], bytes | None], timeout: float = 2.0, **answers: Any
) -> Iterator[tuple[ImapMailbox, ScriptedServer]]:
    with ScriptedServer(imap_script({"FETCH": fetch, **answers})) as server:
        ann = Credential("secret", "ann", "s3cret-pw")
        settings = Server("imap", "127.0.0.1", server.port, "none", credential=ann, timeout=timeout)
        with ImapMailbox.open(settings, ignore) as mailbox:
            yield mailbox, server


class OneAtATime:
    """Files of which one is open: whoever opens another closes it, as the operators do."""

    def __init__(self) -> None:
        self.contents: dict[What, bytes] = {}
        self._open: tuple[What, io.BytesIO] | None = None

    def open(self, what: What) -> io.BytesIO:
        """Open a file, once."""
        assert what not in self.contents
        self.close()
        self._open = (what, io.BytesIO())
        return self._open[1]

    def close(self) -> None:
        """Close the one that is open."""
        if self._open:
            what, file = self._open
            self.contents[what] = file.getvalue()
            file.close()
            self._open = None


def _uid(arguments: str) -> int:
    return int(arguments.split(" ", maxsplit=1)[0])


def _uid_last(uid: int) -> bytes:
    return b"* %d FETCH (BODY[] {100000}\r\n%b UID %d)\r\n" % (uid, BIG[uid], uid)


def test_out_of_order_with_the_uid_behind_the_literal() -> None:
    """Nobody knows whose bytes come: none are written, and from then on one is asked for at a time."""
    seen: list[int] = []

    def fetch(arguments: str) -> bytes | None:
        seen.append(_uid(arguments))
        if len(server.conversations) > 1:
            return _uid_last(seen[-1]) + b"%b OK\r\n"
        return _uid_last(3) + _uid_last(2) + _uid_last(1) + b"%b OK\r\n" if len(seen) == 3 else None

    files = OneAtATime()
    with _serving(fetch) as (mailbox, server):
        results = list(mailbox.save_many(REFS, files.open))
    files.close()
    assert [type(result) for result in results] == [Saved] * 3
    assert files.contents == dict(zip(REFS, BIG.values(), strict=True))
    assert seen == [1, 2, 3, 1, 2, 3]


@pytest.mark.parametrize("end", [b"", b" UID 9"])
def test_bytes_of_another_mail(end: bytes) -> None:
    """An answer that turns out to be another mail's, or nobody's, is no file; the next one is read on."""

    def fetch(arguments: str) -> bytes:
        if _uid(arguments) == 1:
            return b"* 9 FETCH (BODY[] {100000}\r\n%b%b)\r\n" % (BIG[3], end) + b"%b OK\r\n"
        return b"* 2 FETCH (UID 2 BODY[] {3}\r\ntwo)\r\n%b OK\r\n"

    with _serving(fetch) as (mailbox, server):
        with pytest.raises(ProtocolError, match="another mail"):
            mailbox.save(REFS[0], io.BytesIO())
        first, second = (
            result for ref in REFS[:2] for result in mailbox.save_many([ref], lambda _what: io.BytesIO())
        )
    assert isinstance(first, Unfetched)
    assert isinstance(second, Saved)
    assert len(server.conversations) == 1


@pytest.mark.parametrize("size", [3, 100_000])
def test_files_are_written_in_turn_whatever_is_answered_first(size: int) -> None:
    """A server may answer commands in any order (RFC 9051 5.5): what comes early is asked for once more."""
    seen: list[int] = []

    def answer(uid: int) -> bytes:
        return b"* %d FETCH (UID %d BODY[] {%d}\r\n%b)\r\n" % (uid, uid, size, BIG[uid][:size])

    def fetch(arguments: str) -> bytes | None:
        seen.append(uid := _uid(arguments))
        if len(seen) < len(REFS):
            return None
        if len(seen) == len(REFS):  # the last command's answer first, all of them under its tag's end
            return answer(3) + answer(1) + answer(2) + b"A3 OK\r\nA4 OK\r\n%b OK\r\n"
        return b"* %d FETCH (UID %d FLAGS (\\Seen))\r\n" % (uid, uid) + answer(uid) + b"%b OK\r\n"

    files = OneAtATime()
    with _serving(fetch) as (mailbox, server):
        results = list(mailbox.save_many(REFS, files.open))
    files.close()
    assert [(result.what, type(result)) for result in results] == [(ref, Saved) for ref in REFS]
    assert files.contents == {ref: BIG[int(ref.uid)][:size] for ref in REFS}
    assert list(files.contents) == REFS
    assert seen == [1, 2, 3, 3]
    assert len(server.conversations) == 1


def test_cut_while_a_later_file_comes() -> None:
    """Nothing of it was written, so the first goes first."""
    seen: list[int] = []

    def fetch(arguments: str) -> bytes | None:
        seen.append(uid := _uid(arguments))
        answer = b"* %d FETCH (UID %d BODY[] {100000}\r\n%b)\r\n" % (2, 2, BIG[2])
        if len(server.conversations) > 1:
            return answer.replace(b"2", b"%d" % uid).replace(BIG[2], BIG[uid]) + b"%b OK\r\n"
        return answer[:70_000] if uid == 2 else None

    files = OneAtATime()
    with _serving(fetch) as (mailbox, server):
        results = list(mailbox.save_many(REFS[:2], files.open))
    files.close()
    assert [type(result) for result in results] == [Saved, Saved]
    assert files.contents == {ref: BIG[int(ref.uid)] for ref in REFS[:2]}
    assert seen == [1, 2, 1, 2]


def test_results_end_at_the_first_that_is_missing() -> None:
    """A connection that is lost for good: what was saved behind the gap is not told before it."""

    def fetch(arguments: str) -> bytes | None:
        if (uid := _uid(arguments)) == 3:
            return b"* 3 FETCH (UID 3 BODY[] {3}\r\nend)\r\nA5 OK\r\n"
        return b"* 1 FETCH (UID 1 BODY[] {3}\r\none)\r\n%b OK\r\n" if uid == 1 else None

    signed_in: list[bool] = []

    def sign_in(_arguments: str) -> bytes:
        signed_in.append(True)
        return b"%b OK [CAPABILITY IMAP4rev1] in\r\n" if len(signed_in) == 1 else b""

    results: list[Saved | Unfetched] = []
    with _serving(fetch, AUTHENTICATE=sign_in) as (mailbox, _), pytest.raises(NetworkError):
        results.extend(iter(mailbox.save_many(REFS, lambda _what: io.BytesIO())))
    assert [result.what for result in results] == REFS[:1]


def test_flags_that_come_unasked_say_nothing_of_a_size() -> None:
    """A mail that is too large is known by its size, though flags of it come afterwards."""
    asked: list[str] = []

    def fetch(arguments: str) -> bytes:
        asked.append(arguments)
        if "SIZE" in arguments and "BODY" not in arguments:
            return b"* 1 FETCH (UID 1 RFC822.SIZE 5000)\r\n* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n%b OK\r\n"
        return b"* 1 FETCH (UID 1 BODY[]<0> {3}\r\none)\r\n%b OK\r\n"

    with _serving(fetch) as (mailbox, _):
        (result,) = mailbox.fetch_many(REFS[:1], max_size=1000)
    assert not isinstance(result, Mail)
    assert len(asked) == 1


@pytest.mark.parametrize("size", [4, 100_000])
def test_slow_to_open(size: int) -> None:
    """The timeout is for the server, not for a store that takes its time, however short the file."""

    def open_slowly(_what: What) -> Any:
        time.sleep(0.5)
        return io.BytesIO()

    def fetch(_arguments: str) -> bytes:
        server.conversations[0].send(b"* 1 FETCH (UID 1 BODY[2] {%d}\r\n%b)\r\n" % (size, b"Q" * size))
        time.sleep(0.1)
        return b"%b OK\r\n"

    attachment = Attachment(REFS[0], "2", "a", "text/csv", size, encoding="binary")
    with _serving(fetch, timeout=0.3) as (mailbox, server):
        (result,) = mailbox.save_many([attachment], open_slowly)
    assert isinstance(result, Saved), result
