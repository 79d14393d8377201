"""A message of Graph's JSON as a MailSummary.

Graph: "message resource type". What the header says is read from the header itself, by the reader of all
protocols, so that a mail means the same wherever it lies; drafts and sent mails have none, and then Graph's
own properties are taken.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from airflow_email_conn.model.keywords import MAX_KEYWORDS
from airflow_email_conn.model.message import Address, MailRef, MailSummary
from airflow_email_conn.wire.graph.attachments import EXPAND, attachments, links
from airflow_email_conn.wire.graph.values import listed, mapping, moment, number, text
from airflow_email_conn.wire.mime import words
from airflow_email_conn.wire.mime.envelope import MAX_DEFECTS, Envelope, envelope, named
from airflow_email_conn.wire.mime.headers import MAX_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["BARE", "KEYWORDS", "STATE", "SUMMARY", "keywords", "state", "summary"]

# MAPI properties by type and number (Graph: "singleValueLegacyExtendedProperty"; [MS-OXPROPS]).
_SIZE: Final = "Integer 0xE08"  # PidTagMessageSize: in Exchange's store, about that of the mail on the wire
_LAST_VERB: Final = "Integer 0x1081"  # PidTagLastVerbExecuted ([MS-OXOMSG] 2.2.1.20)
_ANSWERED: Final = frozenset({102, 103})  # answered, to the sender or to all; 104 is forwarded
_PROPERTIES: Final = f"singleValueExtendedProperties($filter=id eq '{_SIZE}' or id eq '{_LAST_VERB}')"
_STATE: Final = "id,parentFolderId,receivedDateTime,isRead,flag,categories"

#: What is to be asked for to know that there is a mail, and when it came.
BARE: Final = {"$select": "id,receivedDateTime"}
#: The same to know its categories, and where it lies.
KEYWORDS: Final = {"$select": "id,parentFolderId,categories"}
#: The same to know a mail's state, and for its summary. The attachments come with every mail:
#: a summary always has them, `hasAttachments` does not tell of pictures in the text, and a request for each
#: mail would be a hundred in the place of one.
STATE: Final = {"$select": _STATE, "$expand": _PROPERTIES}
SUMMARY: Final = {
    "$select": (
        f"{_STATE},subject,from,toRecipients,ccRecipients,replyTo,sentDateTime,internetMessageId,"
        "internetMessageHeaders"
    ),
    "$expand": f"{EXPAND},{_PROPERTIES}",
}


def state(item: dict[str, Any]) -> dict[str, Any]:
    """What the server alone knows of a mail: received, flags and keywords, as a MailSummary has them."""
    return {
        "received": moment(item.get("receivedDateTime")),
        "seen": item.get("isRead") is True,
        "flagged": mapping(item.get("flag")).get("flagStatus") == "flagged",
        "answered": _property(item, _LAST_VERB) in _ANSWERED,
        "keywords": keywords(item),
    }


def keywords(item: dict[str, Any]) -> tuple[str, ...]:
    """The categories of a mail."""
    found = item.get("categories")
    told = [one for one in found if isinstance(one, str) and one] if isinstance(found, list) else []
    return tuple(told[:MAX_KEYWORDS])


def summary(item: dict[str, Any], folder: str, header_names: Iterable[str] = ()) -> MailSummary:
    """One message. Never raises: what is missing or of another type is left empty.

    :param folder: the name of the folder that it lies in.
    :param header_names: the fields that `headers` must have.
    """
    fields = _fields(item)
    head = envelope(fields) if fields else _from_properties(item)
    ref = MailRef(folder, text(item.get("id")), message_id=head.message_id)
    files = item.get("attachments")
    defects = (*head.defects, *links(files))
    return MailSummary(
        ref=ref,
        **head.summary(),
        **state(item),
        size=_property(item, _SIZE),
        attachments=attachments(files, ref),
        headers=named(fields, header_names),
        defects=tuple(dict.fromkeys(defects))[:MAX_DEFECTS],
    )


def _property(item: dict[str, Any], wanted: str) -> int:
    """An extended property; Graph may write its number in another way than it was asked for."""
    for one in listed(item.get("singleValueExtendedProperties")):
        if _same(text(one.get("id")), wanted):
            return number(one.get("value"))
    return 0


def _same(told: str, wanted: str) -> bool:
    kind, _, tag = told.partition(" ")
    try:
        return f"{kind} {int(tag[:10], 16):#x}".lower() == wanted.lower()
    except ValueError:
        return False


def _fields(item: dict[str, Any]) -> list[tuple[str, bytes]]:
    """The header, as `headers.split` gives it."""
    found = listed(item.get("internetMessageHeaders"))[:MAX_FIELDS]
    return [(text(field.get("name")), _unfolded(text(field.get("value")))) for field in found]


def _unfolded(value: str) -> bytes:
    if "\n" in value or "\r" in value or "\0" in value:
        value = value.replace("\r\n", "\n").replace("\n ", " ").replace("\n\t", "\t")
        value = value.translate(_SPACED)
    return value.strip().encode("utf-8", "replace")


_SPACED: Final = {ord(c): " " for c in "\r\n\0"}


def _from_properties(item: dict[str, Any]) -> Envelope:
    """The envelope as Exchange tells it."""
    blank = Envelope()
    senders = _addresses([item.get("from")])
    return replace(
        blank,
        subject=words.clean(text(item.get("subject"))),
        sender=senders[0] if senders else None,
        to=_addresses(item.get("toRecipients")),
        cc=_addresses(item.get("ccRecipients")),
        reply_to=_addresses(item.get("replyTo")),
        date=moment(item.get("sentDateTime")),
        message_id=text(item.get("internetMessageId")).strip() or None,
    )


def _addresses(recipients: Any) -> tuple[Address, ...]:
    """Graph: "recipient resource type"; the name of an address without one is the address again."""
    found = []
    for recipient in listed(recipients):
        told = mapping(recipient.get("emailAddress"))
        email, name = text(told.get("address")).strip(), words.clean(text(told.get("name"))).strip()
        if email or name:
            found.append(Address(email, "" if name.lower() == email.lower() else name))
    return tuple(found)
