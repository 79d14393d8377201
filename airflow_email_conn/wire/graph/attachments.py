"""The attachments of a message, from Graph's JSON: files, items of Outlook as files, and links.

Graph: "List attachments", "Get attachment" (an item comes as MIME, iCalendar or vCard).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from airflow_email_conn.model.message import Attachment, MailRef
from airflow_email_conn.wire.graph.values import listed, mapping, number, text
from airflow_email_conn.wire.mime import words

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["EXPAND", "ITEM", "attachments", "links", "of_item"]

# Without `contentBytes`, which would be the files themselves.
EXPAND: Final = (
    "attachments($select=id,name,contentType,size,isInline,microsoft.graph.fileAttachment/contentId)"
)
#: How to ask for one attachment so that it tells what item it is: a list does not.
ITEM: Final = {"$expand": "microsoft.graph.itemAttachment/item"}
_NAME_LIMIT: Final = 200  # characters of a name made from a subject; file systems take 255 bytes
# What an item becomes as a file, by its type in Graph.
_ITEMS: Final = {
    "#microsoft.graph.message": ("message/rfc822", ".eml"),
    "#microsoft.graph.event": ("text/calendar", ".ics"),
    "#microsoft.graph.contact": ("text/vcard", ".vcf"),
}


def attachments(items: Any, ref: MailRef) -> tuple[Attachment, ...]:
    """The files among them, in order; their `part` is Graph's id.

    Of an item nothing tells which kind it is, so it has no type and no ending yet: see `of_item`.
    """
    return tuple(_attachment(item, ref) for item in listed(items) if _kind(item) != "referenceAttachment")


def links(items: Any) -> Iterable[str]:
    """A line for each that is no file but a link to one elsewhere, such as in OneDrive."""
    for item in listed(items):
        if _kind(item) == "referenceAttachment":
            name = words.clean(text(item.get("name")))[:_NAME_LIMIT] or "without a name"
            yield f"the attachment {name!r} is a link to a file elsewhere: it cannot be saved"


def _kind(item: dict[str, Any]) -> str:
    return text(item.get("@odata.type")).rpartition(".")[2]


def _attachment(item: dict[str, Any], ref: MailRef) -> Attachment:
    is_item = _kind(item) == "itemAttachment"
    name = words.clean(text(item.get("name"))).strip()
    return Attachment(
        ref=ref,
        part=text(item.get("id")),
        name=name or ("attachment" if is_item else "attachment.bin"),
        content_type="" if is_item else _of_file(item),
        size=number(item.get("size")),
        inline=item.get("isInline") is True,
        content_id=text(item.get("contentId")).strip("<>"),
        encoding="binary",
    )


def _of_file(item: dict[str, Any]) -> str:
    return text(item.get("contentType")).partition(";")[0].strip().lower() or "application/octet-stream"


def of_item(attachment: Attachment, item: dict[str, Any]) -> Attachment:
    """An item as the file that it is saved as.

    :param item: the attachment, as `ITEM` asks for it.
    """
    told = text(mapping(item.get("item")).get("@odata.type"))
    content_type, ending = _ITEMS.get(told, _ITEMS["#microsoft.graph.message"])
    name = attachment.name.removesuffix(ending)[:_NAME_LIMIT].rstrip() + ending
    return replace(attachment, name=name, content_type=content_type)
