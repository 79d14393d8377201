"""New mail by delta: from now on, each once, whatever happens to links, folders and the network."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.backends.graph import arrivals
from airflow_email_conn.backends.position import Position
from airflow_email_conn.errors import UnavailableError
from airflow_email_conn.lookout import Lookout, Wanted
from airflow_email_conn.model.message import MailRef
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.model.settings import EmailSettings
from airflow_email_conn.watch import MailWatch
from airflow_email_conn.wire.graph import marks
from tests.contract.mails import RECEIVED, plain
from tests.contract.places import graph_server
from tests.graph.conftest import ROBOT
from tests.graph.rounds import Rounds

if TYPE_CHECKING:
    from airflow_email_conn.backends.graph.mailbox import GraphMailbox
    from tests.servers.graph.delta import Loss
    from tests.servers.graph.server import GraphServer


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of five mails."""
    monkeypatch.setattr(arrivals, "_PAGES", ("odata.maxpagesize=5",))


def arrive(graph: GraphServer, *numbers: int, seconds: int = 0) -> None:
    """Mails of one second."""
    for number in numbers:
        graph.append(ROBOT, plain(number), when=RECEIVED + timedelta(seconds=seconds))


def found(mailbox: GraphMailbox, after: Position, **how: Any) -> list[int]:
    """Numbers of the mails that came later."""
    mails = mailbox.search(MailQuery(), after=after, **how)
    return [int((mail.message_id or "").split("-")[1].split("@")[0]) for mail in mails]


