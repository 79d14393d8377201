"""Requests about messages: lists, one message, its MIME, changes, moves, deletion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.servers.graph import folders
from tests.servers.graph.behaviours import Behaviour
from tests.servers.graph.call import Reply
from tests.servers.graph.errors import GraphError, bad_request, not_found
from tests.servers.graph.outgoing import mime_of
from tests.servers.graph.pages import message_list
from tests.servers.graph.projection import FROM_SAFE, Projection

if TYPE_CHECKING:
    from tests.servers.graph.call import Call
    from tests.servers.graph.items import Message

__all__ = [
    "copy",
    "delete",
    "find",
    "get",
    "list_all",
    "list_in",
    "move",
    "patch",
    "permanent_delete",
    "value",
]


def find(call: Call, key: str) -> Message:
    """The message that a path names.

    :raises GraphError: there is none.
    """
    if not call.site.has(Behaviour.ID_CASE):
        for message in call.mailbox.messages.values():
            if key.casefold() in {message.id.casefold(), message.ordinary_id.casefold()}:
                return message
    if not call.site.has(Behaviour.ID_NEEDS_QUOTING):
        key = key.translate(FROM_SAFE)
    if not call.site.has(Behaviour.ID_MALFORMED) and len(key) < 40:
        raise not_found()
    found = call.mailbox.message(key)
    if found.folder.well_known == "outbox" and call.site.has(Behaviour.SENT_DRAFT_IS_AWAY):
        raise not_found()
    return found


def list_all(call: Call) -> Reply:
    """GET messages: of all folders."""
    found = call.mailbox.messages.values()
    if not call.site.has(Behaviour.WHOLE_MAILBOX):
        found = call.mailbox.folder("inbox").messages.values()
    return message_list(call.request, found, call.site)


def list_in(call: Call, folder: str) -> Reply:
    """GET mailFolders/{id}/messages."""
    return message_list(call.request, folders.find(call, folder).messages.values(), call.site)


def get(call: Call, message: str, folder: str = "") -> Reply:
    """GET messages/{id}."""
    return _shown(call, find(call, message), 200)


def value(call: Call, message: str, folder: str = "") -> Reply:
    """GET messages/{id}/$value."""
    found = find(call, message)
    if not call.site.has(Behaviour.VALUE_IS_MIME):
        return Reply(200, found.parsed.body[1].encode(), {"Content-Type": "text/plain"})
    return Reply(200, mime_of(found), {"Content-Type": "text/plain"})


def patch(call: Call, message: str, folder: str = "") -> Reply:
    """PATCH messages/{id}.

    Not of drafts either: what changes what a draft says is not in use here.
    """
    found, body = find(call, message), call.request.json()
    for name in (name for name in body if not name.startswith("@odata.")):
        if name not in _CHANGES:
            if call.site.has(Behaviour.SENSITIVE_PROPERTIES):
                raise GraphError(403, "ErrorAccessDenied", f"{name} needs Mail-Advanced.ReadWrite.")
            continue
        if not _CHANGES[name](found, body[name]):
            raise bad_request("ErrorInvalidPropertySet", f"{name} cannot be {body[name]!r}.")
    call.mailbox.changed(found)
    return _shown(call, found, 200)


def move(call: Call, message: str, folder: str = "") -> Reply:
    """POST messages/{id}/move: 201, and the message under its new id."""
    found, target = find(call, message), _destination(call)
    keep = not call.site.has(Behaviour.MOVING_CHANGES_ID)
    if not call.site.has(Behaviour.IMMUTABLE_ID):
        call.mailbox.messages.pop(found.id)
        found.folder.messages.pop(found.id)
        found.id = f"{found.id[:-2]}{found.version % 90 + 10}"
        call.mailbox.messages[found.id] = found.folder.messages[found.id] = found
    call.mailbox.move(found, target, keep_id=keep)
    return _shown(call, found, 201)


def copy(call: Call, message: str, folder: str = "") -> Reply:
    """POST messages/{id}/copy: 201, and the copy."""
    found, target = find(call, message), _destination(call)
    if not call.site.has(Behaviour.COPY_IS_NEW):
        return _shown(call, found, 201)
    made = call.mailbox.add(target, found.base, found.received, is_draft=found.is_draft)
    made.is_read, made.flag, made.importance = found.is_read, found.flag, found.importance
    made.categories, made.added = list(found.categories), list(found.added)
    made.came_by_wire = found.came_by_wire
    return _shown(call, made, 201)


def delete(call: Call, message: str, folder: str = "") -> Reply:
    """DELETE messages/{id}: to Deleted Items, and from there for good."""
    found, bin_ = find(call, message), call.mailbox.folder("deleteditems")
    if found.folder is bin_ or found.is_draft or not call.site.has(Behaviour.DELETE_KEEPS):
        call.mailbox.remove(found)
    else:
        call.mailbox.move(found, bin_)
    return Reply(204)


def permanent_delete(call: Call, message: str, folder: str = "") -> Reply:
    """POST messages/{id}/permanentDelete."""
    call.mailbox.remove(find(call, message))
    return Reply(204)


def _destination(call: Call) -> Any:
    body = {name.lower(): value for name, value in call.request.json().items()}
    key = body.get("destinationid")
    if not isinstance(key, str):
        raise bad_request("ErrorInvalidArgument", "destinationId is needed.")
    return folders.find(call, key)


def _shown(call: Call, message: Message, status: int) -> Reply:
    context = f"{call.request.base}/v1.0/$metadata#users('x')/messages/$entity"
    shown = Projection(call.site, call.request).of(message)
    headers = {"Location": "here"} if status == 201 else {}
    return Reply(status, {"@odata.context": context, **shown}, headers)


def _set_read(message: Message, value: Any) -> bool:
    message.is_read = bool(value)
    return isinstance(value, bool)


def _set_categories(message: Message, value: Any) -> bool:
    message.categories = value
    return isinstance(value, list)


def _set_flag(message: Message, value: Any) -> bool:
    status = value.get("flagStatus") if isinstance(value, dict) else None
    message.flag = status or message.flag
    return status in {"notFlagged", "flagged", "complete"}


def _set_importance(message: Message, value: Any) -> bool:
    message.importance = value
    return value in {"low", "normal", "high"}


def _set_inference(message: Message, value: Any) -> bool:
    message.inference = value
    return value in {"focused", "other"}


_CHANGES = {
    "isRead": _set_read,
    "categories": _set_categories,
    "flag": _set_flag,
    "importance": _set_importance,
    "inferenceClassification": _set_inference,
}
