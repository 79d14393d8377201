"""The header of a mail and its envelope, from a draft (RFC 5322 3.6)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_email_conn.errors import DraftError
from airflow_email_conn.wire.compose.fields import (
    MAX_TEXT,
    address_field,
    check_message_id,
    check_text,
    text_field,
    token_field,
)
from airflow_email_conn.wire.compose.recipients import (
    MAX_RECIPIENTS,
    needs_utf8,
    parse_address,
    parse_addresses,
    unique,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_email_conn.model.draft import Draft
    from airflow_email_conn.model.message import Address

__all__ = ["Letterhead", "sender_of"]

_MAX_HEADER = 256 * 1024  # bytes of all fields; Exchange Online takes no more
_MAX_REFERENCES = 1000
_FIELD_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,76}")
_LONGEST_WORD = 800  # a URL in List-Unsubscribe is not to be encoded

# Fields that are not for `headers`, with what to use instead.
_RESERVED = {
    "from": "use sender",
    "to": "use to",
    "cc": "use cc",
    "bcc": "use bcc",
    "subject": "use subject",
    "reply-to": "use reply_to",
    "in-reply-to": "use in_reply_to",
    "references": "use references",
    "message-id": "use message_id",
    "sender": "use sender",
    "date": "it is the time of sending",
    "mime-version": "it is always there",
}
_RESERVED_PREFIXES = {
    "content-": "use text, html, attachments or inline",
    "resent-": "only a forwarding mail server writes it",
    "received": "only mail servers write it",
    "return-path": "only mail servers write it",
    "dkim-": "only mail servers write it",
    "arc-": "only mail servers write it",
    "authentication-results": "only mail servers write it",
}


@dataclass(frozen=True, slots=True)
class Letterhead:
    """Header fields and envelope.

    :param fields: all fields but the Content-* ones, each ended by CRLF.
    :param sender: envelope sender.
    :param recipients: envelope recipients, each once.
    :param message_id: with angle brackets.
    :param utf8_address: field and address of the first local part that is not ASCII; or None.
    """

    fields: bytes
    sender: str
    recipients: tuple[str, ...]
    message_id: str
    utf8_address: tuple[str, str] | None

    @classmethod
    def of(
        cls, draft: Draft, *, sender: str, date: str, message_id: str, by_header: bool = False
    ) -> Letterhead:
        """Header and envelope of a draft.

        :param date: as in the Date field.
        :param by_header: there is no envelope, so that Bcc stands in the header.
        :raises DraftError: names the field.
        """
        people = _people(draft, sender)
        recipients = unique(a for name in ("to", "cc", "bcc") for a in people[name])
        if not recipients:
            raise DraftError("to: the mail has no recipient; fill in to, cc or bcc")
        if len(recipients) > MAX_RECIPIENTS:
            raise DraftError(f"to, cc and bcc: more than {MAX_RECIPIENTS} recipients; split the mail")
        identity = check_message_id("message_id", draft.message_id or message_id)
        fields = b"".join(_fields(draft, people, date, identity, by_header=by_header))
        if len(fields) > _MAX_HEADER:
            raise DraftError(f"to, headers: the header has {len(fields)} bytes; at most {_MAX_HEADER}")
        return cls(fields, people["sender"][0].email, recipients, identity, _utf8_address(people))


def sender_of(draft: Draft, default: str) -> Address:
    """The From address: the draft's, else the connection's. :raises DraftError:"""
    if draft.sender:
        return parse_address("sender", draft.sender)
    if not default:
        raise DraftError(
            "sender: neither the mail nor the connection says from whom; fill in from_address there"
        )
    return parse_address("from_address", default)


def _people(draft: Draft, sender: str) -> dict[str, tuple[Address, ...]]:
    return {
        "sender": (sender_of(draft, sender),),
        "to": parse_addresses("to", draft.to),
        "cc": parse_addresses("cc", draft.cc),
        "bcc": parse_addresses("bcc", draft.bcc),
        "reply_to": parse_addresses("reply_to", draft.reply_to),
    }


def _utf8_address(people: dict[str, tuple[Address, ...]]) -> tuple[str, str] | None:
    for field, addresses in people.items():
        for address in addresses:
            if needs_utf8(address.email):
                return field, address.email
    return None


def _fields(
    draft: Draft, people: dict[str, tuple[Address, ...]], date: str, message_id: str, *, by_header: bool
) -> Iterator[bytes]:
    """Bcc only where there is no envelope: who is in it learns of the mail by that."""
    yield address_field("From", people["sender"])
    if people["to"]:
        yield address_field("To", people["to"])
    elif not people["cc"]:
        yield b"To: undisclosed-recipients:;\r\n"  # a mail without To and Cc looks like spam to filters
    if people["cc"]:
        yield address_field("Cc", people["cc"])
    if people["bcc"] and by_header:
        yield address_field("Bcc", people["bcc"])
    if people["reply_to"]:
        yield address_field("Reply-To", people["reply_to"])
    yield text_field("Subject", check_text("subject", draft.subject, longest=MAX_TEXT))
    yield token_field("Date", [date])
    yield token_field("Message-ID", [message_id])
    yield from _thread(draft)
    for name, value in draft.headers.items():
        yield _custom(name, value)
    yield b"MIME-Version: 1.0\r\n"


def _thread(draft: Draft) -> Iterator[bytes]:
    """In-Reply-To, and References that end with the mail that is answered (RFC 5322 3.6.4)."""
    given = draft.references
    texts = [given] if isinstance(given, str) else list(given)
    ids = [
        check_message_id("references", i) for text in texts for i in check_text("references", text).split()
    ]
    if draft.in_reply_to:
        answered = check_message_id("in_reply_to", draft.in_reply_to)
        yield token_field("In-Reply-To", [answered])
        ids = [*(i for i in ids if i != answered), answered]
    if len(ids) > _MAX_REFERENCES:
        raise DraftError(f"references: more than {_MAX_REFERENCES} Message-IDs")
    if ids:
        yield token_field("References", ids)


def _custom(name: str, value: str) -> bytes:
    if not _FIELD_NAME.fullmatch(check_text("headers: name", name)):
        raise DraftError(f"headers: {name[:100]!a} is not the name of a header field")
    folded = name.lower()
    prefixed = (mend for prefix, mend in _RESERVED_PREFIXES.items() if folded.startswith(prefix))
    mend = _RESERVED.get(folded) or next(prefixed, "")
    if mend:
        raise DraftError(f"headers: {name} cannot be set here: {mend}")
    return text_field(
        name, check_text(f"headers: {name}", value, longest=MAX_TEXT), longest_word=_LONGEST_WORD
    )
