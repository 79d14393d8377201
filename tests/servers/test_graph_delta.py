"""The fake Graph: delta."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.contract.mails import RECEIVED, plain
from tests.servers.graph.behaviours import Behaviour
from tests.servers.graph.blobs import Blob
from tests.servers.graph.probe import IMMUTABLE, ROBOT, at, proves

if TYPE_CHECKING:
    from tests.servers.graph.delta import Loss
    from tests.servers.graph.probe import Probe

DELTA = "/mailFolders/inbox/messages/delta"


def put(probe: Probe, count: int = 1, first: int = 0) -> list[Any]:
    """Mails, received a minute after each other."""
    return [
        probe.graph.append(ROBOT, plain(number), when=RECEIVED + timedelta(minutes=number))
        for number in range(first, first + count)
    ]


def ids(items: list[Any]) -> set[str]:
    """Of mails that are there."""
    return {item["id"] for item in items if "@removed" not in item}


def removed(items: list[Any]) -> set[str]:
    """Of mails that are not."""
    return {item["id"] for item in items if "@removed" in item}


@proves(Behaviour.DELTA_OF_FOLDERS_ONLY)
def test_folders_only(probe: Probe) -> None:
    """A mailbox as a whole has no delta; the function's name has three forms."""
    for name in ("delta", "delta()", "microsoft.graph.delta()"):
        assert probe.ask("GET", f"/mailFolders/inbox/messages/{name}").status_code == 200
        assert probe.ask("GET", f"/messages/{name}").status_code == 400


@proves(Behaviour.DELTA_LINK)
def test_a_round_leads_to_the_next(probe: Probe) -> None:
    """All at first, then what is new; each link gives the same again."""
    first = put(probe, 12)
    items, link = probe.round(DELTA, {"$select": "subject"}, **IMMUTABLE)
    assert ids(items) == {mail.id for mail in first}
    assert link
    assert probe.round(link, **IMMUTABLE)[0] == []
    [new] = put(probe, first=12)
    for _ in range(2):
        items, following = probe.round(link, **IMMUTABLE)
        assert ids(items) == {new.id}
    assert probe.round(following, **IMMUTABLE)[0] == []


@proves(Behaviour.DELTA_PAGE_SIZE)
def test_the_size_of_pages(probe: Probe) -> None:
    """As the client prefers."""
    put(probe, 12)
    assert len(probe.get(DELTA)["value"]) == 10
    assert len(probe.get(DELTA, Prefer="odata.maxpagesize=5")["value"]) == 5


@proves(Behaviour.DELTA_LINK_FORM)
def test_the_form_of_links(probe: Probe) -> None:
    """Another than that of the request, so that nobody builds them."""
    put(probe, 12)
    for page in probe.pages(DELTA):
        link = page.get("@odata.nextLink") or page["@odata.deltaLink"]
        assert f"/v1.0/users('{quote(ROBOT)}')/mailfolders('AQMk" in link


@proves(Behaviour.DELTA_EMPTY_PAGE)
def test_an_empty_page_is_no_end(probe: Probe) -> None:
    """There is a nextLink; and the page with the deltaLink may have mails."""
    put(probe, 12)
    pages = list(probe.pages(DELTA))
    assert [bool(page["value"]) for page in pages] == [True, False, True]
    put(probe, first=12)
    pages = list(probe.pages(pages[-1]["@odata.deltaLink"]))
    assert [len(page["value"]) for page in pages] == [0, 1]


@proves(Behaviour.DELTA_REPLAYS)
def test_replays(probe: Probe) -> None:
    """A mail comes twice in a round."""
    put(probe, 12)
    items, _ = probe.round(DELTA)
    assert max(Counter(item["id"] for item in items).values()) == 2
    assert len(ids(items)) == 12


@proves(Behaviour.DELTA_REMOVED)
def test_what_is_deleted(probe: Probe) -> None:
    """Comes as an id, whichever form of it."""
    gone, _ = put(probe, 2)
    _, link = probe.round(DELTA)
    ordinary = gone.ordinary_id
    assert probe.post(f"{at(gone)}/permanentDelete").status_code == 204
    items, _ = probe.round(link)
    assert (ids(items), removed(items)) == (set(), {ordinary})
    assert removed(probe.round(link, **IMMUTABLE)[0]) == {gone.id}


@proves(Behaviour.DELTA_MOVES)
def test_moves(probe: Probe) -> None:
    """Gone here, new there."""
    [mail] = put(probe)
    archive = DELTA.replace("inbox", "archive")
    (_, here), (_, there) = probe.round(DELTA), probe.round(archive)
    probe.post(f"{at(mail)}/move", {"destinationId": "archive"})
    assert removed(probe.round(here, **IMMUTABLE)[0]) == {mail.id}
    assert ids(probe.round(there, **IMMUTABLE)[0]) == {mail.id}


