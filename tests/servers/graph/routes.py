"""Which handler answers what, and the permission it needs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.servers.graph import attachments, delta, folders, messages, sending, uploads
from tests.servers.graph.errors import GraphError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.servers.graph.call import Reply

__all__ = ["Route", "find_route"]

_READ, _WRITE, _SEND = "Mail.Read", "Mail.ReadWrite", "Mail.Send"
_DELTA = re.compile(r"(?:microsoft\.graph\.)?delta(?:\(\))?")
_ACTION = re.compile(r"(?:microsoft\.graph\.)?(\w+)")


class Route(NamedTuple):
    """A way through: who answers, and what the token needs for it."""

    method: str
    #: Segments below the mailbox; names in braces become arguments of the handler.
    path: str
    handler: Callable[..., Reply]
    permission: str


_OF_MESSAGES = [
    Route("GET", "{message}", messages.get, _READ),
    Route("PATCH", "{message}", messages.patch, _WRITE),
    Route("DELETE", "{message}", messages.delete, _WRITE),
    Route("GET", "{message}/$value", messages.value, _READ),
    Route("POST", "{message}/move", messages.move, _WRITE),
    Route("POST", "{message}/copy", messages.copy, _WRITE),
    Route("POST", "{message}/permanentDelete", messages.permanent_delete, _WRITE),
    Route("POST", "{message}/send", sending.send_draft, _SEND),
    Route("GET", "{message}/attachments", attachments.list_of, _READ),
    Route("POST", "{message}/attachments", attachments.add, _WRITE),
    Route("POST", "{message}/attachments/createUploadSession", uploads.create, _WRITE),
    Route("GET", "{message}/attachments/{attachment}", attachments.get, _READ),
    Route("DELETE", "{message}/attachments/{attachment}", attachments.remove, _WRITE),
    Route("GET", "{message}/attachments/{attachment}/$value", attachments.value, _READ),
]
_ROUTES = [
    Route("POST", "sendMail", sending.send_mail, _SEND),
    Route("GET", "mailFolders", folders.list_top, _READ),
    Route("POST", "mailFolders", folders.create, _WRITE),
    Route("GET", "mailFolders/{folder}", folders.get, _READ),
    Route("GET", "mailFolders/{folder}/childFolders", folders.list_children, _READ),
    Route("POST", "mailFolders/{folder}/childFolders", folders.create, _WRITE),
    Route("GET", "messages", messages.list_all, _READ),
    Route("POST", "messages", sending.create_draft, _WRITE),
    Route("GET", "messages/delta", delta.of_mailbox, _READ),
    Route("GET", "mailFolders/{folder}/messages", messages.list_in, _READ),
    Route("POST", "mailFolders/{folder}/messages", sending.create_draft, _WRITE),
    Route("GET", "mailFolders/{folder}/messages/delta", delta.of_folder, _READ),
    *(
        Route(method, f"{where}/{path}", handler, permission)
        for where in ("messages", "mailFolders/{folder}/messages")
        for method, path, handler, permission in _OF_MESSAGES
    ),
]


def find_route(method: str, segments: Sequence[str]) -> tuple[Route, dict[str, str]]:
    """The way for a request, and the handler's arguments.

    :param segments: of the path below the mailbox, decoded.
    :raises GraphError: there is none.
    """
    fits = [(route, found) for route in _ROUTES if (found := _matched(route, segments)) is not None]
    for route, arguments in fits:
        if route.method == method:
            return route, arguments
    if fits:
        raise GraphError(405, "BadRequest", "The OData request is not supported.")
    raise GraphError(400, "BadRequest", f"Resource not found for the segment '{segments[-1:]}'.")


def _matched(route: Route, segments: Sequence[str]) -> dict[str, Any] | None:
    names = route.path.split("/")
    if len(names) != len(segments):
        return None
    found = {}
    for name, segment in zip(names, segments, strict=True):
        if name.startswith("{"):
            found[name[1:-1]] = segment
        elif name.casefold() != _plain(segment).casefold():
            return None
    return found


def _plain(segment: str) -> str:
    """A segment without OData's long form of functions and actions."""
    if _DELTA.fullmatch(segment):
        return "delta"
    match = _ACTION.fullmatch(segment)
    return match[1] if match else segment
