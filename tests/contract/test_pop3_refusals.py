"""One mail that a POP3 server does not give hides no other, whatever reason it names."""

from __future__ import annotations

import io
import logging

import pytest

from airflow_email_conn.backends.base import Saved, Unfetched
from airflow_email_conn.errors import ServerError, UnavailableError
from airflow_email_conn.model.query import MailQuery
from tests.contract.maildrops import MAIL, Maildrops, at, found
from tests.servers.scripted import ScriptedServer

# NetEase says so about one mail, for ever; Dovecot says [SYS/TEMP] about one whose file it cannot read.
FOR_NOW = (b"-ERR Can't get the letter, try again later\r\n", b"-ERR [SYS/TEMP] Temporary failure\r\n")
FOR_EVER = b"-ERR cannot load it\r\n"


def refused(answer: bytes, *numbers: int) -> dict[bytes, bytes]:
    """Answers about these mails."""
    return {b"%b %d" % (verb, number): answer for verb in (b"RETR", b"TOP") for number in numbers}


@pytest.mark.parametrize("answer", [*FOR_NOW, FOR_EVER])
def test_one_mail_hides_no_other(answer: bytes) -> None:
    """It has a defect, and is reported where it is asked for."""
    drops = Maildrops(answers=refused(answer, 2))
    with ScriptedServer(drops) as server, at(server) as mailbox:
        mails = list(mailbox.search(MailQuery()))
        assert [mail.subject for mail in mails] == ["a", "", "c"]
        assert mails[1].defects == ("the server refuses to give this mail",)
        matching = mailbox.search(MailQuery(has_attachments=False, body="body"))
        assert [mail.subject for mail in matching] == ["a", "c"]
        refs = [mail.ref for mail in mails]
        fetched = list(mailbox.fetch_many(refs))
        saved = list(mailbox.save_many(refs, lambda _: io.BytesIO()))
        assert [type(item) is Unfetched for item in fetched] == [False, True, False]
        assert [type(item) for item in saved] == [Saved, Unfetched, Saved]
        with pytest.raises(ServerError, match="refuses to give"):
            mailbox.raw(refs[1])


@pytest.mark.parametrize("answer", FOR_NOW)
@pytest.mark.parametrize("large", [False, True])
def test_also_where_it_is_looked_at_alone(answer: bytes, large: bool) -> None:
    """The newest of which one is wanted, or one that is a window of its own: another mail tells."""
    mails = {name: MAIL % name.encode() for name in "abc"}
    if large:
        mails["c"] += b"x" * 70_000 + b"\r\n"
    drops = Maildrops(mails, answers=refused(answer, 3))
    with ScriptedServer(drops) as server, at(server) as mailbox:
        (mail,) = mailbox.search(MailQuery(), newest_first=True, limit=1)
        assert mail.defects
        (mail,) = mailbox.search(MailQuery(subject={"regex": "."}), newest_first=True, limit=1)
        assert mail.subject == "b"


@pytest.mark.parametrize("answer", FOR_NOW)
@pytest.mark.parametrize("limit", [None, 1])
def test_a_server_that_cannot_now(answer: bytes, limit: int | None) -> None:
    """When it gives no mail at all, none is taken for unreadable."""
    drops = Maildrops(answers=refused(answer, 1, 2, 3))
    with ScriptedServer(drops) as server, at(server) as mailbox, pytest.raises(UnavailableError):
        list(mailbox.search(MailQuery(), limit=limit))
    drops = Maildrops({"a": MAIL % b"a"}, answers=refused(answer, 1))
    with ScriptedServer(drops) as server, pytest.raises(UnavailableError, match="refused to give a mail"):
        found(server)


@pytest.mark.parametrize("answer", [*FOR_NOW, FOR_EVER])
def test_ids_made_of_headers(answer: bytes) -> None:
    """One header that does not come hides no mail of a server without UIDL, nor one without an id."""
    for listed in (b"-ERR unknown command\r\n", b"+OK\r\n1 a\r\n3 c\r\n.\r\n"):
        drops = Maildrops(answers={b"UIDL": listed, **refused(answer, 2)}, offers=b"TOP\r\n")
        with ScriptedServer(drops) as server:
            assert [mail.subject for mail in found(server)] == ["a", "", "c"]


def test_what_may_match_is_not_left_out_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    """The log names a mail that cannot be read and that the filter cannot judge."""
    drops = Maildrops(answers=refused(FOR_EVER, 2))
    with ScriptedServer(drops) as server, caplog.at_level(logging.WARNING):
        assert [mail.subject for mail in found(server, subject={"regex": "."})] == ["a", "c"]
        assert [mail.subject for mail in found(server, body="body")] == ["a", "c"]
        assert found(server, larger_than=10**6) == []
    assert [record.getMessage().count("'b'") for record in caplog.records] == [1, 1]
