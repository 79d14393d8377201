"""Lists in pages: which messages, in which order, and the link to the next page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from tests.servers.graph.behaviours import Behaviour
from tests.servers.graph.call import Reply
from tests.servers.graph.errors import bad_request
from tests.servers.graph.odata import Filter, parse_filter
from tests.servers.graph.projection import Projection, has_attachments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from tests.servers.graph.call import Request
    from tests.servers.graph.items import Message
    from tests.servers.graph.site import Site

__all__ = ["listed", "message_list", "page_of"]

_USUAL_PAGE, _LARGEST_PAGE = 10, 1000
_KNOWN_OPTIONS = {
    "$top", "$skip", "$select", "$filter", "$orderby", "$expand", "$search", "$count",
    "$skiptoken", "includehiddenfolders",
}  # fmt: skip


def page_of(
    request: Request, items: Sequence[Any], site: Site, usual: int = _USUAL_PAGE
) -> tuple[Sequence[Any], str]:
    """The items of the page that a request asks for, and the link to the next one or nothing.

    :raises GraphError: 400 for options that make no sense.
    """
    query = request.query
    for name in query:
        if name.lower() not in _KNOWN_OPTIONS:
            raise bad_request("BadRequest", f"The query parameter '{name}' is not supported.")
    preferred = request.preferences.get("odata.maxpagesize", str(usual))
    top, skip = _count(query.get("$top", preferred), "$top"), _count(query.get("$skip", "0"), "$skip")
    if not 1 <= top <= _LARGEST_PAGE and site.has(Behaviour.TOP_AT_MOST_1000):
        raise bad_request(
            "ErrorInvalidUrlQuery", f"The limit of '{_LARGEST_PAGE}' for Top query was exceeded."
        )
    place = {"$skip": str(skip + top)}
    if not site.has(Behaviour.PAGES_SHIFT):  # then a page begins behind the last item of the one before
        skip = next((n + 1 for n, one in enumerate(items) if one.id == query.get("$skiptoken")), 0)
        place = {"$skiptoken": items[min(skip + top, len(items)) - 1].id} if items else {}
    end = skip + top
    options = {**query, **place} if site.has(Behaviour.NEXT_LINK) else place
    return items[skip:end], f"{request.base}{request.path}?{_encoded(options)}" if end < len(items) else ""


def _encoded(options: dict[str, str]) -> str:
    return urlencode(options, safe="$,()':/", quote_via=quote)


def _count(text: str, name: str) -> int:
    if not text.isdecimal():
        raise bad_request("ErrorInvalidUrlQuery", f"Invalid value '{text}' for {name} query option found.")
    return int(text)


def listed(
    request: Request, items: Iterable[Any], kind: str, link: str, name: str = "@odata.nextLink"
) -> Reply:
    """A page as an answer."""
    body = {"@odata.context": f"{request.base}/v1.0/$metadata#{kind}", "value": list(items)}
    return Reply(200, {**body, name: link} if link else body)


def message_list(request: Request, messages: Iterable[Message], site: Site) -> Reply:
    """Messages that match, sorted, one page of them."""
    projection = Projection(site, request)
    query = request.query
    if "$search" in query:
        return _search(request, messages, site, projection)
    order = _order(query.get("$orderby", ""))
    found = list(messages)
    if query.get("$filter"):
        condition = parse_filter(query["$filter"], _properties(site))
        _refuse_inefficient(condition, [name for name, _ in order], site)
        found = [message for message in found if condition.matches(message)]
    found.reverse()  # latest first, among those of one second too
    for name, descending in reversed(order or [("receivedDateTime", True)]):
        found.sort(key=_SORTED[name], reverse=descending)
    usual = _USUAL_PAGE if site.has(Behaviour.MESSAGES_BY_TEN) else _LARGEST_PAGE
    page, link = page_of(request, found, site, usual)
    reply = listed(request, map(projection.of, page), "users('x')/messages", link)
    if query.get("$count") == "true" and isinstance(reply.body, dict):
        reply.body["@odata.count"] = len(found)
    return reply


def _search(request: Request, messages: Iterable[Message], site: Site, projection: Projection) -> Reply:
    """``$search``: a word, in subject or sender; at most 1,000, and with nothing beside it."""
    query = request.query
    if ("$filter" in query or "$orderby" in query) and site.has(Behaviour.SEARCH_ALONE):
        raise bad_request(
            "SearchWithOrderBy", "The query parameter '$search' cannot be combined with others."
        )
    word = query["$search"].strip('"').casefold()
    found = [mail for mail in messages if word in mail.parsed.text("Subject").casefold()][:1000]
    page, link = page_of(request, found, site)
    return listed(request, map(projection.of, page), "users('x')/messages", link)


def _address(message: Message, field: str, part: str) -> str:
    found = message.parsed.addresses(field) or message.parsed.addresses("From")
    return found[0]["emailAddress"][part].casefold() if found else ""


def _properties(site: Site) -> dict[str, Callable[[Message], Any]]:
    """What can be filtered on; texts are compared without case."""

    def received(message: Message) -> datetime:
        exact = site.has(Behaviour.RECEIVED_IN_SECONDS)
        return message.received if exact else message.received.replace(microsecond=0)

    table: dict[str, Callable[[Message], Any]] = {
        "receivedDateTime": received,
        "sentDateTime": lambda mail: mail.parsed.date() or mail.received,
        "createdDateTime": received,
        "lastModifiedDateTime": lambda mail: mail.changed,
        "isRead": lambda mail: mail.is_read,
        "isDraft": lambda mail: mail.is_draft,
        "hasAttachments": lambda mail: has_attachments(mail, site),
        "importance": lambda mail: mail.importance,
        "subject": lambda mail: mail.parsed.text("Subject").casefold(),
        "from/emailAddress/address": lambda mail: _address(mail, "From", "address"),
        "from/emailAddress/name": lambda mail: _address(mail, "From", "name"),
        "sender/emailAddress/address": lambda mail: _address(mail, "Sender", "address"),
        "internetMessageId": lambda mail: mail.message_id.casefold(),
        "flag/flagStatus": lambda mail: mail.flag.casefold(),
        "categories": lambda mail: [name.casefold() for name in mail.categories],
        "inferenceClassification": lambda mail: mail.inference,
    }
    if not site.has(Behaviour.NOT_FILTERABLE):
        table["parentFolderId"] = lambda mail: mail.folder.id.casefold()
    return table


_SORTED: dict[str, Callable[[Message], Any]] = {
    "receivedDateTime": lambda mail: mail.received,
    "sentDateTime": lambda mail: (mail.parsed.date() or mail.received).timestamp(),
    "subject": lambda mail: mail.parsed.text("Subject").casefold(),
    "isRead": lambda mail: mail.is_read,
    "from/emailAddress/address": lambda mail: _address(mail, "From", "address"),
}


def _order(text: str) -> list[tuple[str, bool]]:
    """Names and whether they descend."""
    order = []
    for part in filter(None, text.split(",")):
        name, _, direction = part.strip().partition(" ")
        if name not in _SORTED or direction.strip() not in {"", "asc", "desc"}:
            raise bad_request("ErrorInvalidUrlQuery", f"The property '{name}' cannot be sorted by.")
        order.append((name, direction.strip() == "desc"))
    return order


def _refuse_inefficient(condition: Filter, order: list[str], site: Site) -> None:
    if condition.names[: len(order)] != order and site.has(Behaviour.INEFFICIENT_FILTER):
        raise bad_request(
            "InefficientFilter", "The restriction or sort order is too complex for this operation."
        )
