"""Sending: sendMail, drafts and their way out, and what the recipients get."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime, timezone
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from typing import TYPE_CHECKING, Any

from tests.servers.graph import folders, messages
from tests.servers.graph.behaviours import Behaviour
from tests.servers.graph.blobs import Blob
from tests.servers.graph.call import Reply
from tests.servers.graph.errors import GraphError, bad_request
from tests.servers.graph.mime import Parsed
from tests.servers.graph.outgoing import mime_from_json, without_bcc
from tests.servers.graph.projection import Projection
from tests.servers.graph.site import Sent

if TYPE_CHECKING:
    from tests.servers.graph.call import Call
    from tests.servers.graph.items import Message
    from tests.servers.graph.mailbox import Mailbox

__all__ = ["create_draft", "send_draft", "send_mail"]


def send_mail(call: Call) -> Reply:
    """POST sendMail, with MIME or JSON."""
    keep = True
    if call.request.is_mime:
        raw = _decoded(call)
    else:
        body = {name.lower(): value for name, value in call.request.json().items()}
        if not isinstance(body.get("message"), dict):
            raise bad_request("ErrorInvalidArgument", "Message is needed.")
        raw = mime_from_json(body["message"], call.site)
        keep = body.get("savetosentitems", True) or not call.site.has(Behaviour.SAVE_TO_SENT_ITEMS)
    drafted = call.mailbox.add(call.mailbox.folder("outbox"), Blob([_complete(call, raw)]), is_draft=True)
    try:
        _accept(call, drafted)
    except GraphError:
        call.mailbox.remove(drafted)
        raise
    _leave(call, drafted, keep=keep)
    return Reply(202) if call.site.has(Behaviour.SEND_ACCEPTS) else Reply(200, {"id": drafted.id})


def create_draft(call: Call, folder: str = "drafts") -> Reply:
    """POST messages, or mailFolders/{id}/messages: a draft of MIME or JSON."""
    given: dict[str, Any] = {}
    if call.request.is_mime:
        raw = _decoded(call)
    else:
        given = call.request.json()
        raw = mime_from_json(given, call.site)
    made = call.mailbox.add(folders.find(call, folder), Blob([_complete(call, raw)]), is_draft=True)
    made.is_read = True
    for extended in given.get("singleValueExtendedProperties") or []:
        made.properties[extended["id"].casefold()] = extended["value"]
    context = f"{call.request.base}/v1.0/$metadata#users('x')/messages/$entity"
    shown = Projection(call.site, call.request).of(made)
    return Reply(201, {"@odata.context": context, **shown}, {"Location": "here"})


def send_draft(call: Call, message: str, folder: str = "") -> Reply:
    """POST messages/{id}/send."""
    found = messages.find(call, message)
    if not found.is_draft and call.site.has(Behaviour.SEND_DRAFTS_ONLY):
        raise bad_request("ErrorInvalidRequest", "The message has been sent before.")
    _accept(call, found)
    call.mailbox.move(found, call.mailbox.folder("outbox"))
    _leave(call, found, keep=True)
    return Reply(202)


def _decoded(call: Call) -> bytes:
    """The MIME in a body of base64; white space between the characters does not matter."""
    try:
        return base64.b64decode(b"".join(call.request.body.split()), validate=True)
    except binascii.Error:
        if not call.site.has(Behaviour.MIME_IN_BASE64):
            return call.request.body
        raise bad_request(
            "ErrorMimeContentInvalidBase64String", "Invalid base64 string for MIME content."
        ) from None


def _complete(call: Call, raw: bytes) -> bytes:
    """The MIME with what a mail has to have."""
    parsed, extra = Parsed(raw), ""
    if not parsed.addresses("From"):
        extra += f"From: <{call.mailbox.address}>\r\n"
    if not parsed.text("Message-ID"):
        extra += f"Message-ID: {make_msgid(domain='made.example.test')}\r\n"
    if not parsed.text("Date"):
        extra += f"Date: {format_datetime(datetime.now(timezone.utc))}\r\n"
    return extra.encode() + raw


def _addresses(message: Message, *names: str) -> list[str]:
    found = [one["emailAddress"]["address"] for name in names for one in message.parsed.addresses(name)]
    return list(dict.fromkeys(found))


def _accept(call: Call, message: Message) -> None:
    """Deliver to whoever is here.

    :raises GraphError: the sender may not, or nobody is to get it.
    """
    mailbox = call.mailbox
    own = {mailbox.address.casefold(), *map(str.casefold, mailbox.send_as)}
    senders = {address.casefold() for address in _addresses(message, "From")}
    if not senders <= own and call.site.has(Behaviour.SEND_AS_DENIED):
        raise GraphError(
            403,
            "ErrorSendAsDenied",
            "The user account which was used to submit this request does not have the right to send mail on"
            " behalf of the specified sending account., Cannot submit message.",
        )
    recipients = _addresses(message, "To", "Cc", "Bcc")
    if not recipients and call.site.has(Behaviour.RECIPIENTS_NEEDED):
        raise bad_request("ErrorInvalidRecipients", "At least one recipient isn't valid.")
    call.site.sent.append(Sent(mailbox.address, tuple(recipients), message.message_id))
    shown = _delivered(call, message)
    for recipient in recipients:
        there = call.site.mailboxes.get(recipient.casefold())
        if there:
            made = there.add(there.folder("inbox"), shown)
            made.added = list(message.added)
        elif recipient.rpartition("@")[2] == mailbox.address.rpartition("@")[2]:
            _report(call, mailbox, recipient)


def _delivered(call: Call, message: Message) -> Blob:
    if not call.site.has(Behaviour.BCC_IS_STRIPPED):
        return message.base
    when = format_datetime(datetime.now(timezone.utc))
    return without_bcc(message.base, f"Received: from fake by fake with Graph; {when}\r\n")


def _report(call: Call, mailbox: Mailbox, recipient: str) -> None:
    """Tell the sender of an address nobody has; those of other domains are not looked at."""
    if not call.site.has(Behaviour.UNDELIVERABLE):
        return
    report = EmailMessage(policy=SMTP)
    report["From"] = f"MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@{recipient.rpartition('@')[2]}"
    report["To"] = mailbox.address
    report["Subject"] = "Undeliverable"
    report["Message-ID"] = make_msgid(domain="made.example.test")
    report.set_content(f"{recipient}: 550 5.1.10 RESOLVER.ADR.RecipientNotFound")
    mailbox.add(mailbox.folder("inbox"), Blob([report.as_bytes()]))


def _leave(call: Call, message: Message, *, keep: bool) -> None:
    """Let it lie in the Outbox for a while; then it is in Sent Items, or nowhere."""
    mailbox = call.mailbox

    def arrive() -> None:
        if message.id not in mailbox.messages:
            return
        if not keep:
            mailbox.remove(message)
            return
        message.is_draft, message.came_by_wire, message.is_read = False, False, True
        mailbox.move(message, mailbox.folder("sentitems"))
        if not call.site.has(Behaviour.SEND_DRAFT):
            mailbox.add(mailbox.folder("sentitems"), message.base)
            mailbox.remove(message)

    if call.site.has(Behaviour.SENT_ITEMS_LATER):
        call.site.later(call.site.sent_delay, arrive)
    else:
        arrive()
