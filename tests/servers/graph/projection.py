"""Messages, attachments and folders as JSON."""

from __future__ import annotations

import base64
import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from tests.servers.graph.behaviours import Behaviour
from tests.servers.graph.errors import bad_request
from tests.servers.graph.items import made_id

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from tests.servers.graph.call import Request
    from tests.servers.graph.items import Folder, Message
    from tests.servers.graph.mime import Attachment
    from tests.servers.graph.site import Site

__all__ = ["FROM_SAFE", "Projection", "attachment_json", "folder_json", "has_attachments", "stamp"]

#: What MAPI counts beside the MIME: names and formats of the store's own.
_STORE_OVERHEAD = 512
#: Ids that need no quoting, for a fake without `Behaviour.ID_NEEDS_QUOTING`.
TO_SAFE, FROM_SAFE = str.maketrans("+/=", "-_."), str.maketrans("-_.", "+/=")
_ID = r"id eq '[^']+'"
_EXTENDED = re.compile(rf"singleValueExtendedProperties\(\$filter=({_ID}(?: or {_ID})*)\)", re.IGNORECASE)
_EXPANDED_ATTACHMENTS = re.compile(r"attachments(?:\(\$select=([\w,./ ]+)\))?", re.IGNORECASE)


def stamp(when: datetime) -> str:
    """A time as Graph writes it: UTC, in whole seconds."""
    return when.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def has_attachments(message: Message, site: Site) -> bool:
    """Whether a message has attachments; pictures in its text do not count."""
    counted = message.attachments
    if site.has(Behaviour.INLINE_IS_NO_ATTACHMENT):
        counted = [attachment for attachment in counted if not attachment.is_inline]
    return bool(counted)


def _first(recipients: list[Any]) -> Any:
    return recipients[0] if recipients else None


def _sent(message: Message) -> str:
    date = message.parsed.date()
    try:
        return stamp(date or message.received)
    except (OverflowError, ValueError):
        return stamp(message.received)


def _body(message: Message, kind: str) -> dict[str, str]:
    has, content = message.parsed.body
    if kind == "text" and has == "html":
        has, content = "text", re.sub(r"<[^>]*>", "", content)
    return {"contentType": has, "content": content}


def _change_key(message: Message) -> str:
    return base64.b64encode(f"{message.id[-8:]}{message.version:08d}".encode()).decode("ascii")


_PROPERTIES: dict[str, Callable[[Message], Any]] = {
    "createdDateTime": lambda mail: stamp(mail.received),
    "lastModifiedDateTime": lambda mail: stamp(mail.changed),
    "changeKey": _change_key,
    "categories": lambda mail: list(mail.categories),
    "receivedDateTime": lambda mail: stamp(mail.received),
    "sentDateTime": _sent,
    "internetMessageId": lambda mail: mail.message_id,
    "subject": lambda mail: mail.parsed.text("Subject"),
    "bodyPreview": lambda mail: _body(mail, "text")["content"][:255],
    "importance": lambda mail: mail.importance,
    "parentFolderId": lambda mail: mail.folder.id,
    "conversationId": lambda mail: made_id("AAQk", mail.parsed.text("Subject")),
    "isDeliveryReceiptRequested": lambda _: False,
    "isReadReceiptRequested": lambda mail: bool(mail.parsed.text("Disposition-Notification-To")),
    "isRead": lambda mail: mail.is_read,
    "isDraft": lambda mail: mail.is_draft,
    "webLink": lambda mail: "https://outlook.example.test/owa/?ItemID=1",
    "inferenceClassification": lambda mail: mail.inference,
    "sender": lambda mail: _first(mail.parsed.addresses("Sender") or mail.parsed.addresses("From")),
    "from": lambda mail: _first(mail.parsed.addresses("From")),
    "toRecipients": lambda mail: mail.parsed.addresses("To"),
    "ccRecipients": lambda mail: mail.parsed.addresses("Cc"),
    "bccRecipients": lambda mail: mail.parsed.addresses("Bcc"),
    "replyTo": lambda mail: mail.parsed.addresses("Reply-To"),
    "flag": lambda mail: {"flagStatus": mail.flag},
}
#: Those that need more than the message, and those that come by $select only.
_OTHERS = {"id", "hasAttachments", "body", "uniqueBody", "internetMessageHeaders", "conversationIndex"}
_BY_SELECT_ONLY = {"uniqueBody", "internetMessageHeaders", "conversationIndex"}


