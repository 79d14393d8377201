"""Mail as values: what a search yields, what a fetch gives, and how it travels through XCom.

All of it is frozen and turns into JSON and back (`as_dict`, `from_dict`) without loss.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Address", "Attachment", "Mail", "MailRef", "MailSummary"]


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox of an address header (RFC 5322 3.4).

    :param email: `local@domain` as written; empty when the header held none that can be parsed.
    :param name: the decoded display name, or empty.
    """

    email: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>" if self.name and self.email else self.name or self.email

    @property
    def domain(self) -> str:
        """The part after the last `@`, in lower case; empty without one."""
        return self.email.rpartition("@")[2].lower() if "@" in self.email else ""


@dataclass(frozen=True, slots=True)
class MailRef:
    """Where a mail lies, for as long as it lies there: its identity.

    :param folder: the folder's name, decoded, with the server's own hierarchy delimiter.
    :param uid: IMAP UID, POP3 UIDL or Graph immutable id.
    :param validity: IMAP UIDVALIDITY, without which a UID means nothing (RFC 9051 2.3.1.1); else empty.
    :param message_id: the Message-ID header, for people and logs: it takes no part in the identity.
    """

    folder: str
    uid: str
    validity: str = ""
    message_id: str | None = field(default=None, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> MailRef:
        """Inverse of `as_dict`. :raises KeyError, TypeError: not such a form."""
        return cls(str(data["folder"]), str(data["uid"]), str(data["validity"]), data.get("message_id"))


@dataclass(frozen=True, slots=True)
class Attachment:
    """One part of a mail that is a file, not text to be read.

    :param ref: the mail it belongs to.
    :param part: where it lies in the mail: the IMAP part number, such as `2` or `1.2` (RFC 9051 6.4.5.1).
    :param name: decoded file name as the sender wrote it: NOT safe as a path; never empty.
    :param content_type: `type/subtype` in lower case.
    :param size: bytes of the decoded file; before it is fetched an estimate from its encoded size.
    :param inline: part of the displayed text, such as a picture in HTML.
    :param content_id: what `cid:` links in the HTML name it by, without angle brackets; or empty.
    :param encoding: the Content-Transfer-Encoding it travels in, lower case (RFC 2045 6).
    """

    ref: MailRef
    part: str
    name: str
    content_type: str
    size: int
    inline: bool = False
    content_id: str = ""
    encoding: str = "7bit"

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "ref"} | {
            "ref": self.ref.as_dict()
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Attachment:
        """Inverse of `as_dict`. :raises KeyError, TypeError: not such a form."""
        return cls(**{**data, "ref": MailRef.from_dict(data["ref"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSummary:
    r"""What a search yields: the envelope and the list of attachments, no bodies.

    :param date: the Date header with its zone; None where it has none that can be understood.
    :param received: when the server took the mail in (IMAP INTERNALDATE); None where it does not say.
    :param size: bytes of the whole mail on the wire.
    :param in_reply_to: Message-IDs in order, as `references`; with angle brackets.
    :param answered: somebody answered it, as far as the server knows (IMAP `\Answered`).
    :param keywords: labels that people or programs gave it: IMAP's keywords (RFC 9051 2.3.2), Outlook's
        categories; as written, in the server's order.
    :param automatic: a program or a mailing list sent it, as it says itself (RFC 3834); not to be answered.
    :param headers: the header fields that the query asked for, in order, decoded: (name as written, value);
        in a Mail every one.
    :param defects: what was wrong with the mail and how it was read nevertheless, one line each.
    """

    ref: MailRef
    subject: str = ""
    sender: Address | None = None
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    date: datetime | None = None
    received: datetime | None = None
    size: int = 0
    seen: bool = False
    flagged: bool = False
    answered: bool = False
    keywords: tuple[str, ...] = ()
    in_reply_to: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    automatic: bool = False
    attachments: tuple[Attachment, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    defects: tuple[str, ...] = ()

    @property
    def message_id(self) -> str | None:
        """The Message-ID header with angle brackets, or None."""
        return self.ref.message_id

    def header(self, name: str) -> str | None:
        """The first header of that name, in any case of letters; None without one."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    def as_dict(self) -> dict[str, Any]:
        """JSON form: times in ISO 8601, addresses as {email, name}."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> MailSummary:
        """Inverse of `as_dict`. :raises KeyError, TypeError, ValueError: not such a form."""
        return cls(**_revived(data))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail(MailSummary):
    """The whole mail, decoded.

    :param text: the plain text to be read; empty where there is none.
    :param html: the HTML to be read; empty where there is none. As the sender wrote it: not safe to show.
    """

    text: str = ""
    html: str = ""

    def summary(self, header_names: Iterable[str] = ()) -> MailSummary:
        """As a search yields it, with the header fields of these names."""
        keys = frozenset(name.lower() for name in header_names)
        values = {f.name: getattr(self, f.name) for f in fields(MailSummary)}
        values["headers"] = tuple([item for item in self.headers if item[0].lower() in keys])
        return MailSummary(**values)

    def as_dict(self) -> dict[str, Any]:
        """JSON form. Holds the whole text: not for XCom."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Mail:
        """Inverse of `as_dict`. :raises KeyError, TypeError, ValueError: not such a form."""
        return cls(**_revived(data))


def _plain(value: Any) -> Any:
    """One field as JSON."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Address):
        return {"email": value.email, "name": value.name}
    if isinstance(value, MailRef | Attachment):
        return value.as_dict()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _revived(data: dict[str, Any]) -> dict[str, Any]:
    """The fields of a summary from their JSON forms."""
    out = dict(data)
    out["ref"] = MailRef.from_dict(data["ref"])
    out["sender"] = Address(**data["sender"]) if data.get("sender") else None
    for name in ("to", "cc", "reply_to"):
        out[name] = tuple(Address(**item) for item in data.get(name) or ())
    for name in ("date", "received"):
        out[name] = datetime.fromisoformat(data[name]) if data.get(name) else None
    for name in ("keywords", "in_reply_to", "references", "defects"):
        out[name] = tuple(data.get(name) or ())
    out["headers"] = tuple((name, value) for name, value in data.get("headers") or ())
    out["attachments"] = tuple(Attachment.from_dict(item) for item in data.get("attachments") or ())
    return out
