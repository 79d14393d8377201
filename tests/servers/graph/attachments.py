"""Requests about attachments."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from tests.servers.graph import messages
from tests.servers.graph.behaviours import Behaviour
from tests.servers.graph.blobs import Blob
from tests.servers.graph.call import Reply
from tests.servers.graph.errors import GraphError, bad_request, not_found
from tests.servers.graph.mime import Attachment
from tests.servers.graph.pages import listed, page_of
from tests.servers.graph.projection import attachment_json

if TYPE_CHECKING:
    from tests.servers.graph.call import Call
    from tests.servers.graph.items import Message

__all__ = ["SMALL", "add", "get", "list_of", "remove", "value"]

#: From here on an attachment needs an upload session.
SMALL = 3_000_000
_VALUE_TYPES = {"message": "text/plain", "event": "text/calendar", "contact": "text/vcard"}


def _find(message: Message, key: str) -> Attachment:
    for attachment in message.attachments:
        if attachment.id == key:
            return attachment
    raise not_found()


def list_of(call: Call, message: str, folder: str = "") -> Reply:
    """GET messages/{id}/attachments."""
    found = messages.find(call, message).attachments
    page, link = page_of(call.request, found, call.site, usual=1000)
    select = call.request.query.get("$select", "")
    return listed(
        call.request,
        [attachment_json(attachment, call.site, select) for attachment in page],
        "users('x')/messages('y')/attachments",
        link,
    )


def get(call: Call, message: str, attachment: str, folder: str = "") -> Reply:
    """GET messages/{id}/attachments/{id}."""
    found = _find(messages.find(call, message), attachment)
    query = call.request.query
    with_item = "itemattachment/item" in query.get("$expand", "").lower()
    return Reply(200, attachment_json(found, call.site, query.get("$select", ""), with_item=with_item))


def value(call: Call, message: str, attachment: str, folder: str = "") -> Reply:
    """GET messages/{id}/attachments/{id}/$value: what it is, in a stream."""
    found = _find(messages.find(call, message), attachment)
    if found.kind == "reference":
        if call.site.has(Behaviour.REFERENCE_HAS_NO_VALUE):
            raise GraphError(405, "BadRequest", "A reference attachment has no value.")
        return Reply(200, found.url.encode(), {"Content-Type": "text/plain"})
    content_type = found.content_type if found.kind == "file" else _VALUE_TYPES[found.item]
    if not call.site.has(Behaviour.ATTACHMENT_VALUE):
        return Reply(200, base64.b64encode(found.content.read()), {"Content-Type": "text/plain"})
    return Reply(200, found.content.pieces(), {"Content-Type": content_type})


def add(call: Call, message: str, folder: str = "") -> Reply:
    """POST messages/{id}/attachments: a small file."""
    found, body = messages.find(call, message), call.request.json()
    if body.get("@odata.type") != "#microsoft.graph.fileAttachment":
        raise bad_request("ErrorInvalidArgument", "Only file attachments can be added here.")
    try:
        content = base64.b64decode(body["contentBytes"], validate=True)
    except (KeyError, TypeError, binascii.Error):
        raise bad_request("ErrorInvalidArgument", "contentBytes is no base64.") from None
    if len(content) >= SMALL and call.site.has(Behaviour.ATTACH_MAXIMUM):
        raise GraphError(413, "ErrorMessageSizeExceeded", "The attachment is too large for one request.")
    made = Attachment(
        body.get("name", ""),
        Blob([content]),
        body.get("contentType") or "application/octet-stream",
        is_inline=bool(body.get("isInline")),
        content_id=body.get("contentId"),
    )
    found.added.append(made)
    call.mailbox.changed(found)
    assert found.attachments[-1] is made
    return Reply(201, attachment_json(made, call.site))


def remove(call: Call, message: str, attachment: str, folder: str = "") -> Reply:
    """DELETE messages/{id}/attachments/{id}: of what came later only."""
    found = messages.find(call, message)
    found.added.remove(_find(found, attachment))
    call.mailbox.changed(found)
    return Reply(204)