class Projection:
    """What a request wants to know of messages.

    :param options: $select and $expand, where they are not the request's own.
    :raises GraphError: it asks for what there is not.
    """

    def __init__(self, site: Site, request: Request, options: Mapping[str, str] | None = None) -> None:
        self._site = site
        self._immutable = request.wants_immutable_ids and site.has(Behaviour.IMMUTABLE_ID)
        self._body_kind = request.preferences.get("outlook.body-content-type", "html")
        query = request.query if options is None else options
        self._names = self._selected(query.get("$select", ""))
        self._expand = query.get("$expand", "")
        self._extended = _EXTENDED.search(self._expand)
        self._attachments = _EXPANDED_ATTACHMENTS.search(self._expand)
        if self._expand and not self._extended and not self._attachments:
            raise bad_request("BadRequest", f"Could not find a property named '{self._expand}'.")

    def _selected(self, text: str) -> Collection[str]:
        known = {name.casefold(): name for name in (*_PROPERTIES, *_OTHERS)}
        usual = [name for name in known.values() if name not in _BY_SELECT_ONLY]
        if not self._site.has(Behaviour.HEADERS_BY_SELECT):
            usual.append("internetMessageHeaders")
        asked = [name.strip() for name in text.split(",") if name.strip()]
        for name in asked:
            if name.casefold() not in known and name != "singleValueExtendedProperties":
                raise bad_request("RequestBroker--ParseUri", f"Could not find a property named '{name}'.")
        if not asked or not self._site.has(Behaviour.SELECT):
            return usual
        return [known[name.casefold()] for name in asked if name.casefold() in known]

    def id_of(self, message: Message) -> str:
        """The id that the client asked for: immutable, or ordinary."""
        key = message.id if self._immutable else message.ordinary_id
        return key if self._site.has(Behaviour.ID_NEEDS_QUOTING) else key.translate(TO_SAFE)

    def of(self, message: Message) -> dict[str, Any]:
        """A message as JSON."""
        made: dict[str, Any] = {
            "@odata.etag": f'W/"{_change_key(message)}"',
            "id": self.id_of(message),
        }
        for name in self._names:
            if name in _PROPERTIES:
                made[name] = _PROPERTIES[name](message)
            elif name != "id":
                made.update(self._other(message, name))
        return made | self._expanded(message)

    def _other(self, message: Message, name: str) -> dict[str, Any]:
        if name == "hasAttachments":
            return {name: has_attachments(message, self._site)}
        if name in {"body", "uniqueBody"}:
            return {name: _body(message, self._body_kind)}
        if name == "conversationIndex":
            return {name: "AQHZ"}
        if message.came_by_wire or not self._site.has(Behaviour.UNSENT_WITHOUT_HEADERS):
            return {name: message.parsed.headers}
        return {}

    def _expanded(self, message: Message) -> dict[str, Any]:
        more: dict[str, Any] = {}
        if self._extended and self._site.has(Behaviour.SIZE_BY_PROPERTY):
            keys = re.findall("'([^']+)'", self._extended[1])
            found = [one for key in keys if (one := self._extended_property(message, key))]
            more |= {"singleValueExtendedProperties": found} if found else {}
        if self._attachments and self._site.has(Behaviour.EXPAND_ATTACHMENTS):
            select = self._attachments[1] or ""
            more["attachments"] = [
                attachment_json(attachment, self._site, select) for attachment in message.attachments
            ]
        return more

    def _extended_property(self, message: Message, key: str) -> dict[str, str] | None:
        kind, _, number = key.partition(" ")
        if kind.lower() == "integer" and number.lower() in {"0x0e08", "0xe08"}:
            overhead = _STORE_OVERHEAD if self._site.has(Behaviour.SIZE_OF_THE_STORE) else 0
            size = message.base.size + sum(one.content.size for one in message.added) + overhead
            return {"id": "Integer 0xe08", "value": str(size)}
        value = message.properties.get(key.casefold())
        return {"id": key, "value": value} if value else None


def attachment_json(
    attachment: Attachment, site: Site, select: str = "", *, with_item: bool = False
) -> dict[str, Any]:
    """An attachment as JSON.

    :param select: the names asked for; empty for all.
    :param with_item: what an item attachment is, too.
    """
    size = attachment.content.size
    made: dict[str, Any] = {
        "@odata.type": f"#microsoft.graph.{attachment.kind}Attachment",
        "@odata.mediaContentType": attachment.content_type,
        "id": attachment.id,
        "lastModifiedDateTime": "2026-01-01T00:00:00Z",
        "name": attachment.name,
        "contentType": attachment.content_type if attachment.kind == "file" else None,
        "size": size * 209 // 200 + 180 if site.has(Behaviour.ATTACHMENT_SIZE) else size,
        "isInline": attachment.is_inline,
    }
    names = {name.strip().rpartition("/")[2] for name in select.split(",") if name.strip()}
    if attachment.kind == "file":
        made |= {"contentId": attachment.content_id, "contentLocation": None}
        if not names or "contentBytes" in names:
            made["contentBytes"] = base64.b64encode(attachment.content.read()).decode("ascii")
    if with_item and attachment.kind == "item":
        made["item"] = {"@odata.type": f"#microsoft.graph.{attachment.item}", "subject": attachment.name}
    keep = {"id", *names}
    return {name: value for name, value in made.items() if not names or name in keep or name.startswith("@")}


def folder_json(folder: Folder) -> dict[str, Any]:
    """A folder as JSON; the root names itself as its parent."""
    return {
        "id": folder.id,
        "displayName": folder.name,
        "parentFolderId": (folder.parent or folder).id,
        "childFolderCount": sum(not child.hidden for child in folder.children),
        "unreadItemCount": sum(not message.is_read for message in folder.messages.values()),
        "totalItemCount": len(folder.messages),
        "isHidden": folder.hidden,
    }