@proves(Behaviour.DELTA_UPDATED)
def test_what_is_changed_comes_again(probe: Probe) -> None:
    """Once, however often it was changed."""
    [mail, _] = put(probe, 2)
    _, link = probe.round(DELTA)
    for value in (True, False, True):
        probe.ask("PATCH", at(mail), json={"isRead": value})
    items, _ = probe.round(link)
    assert [item["isRead"] for item in items] == [True]


@proves(Behaviour.DELTA_CHANGE_TYPE)
def test_one_type_of_change(probe: Probe) -> None:
    """Of created, updated and deleted; for all rounds that follow."""
    old, gone = put(probe, 2)
    links = {
        kind: probe.round(DELTA, {"changeType": kind, "$select": "id"})[1]
        for kind in ("created", "updated", "deleted")
    }
    probe.ask("PATCH", at(old), json={"isRead": True})
    probe.ask("DELETE", at(gone))
    [new] = put(probe, first=2)
    found = {kind: probe.round(link, **IMMUTABLE)[0] for kind, link in links.items()}
    assert {kind: (ids(items), removed(items)) for kind, items in found.items()} == {
        "created": ({new.id}, set()),
        "updated": ({old.id}, set()),
        "deleted": (set(), {gone.id}),
    }


@proves(Behaviour.DELTA_FILTER)
def test_the_filter(probe: Probe) -> None:
    """The time of receipt, from one on; and it stays in the link."""
    mails = put(probe, 3)
    since = f"receivedDateTime ge {mails[1].received:%Y-%m-%dT%H:%M:%SZ}"
    items, link = probe.round(DELTA, {"$filter": since}, **IMMUTABLE)
    assert ids(items) == {mail.id for mail in mails[1:]}
    probe.graph.append(ROBOT, plain(9), when=RECEIVED)
    assert probe.round(link)[0] == []
    for wrong in ("isRead eq false", "receivedDateTime le 2026-01-01T00:00:00Z"):
        assert probe.ask("GET", DELTA, {"$filter": wrong}).status_code == 400


def test_other_options(probe: Probe) -> None:
    """One order alone, and no search."""
    assert probe.ask("GET", DELTA, {"$orderby": "receivedDateTime desc"}).status_code == 200
    assert probe.ask("GET", DELTA, {"$orderby": "receivedDateTime"}).status_code == 400
    assert probe.ask("GET", DELTA, {"$search": "x"}).status_code == 400


@proves(Behaviour.DELTA_FILTER_CAP)
def test_the_filters_cap(probe: Probe) -> None:
    """5,000, and what is beyond is not told."""
    inbox, raw = probe.graph.mailbox(ROBOT).folder("inbox"), Blob([plain()])
    for _ in range(5001):
        probe.graph.mailbox(ROBOT).add(inbox, raw, RECEIVED)
    query = {"$filter": "receivedDateTime ge 2000-01-01T00:00:00Z", "$select": "id"}
    items, _ = probe.round(DELTA, query, Prefer="odata.maxpagesize=1000")
    assert len(ids(items)) == 5000


@proves(Behaviour.DELTA_OPTIONS_STAY)
def test_options_stay(probe: Probe) -> None:
    """What was selected at first is selected in later rounds."""
    _, link = probe.round(DELTA, {"$select": "subject"})
    put(probe)
    [item] = probe.round(link)[0]
    assert "subject" in item
    assert "body" not in item


@proves(Behaviour.DELTA_TOKEN_LOST)
def test_lost_tokens(probe: Probe) -> None:
    """Three ways to say it; a new round works."""
    losses: dict[Loss, tuple[int, str]] = {
        "410": (410, "resyncRequired"),
        "syncStateNotFound": (404, "syncStateNotFound"),
        "resyncRequired": (400, "resyncRequired"),
    }
    for how, (status, code) in losses.items():
        _, link = probe.round(DELTA)
        probe.graph.lose_delta_tokens(how)
        response = probe.ask("GET", link)
        probe.refused(response, status, code)
        assert ("location" in response.headers) is (status == 410)


@pytest.mark.parametrize("parameter", ["$deltatoken", "$skiptoken"])
def test_made_up_tokens(probe: Probe, parameter: str) -> None:
    """400; and so is a token of another folder."""
    assert probe.ask("GET", DELTA, {parameter: "x"}).status_code == 400
    token = probe.round(DELTA)[1].partition("=")[2]
    other = DELTA.replace("inbox", "archive")
    assert probe.ask("GET", other, {"$deltatoken": token}).status_code == 400