def test_from_now_on(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """What was there is not told of, however it changes; what comes is, in order, and each way round."""
    arrive(graph, *range(12))
    start = mailbox.position()
    assert found(mailbox, start) == []
    mailbox.mark_seen([mail.ref for mail in mailbox.search(MailQuery())])
    arrive(graph, 22, 23, seconds=2)
    arrive(graph, 21, seconds=1)
    assert found(mailbox, start) == [21, 22, 23]
    assert found(mailbox, start, newest_first=True) == [23, 22, 21]
    assert found(mailbox, start, newest_first=True, limit=1) == [23]


def test_going_on_from_the_last_position(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """One round tells the next position and what came; nothing between them is asked twice, or lost."""
    arrive(graph, *range(12))
    start = mailbox.position()
    arrive(graph, 20, 21)
    graph.site.requests.clear()
    here = mailbox.position("INBOX", start)
    arrive(graph, 22)
    assert found(mailbox, start) == [20, 21]
    assert found(mailbox, here) == [22]
    asked = [seen for seen in graph.requests if "delta" in seen.path]
    assert len(asked) <= 4  # two rounds, each with an empty page


def test_no_more_than_ids_are_asked_for(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """And the bodies of the mails by nobody."""
    arrive(graph, *range(3))
    mailbox.position()
    (first, *_) = [seen for seen in graph.requests if "delta" in seen.path]
    assert "$select=id,receivedDateTime" in first.query
    assert "changeType=created" in first.query


@pytest.mark.parametrize("loss", ["410", "syncStateNotFound", "resyncRequired"])
def test_a_link_that_is_too_old(graph: GraphServer, mailbox: GraphMailbox, loss: Loss) -> None:
    """Everything is asked for anew; what is known is not told of again."""
    arrive(graph, *range(12))
    start = Position.from_dict(mailbox.position().as_dict())
    graph.lose_delta_tokens(loss)
    arrive(graph, 20, 21, 22)
    assert found(mailbox, start) == [20, 21, 22]
    here = mailbox.position("INBOX", start)
    assert found(mailbox, start) == [20, 21, 22]
    arrive(graph, 30)
    assert found(mailbox, here) == [30]


def test_a_link_that_is_lost_in_the_middle(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """The round begins once more; a server that never lets it end is an outage."""
    start = mailbox.position()
    arrive(graph, *range(12))
    graph.fault(r"skiptoken", status=410, code="resyncRequired", skip=1)
    assert found(mailbox, start) == list(range(12))
    graph.fault(r"skiptoken", status=410, code="resyncRequired", times=None)
    with pytest.raises(UnavailableError, match="delta"):
        mailbox.position("INBOX", start)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ErrorInvalidSyncStateData"),
        (400, "BadRequest"),
        (404, "UnknownError"),
        (404, "ErrorItemNotFound"),
    ],
)
def test_a_link_that_is_dead(graph: GraphServer, mailbox: GraphMailbox, status: int, code: str) -> None:
    """By whatever code: it is given up, and nothing comes twice."""
    arrive(graph, *range(12))
    start = mailbox.position()
    arrive(graph, 20)
    graph.fault(r"deltatoken", status=status, code=code, times=None)
    assert found(mailbox, start) == [20]


def test_a_link_to_another_server(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """graph_url was changed: the position goes on without its link."""
    arrive(graph, *range(12))
    start = mailbox.position()
    arrive(graph, 20)
    before = replace(start, link=start.link.replace("localhost", "graph.example.test"))
    assert found(mailbox, before) == [20]
    assert found(mailbox, replace(start, link="")) == [20]


def test_old_mails_in_a_folder_that_is_known_whole(
    graph: GraphServer, mailbox: GraphMailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is moved there is new, however old, though the link is lost."""
    monkeypatch.setattr(marks, "MAX_MARKS", 5)
    arrive(graph, *range(5))
    graph.append(ROBOT, plain(20), folder="Old", when=RECEIVED - timedelta(days=3))
    start = mailbox.position()
    (old,) = mailbox.search(MailQuery(), folder="Old")
    mailbox.move(old.ref, "INBOX")
    graph.lose_delta_tokens()
    assert found(mailbox, start) == [20]


def test_more_mails_than_are_remembered(
    graph: GraphServer, mailbox: GraphMailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a large folder the newest are known one by one, and the others by their age."""
    monkeypatch.setattr(marks, "MAX_MARKS", 5)
    for number in range(12):
        arrive(graph, number, seconds=number)
    start = mailbox.position()
    assert len(start.uids) == 6  # and a sign that there were more
    graph.lose_delta_tokens()
    arrive(graph, 20, seconds=7)  # as late as the oldest that is remembered
    arrive(graph, 21, seconds=30)
    assert found(mailbox, start) == [20, 21]


def test_a_folder_that_was_made_anew(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """The position holds nothing back there, and says so."""
    graph.append(ROBOT, plain(1), folder="Done")
    start = mailbox.position("Done")
    with graph.site.lock:
        box = graph.mailbox(ROBOT)
        box.root.children = [child for child in box.root.children if child.name != "Done"]
    graph.append(ROBOT, plain(2), folder="Done")
    assert not start.fits(mailbox.position("Done", start))
    assert found(mailbox, start, folder="Done") == [2]


def test_a_mail_that_is_moved_out_and_in_again(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """It is the same mail: it was told of."""
    arrive(graph, 1)
    start = mailbox.position()
    (mail,) = mailbox.search(MailQuery())
    (moved,) = mailbox.move(mail.ref, "\\Archive").values()
    mailbox.move(moved, "INBOX")
    assert found(mailbox, start) == []


def test_a_mail_that_goes_before_it_is_read(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """It is left out; and so is one that lies elsewhere by then."""
    start = mailbox.position()
    arrive(graph, 1, 2, 3)
    refs = [mail.ref for mail in mailbox.search(MailQuery())]
    here = mailbox.position("INBOX", start)
    mailbox.delete(refs[0])
    mailbox.move(refs[1], "\\Archive")
    assert found(mailbox, start) == [3]
    assert found(mailbox, here) == []


@pytest.mark.parametrize("code", ["ErrorItemNotFound", "UnknownError"])
@pytest.mark.parametrize(
    "query", [MailQuery(subject="Hello"), MailQuery(body="Hi")], ids=["by its header", "by its text"]
)
def test_a_mail_that_is_not_there_for_a_moment(
    graph: GraphServer, mailbox: GraphMailbox, query: MailQuery, code: str
) -> None:
    """Graph tells of it, and does not find it yet: it is owed, once."""
    start = mailbox.position()
    arrive(graph, 1)
    what = r"GET .*/\$value" if query.body else r"GET .*/messages/(?!delta)[^/?]+\?"
    graph.fault(what, status=404, code=code, times=1 if code == "ErrorItemNotFound" else 4)
    here = mailbox.position("INBOX", start)
    assert list(mailbox.search(query, after=start)) == []
    owing = Position.from_dict(here.short_of(mailbox.undecided).as_dict())
    assert [mail.message_id for mail in mailbox.search(query, after=owing)] == ["<plain-1@acme.com>"]
    assert not mailbox.undecided


def test_a_mail_that_is_never_there(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """The second time it is believed."""
    start = mailbox.position()
    arrive(graph, 1)
    (mail,) = mailbox.search(MailQuery())
    mailbox.position("INBOX", start)
    mailbox.delete(mail.ref)
    owing = mailbox.position("INBOX", start).short_of([mail.ref])
    assert found(mailbox, owing) == []
    assert not mailbox.undecided


def test_more_is_owed_than_is_kept(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """The position stays good for the others."""
    arrive(graph, 1, 2)
    refs = [mail.ref for mail in mailbox.search(MailQuery())]
    unknown = [MailRef("INBOX", f"x{number}") for number in range(1500)]
    owing = Position.from_dict(mailbox.position().short_of([refs[0], *unknown, refs[1]]).as_dict())
    arrive(graph, 3)
    assert found(mailbox, owing) == [2, 3]


def test_a_mail_that_cannot_be_described_is_owed(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """It comes with the position that is short of it, whatever the link says."""
    start = mailbox.position()
    arrive(graph, 1, 2, 3)
    query = MailQuery(subject="Hello")
    here = mailbox.position("INBOX", start)
    graph.fault(r"GET .*/messages/(?!delta)[^/?]+\?", status=500, code="ErrorInternalServerError", times=4)
    assert [mail.message_id for mail in mailbox.search(query, after=start)] == [
        "<plain-2@acme.com>",
        "<plain-3@acme.com>",
    ]
    owing = Position.from_dict(here.short_of(mailbox.undecided).as_dict())
    arrive(graph, 4)
    assert found(mailbox, owing) == [1, 4]


def test_a_mail_that_cannot_be_described_is_told_of(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """Where nothing is asked of it."""
    start = mailbox.position()
    arrive(graph, 1)
    graph.fault(r"GET .*/messages/(?!delta)[^/?]+\?", status=500, code="ErrorInternalServerError", times=4)
    (mail,) = mailbox.search(MailQuery(), after=start)
    assert mail.defects == ("the server cannot describe this mail",)


def test_a_position_shows_no_link(mailbox: GraphMailbox) -> None:
    """It holds ids of the mailbox and of the folder."""
    start = mailbox.position()
    assert start.link.startswith("https://")
    assert "https:" not in repr(start)


@pytest.mark.parametrize("seed", range(3))
def test_rounds_while_everything_goes_wrong(graph: GraphServer, seed: int) -> None:
    """Nothing is lost, nothing comes twice; `poe soak` has more of them."""
    rounds = Rounds(graph, ROBOT, random.Random(seed))
    rounds.run(20)
    assert set(rounds.found) == rounds.delivered
    assert set(rounds.found.values()) <= {1}


def waited(graph: GraphServer, query: MailQuery, start: Position | None, meanwhile: Any) -> list[Any]:
    """What a trigger finds; something happens half a second later."""
    settings = EmailSettings("microsoft365", graph_server(graph, ROBOT), None, "")

    async def run() -> list[Any]:
        watch = MailWatch(settings, "INBOX", flags=False, refresh=60, interval=0.1)
        lookout = Lookout(watch, Wanted(query), start, patience=60, warn=lambda *_: None)
        asyncio.get_running_loop().call_later(0.5, meanwhile)
        try:
            return await lookout.mails(time.time() + 20)
        finally:
            watch.close()

    return [mail.message_id for mail in asyncio.run(run())]


def test_waiting_in_a_trigger(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """A Lookout begins from now, meets an outage and a lost link, and finds the mail."""
    arrive(graph, *range(12))
    start = mailbox.position()
    graph.fault(r"deltatoken", status=503, skip=1, times=6)
    graph.lose_delta_tokens()
    assert waited(graph, MailQuery(), start, lambda: arrive(graph, 20)) == ["<plain-20@acme.com>"]


def test_waiting_for_what_old_mails_may_become(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """The whole folder is asked, by its filter: of no use is a position, which would cost requests."""
    arrive(graph, *range(12))
    refs = [mail.ref for mail in mailbox.search(MailQuery())]
    graph.site.requests.clear()
    query = MailQuery(flagged=True)
    assert waited(graph, query, None, lambda: mailbox.flag(refs[3])) == ["<plain-3@acme.com>"]
    assert [seen for seen in graph.requests if "delta" in seen.path] == []


def test_text_is_looked_for_in_new_mails_only(graph: GraphServer, mailbox: GraphMailbox) -> None:
    """No index of the server's may find it later: a mail is read once."""
    arrive(graph, *range(12))
    start = mailbox.position()
    graph.site.requests.clear()
    query = MailQuery(body="Hi")
    assert waited(graph, query, start, lambda: arrive(graph, 20)) == ["<plain-20@acme.com>"]
    assert len([seen for seen in graph.requests if seen.path.endswith("$value")]) == 1
