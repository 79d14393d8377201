"""Delta: what is in a folder, and then what has changed there, in pages.

A round is fixed when it begins: its links name it and a place in it, so that the same link gives the same
page whenever it is followed.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from tests.servers.graph import folders
from tests.servers.graph.behaviours import Behaviour
from tests.servers.graph.errors import GraphError, bad_request
from tests.servers.graph.odata import parse_filter
from tests.servers.graph.pages import listed
from tests.servers.graph.projection import Projection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.servers.graph.call import Call, Reply
    from tests.servers.graph.items import Folder, Message
    from tests.servers.graph.site import Site

__all__ = ["Loss", "Round", "of_folder", "of_mailbox"]

#: How a delta token is lost.
Loss = Literal["410", "syncStateNotFound", "resyncRequired"]
_USUAL_PAGE, _LARGEST_PAGE = 10, 1000
_FILTER_CAP = 5000
_OPTIONS = {"$select", "$filter", "$orderby", "$expand", "$top", "changetype"}
_LOSSES: Mapping[str, tuple[int, str]] = {
    "410": (410, "resyncRequired"),
    "syncStateNotFound": (404, "syncStateNotFound"),
    "resyncRequired": (400, "resyncRequired"),
}


@dataclass
class Round:
    """One round: what it tells, and with which options.

    :param until: number of the last change of the log that it knows of.
    :param items: messages, or the ids (immutable, ordinary) of those that left.
    """

    folder: Folder
    options: dict[str, str]
    until: int
    items: list[Any]
    lost: Loss | None = None
    #: By token: the item that is next, and whether an empty page comes first.
    places: dict[str, tuple[int, bool]] = field(default_factory=dict)


def of_mailbox(call: Call) -> Reply:
    """GET messages/delta: there is none."""
    if call.site.has(Behaviour.DELTA_OF_FOLDERS_ONLY):
        raise bad_request(
            "ErrorInvalidRequest", "Change tracking is not supported against 'microsoft.graph.message'."
        )
    return of_folder(call, "inbox")


def of_folder(call: Call, folder: str) -> Reply:
    """GET mailFolders/{id}/messages/delta: the first page of a first round, or what a link leads to."""
    query = call.request.query
    found = folders.find(call, folder)
    if token := query.get("$skiptoken"):
        started = _round(call.site, token, found)
        return _page(call, started, *started.places[token])
    if token := query.get("$deltatoken"):
        before = _round(call.site, token, found)
        options = before.options if call.site.has(Behaviour.DELTA_OPTIONS_STAY) else query
        return _page(call, _next_round(call, before, dict(options)), 0, is_blank=True)
    return _page(call, _first_round(call, found, query), 0)


def _round(site: Site, token: str, folder: Folder) -> Round:
    found = site.rounds.get(token)
    if found is None or found.folder is not folder:
        raise bad_request("syncStateInvalid", "The sync state is invalid.")
    if found.lost and site.has(Behaviour.DELTA_TOKEN_LOST):
        status, code = _LOSSES[found.lost]
        headers = {"Location": "here?$deltatoken="} if status == 410 else {}
        raise GraphError(status, code, "The sync state is not known any more.", headers)
    return found


def _first_round(call: Call, folder: Folder, query: Mapping[str, str]) -> Round:
    options = {name.lower(): value for name, value in query.items()}
    for name in options:
        if name not in _OPTIONS:
            raise bad_request("ErrorInvalidUrlQuery", f"{name} is not supported with delta.")
    if options.get("$orderby", "receivedDateTime desc") != "receivedDateTime desc":
        raise bad_request("ErrorInvalidUrlQuery", "$orderby can be receivedDateTime desc alone.")
    found: list[Any] = list(folder.messages.values())
    if options.get("$filter"):
        found = _filtered(call.site, found, options["$filter"])
    if options.get("$orderby"):
        found.sort(key=lambda message: message.received, reverse=True)
    return Round(folder, options, len(call.mailbox.log), found)


def _filtered(site: Site, found: list[Message], text: str) -> list[Message]:
    matches = _condition(text, site)
    kept = [message for message in found if matches(message)]
    return kept[:_FILTER_CAP] if site.has(Behaviour.DELTA_FILTER_CAP) else kept


def _condition(text: str, site: Site) -> Any:
    properties = {"receivedDateTime": lambda message: message.received}
    if not site.has(Behaviour.DELTA_FILTER):
        properties["isRead"] = lambda message: message.is_read
    condition = parse_filter(text, properties)
    if not any(f" {word} " in text for word in ("ge", "gt")) and site.has(Behaviour.DELTA_FILTER):
        raise bad_request("ErrorInvalidUrlQueryFilter", "Only ge and gt are supported with delta.")
    return condition.matches


def _next_round(call: Call, before: Round, options: dict[str, str]) -> Round:
    """What has changed since a round: each message once, as it is now."""
    log, site = call.mailbox.log, call.site
    kinds: dict[str, set[str]] = {}
    ordinary: dict[str, str] = {}
    for change in log[before.until :]:
        if change.folder is before.folder:
            kinds.setdefault(change.message, set()).add(change.kind)
            ordinary[change.message] = change.ordinary_id
    wanted = options.get("changetype", "").lower() if site.has(Behaviour.DELTA_CHANGE_TYPE) else ""
    items: list[Any] = []
    for key, what in kinds.items():
        here = before.folder.messages.get(key)
        if here is None:
            if wanted in {"", "deleted"} and _tells_removal(call, key):
                items.append((key, ordinary[key]))
        elif "created" in what:
            items += [here] if wanted in {"", "created"} else []
        elif wanted in {"", "updated"} and site.has(Behaviour.DELTA_UPDATED):
            items.append(here)
    if options.get("$filter"):
        matches = _condition(options["$filter"], site)
        items = [item for item in items if isinstance(item, tuple) or matches(item)]
    return Round(before.folder, options, len(log), items)


def _tells_removal(call: Call, key: str) -> bool:
    moved = key in call.mailbox.messages
    return call.site.has(Behaviour.DELTA_MOVES if moved else Behaviour.DELTA_REMOVED)


def _page(call: Call, current: Round, start: int, is_blank: bool = False) -> Reply:
    """A page.

    :param start: the item that it begins with.
    :param is_blank: whether it is an empty one before that: at the beginning of all rounds but the first,
        where it is behind the first page.
    """
    items, end = current.items, start + _page_size(call, current)
    if is_blank and call.site.has(Behaviour.DELTA_EMPTY_PAGE):
        return _linked(call, current, [], (start, False))
    first = max(0, start - 1) if call.site.has(Behaviour.DELTA_REPLAYS) else start
    shown = [_shown(call, current, item) for item in items[first:end]]
    return _linked(call, current, shown, None if end >= len(items) else (end, start == 0))


def _linked(
    call: Call, current: Round, values: list[dict[str, Any]], place: tuple[int, bool] | None
) -> Reply:
    """A page with the link to the next one at a place of the round, or to the next round."""
    token = secrets.token_urlsafe(96)
    current.places[token] = place or (0, False)
    call.site.rounds[token] = current
    where = f"{call.request.base}{call.request.path}"
    if call.site.has(Behaviour.DELTA_LINK_FORM):
        mailbox, folder = quote(call.mailbox.address), quote(current.folder.id, safe="")
        where = f"{call.request.base}/v1.0/users('{mailbox}')/mailfolders('{folder}')/messages/delta"
    if place:
        return listed(call.request, values, "Collection(message)", f"{where}?$skiptoken={token}")
    link = f"{where}?$deltatoken={token}" if call.site.has(Behaviour.DELTA_LINK) else ""
    return listed(call.request, values, "Collection(message)", link, "@odata.deltaLink")


def _page_size(call: Call, current: Round) -> int:
    asked = call.request.preferences.get("odata.maxpagesize", "")
    if not asked.isdecimal() or not call.site.has(Behaviour.DELTA_PAGE_SIZE):
        asked = current.options.get("$top", str(_USUAL_PAGE))
    return max(1, min(int(asked) if asked.isdecimal() else _USUAL_PAGE, _LARGEST_PAGE))


def _shown(call: Call, current: Round, item: Any) -> dict[str, Any]:
    immutable = call.request.wants_immutable_ids and call.site.has(Behaviour.IMMUTABLE_ID)
    if isinstance(item, tuple):
        kind = "message"
        key = item[0] if immutable else item[1]
        return {"@odata.type": f"#microsoft.graph.{kind}", "id": key, "@removed": {"reason": "deleted"}}
    options: dict[str, str] = {
        name: current.options[name] for name in ("$select", "$expand") if name in current.options
    }
    return {"@odata.type": "#microsoft.graph.message"} | Projection(call.site, call.request, options).of(item)
