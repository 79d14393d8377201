"""What a POP3 mail is known by, where its server has no ids or gives one to several mails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_email_conn.backends.base import Unfetched
from airflow_email_conn.errors import MailNotFoundError, ServerError
from airflow_email_conn.model.message import Mail, MailRef
from airflow_email_conn.model.query import MailQuery
from tests.contract.maildrops import MAIL, Maildrops, at
from tests.servers.scripted import ScriptedServer

if TYPE_CHECKING:
    from airflow_email_conn.backends.pop3.mailbox import Pop3Mailbox

ALERT = b"From: machine@acme.com\r\nSubject: alert\r\n\r\n%b\r\n"
NO_IDS = {b"UIDL": b"-ERR unknown command\r\n"}
OFFERS = b"TOP\r\nPIPELINING\r\n"


def refs(mailbox: Pop3Mailbox) -> list[MailRef]:
    """All mails."""
    return [mail.ref for mail in mailbox.search(MailQuery())]


def test_a_rerun_deletes_no_other_mail_of_the_same_header() -> None:
    """Machines write such mails; their sizes tell them apart."""
    drops = Maildrops({"1": ALERT % b"first", "2": ALERT % b"second, of another size"}, NO_IDS, OFFERS)
    with ScriptedServer(drops) as server:
        with at(server) as mailbox:
            first, second = refs(mailbox)
            assert mailbox.delete(first) == {first: first}
        with at(server) as mailbox:
            assert mailbox.delete(first) == {}
            assert refs(mailbox) == [second]
    assert list(drops.mails) == ["2"]


@pytest.mark.parametrize(
    "answers", [NO_IDS, {b"UIDL": b"+OK\r\n1 X\r\n2 X\r\n3 c\r\n.\r\n"}], ids=["no ids", "one id"]
)
def test_mails_that_cannot_be_told_apart_are_never_deleted(answers: dict[bytes, bytes]) -> None:
    """A reference may mean the other one by then: an error that says so, and nothing is deleted."""
    drops = Maildrops({"1": ALERT % b"one", "2": ALERT % b"two", "3": MAIL % b"c"}, answers, OFFERS)
    with ScriptedServer(drops) as server, at(server) as mailbox:
        mails = list(mailbox.search(MailQuery()))
        assert [len(mail.defects) for mail in mails] == [1, 1, 0]
        assert len({mail.ref.uid for mail in mails}) == 3
        for mail in mails[:2]:
            with pytest.raises(ServerError, match="several mails"):
                mailbox.delete([mails[2].ref, mail.ref])
        assert "DELE" not in drops.verbs()
        assert mailbox.delete(mails[2].ref)
    assert list(drops.mails) == ["1", "2"]


def test_mails_that_cannot_be_told_apart_are_read_in_the_session_that_showed_them() -> None:
    """In a later one the same reference may mean another mail; one that stands alone by then, none."""
    drops = Maildrops({"1": ALERT % b"one", "2": ALERT % b"two"}, NO_IDS, OFFERS)
    with ScriptedServer(drops) as server:
        with at(server) as mailbox:
            shown = refs(mailbox)
            assert [mailbox.raw(ref) for ref in shown] == list(drops.mails.values())
        with at(server) as mailbox:
            for result in mailbox.fetch_many(shown):
                assert isinstance(result, Unfetched)
                assert "several mails" in str(result.error)
            assert shown == refs(mailbox)
            assert all(isinstance(mail, Mail) for mail in mailbox.fetch_many(shown))
        del drops.mails["1"]
        with at(server) as mailbox:
            assert mailbox.delete(shown) == {}
            with pytest.raises(MailNotFoundError):
                mailbox.raw(shown[1])


def test_an_id_that_another_mail_has_got_too() -> None:
    """It was one mail's when it was found: which one's, nobody knows any more."""
    drops = Maildrops({"1": ALERT % b"one"}, NO_IDS, OFFERS)
    with ScriptedServer(drops) as server:
        with at(server) as mailbox:
            (ref,) = refs(mailbox)
        drops.mails["2"] = ALERT % b"two"
        with at(server) as mailbox:
            for call in (mailbox.raw, mailbox.delete):
                with pytest.raises(ServerError, match="several mails"):
                    call(ref)
    assert list(drops.mails) == ["1", "2"]


def test_copies_are_not_new_each_time() -> None:
    """A mail that comes later gives them no other names."""
    drops = Maildrops({"1": ALERT % b"one", "2": ALERT % b"two"}, NO_IDS, OFFERS)
    with ScriptedServer(drops) as server:
        with at(server) as mailbox:
            past = mailbox.position()
        drops.mails["3"] = MAIL % b"c"
        with at(server) as mailbox:
            assert [mail.subject for mail in mailbox.search(MailQuery(), after=past)] == ["c"]
