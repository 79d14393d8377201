"""A mail to be sent, and what became of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import IO, Any, Protocol, TypeAlias, runtime_checkable

__all__ = ["Content", "Draft", "File", "Refusal", "SendReceipt", "unfolded"]


@runtime_checkable
class File(Protocol):
    """A file that can be attached: `pathlib.Path` and Airflow's `ObjectStoragePath` both fit."""

    @property
    def name(self) -> str:
        """The last part of the path: the attachment's name."""
        ...

    def open(self, mode: str) -> IO[Any]:
        """Open for reading in mode `rb`."""
        ...


@dataclass(frozen=True, slots=True)
class Content:
    """An attachment that is in memory.

    :param name: file name that the recipient sees.
    :param data: its bytes; text is sent as UTF-8.
    :param content_type: `type/subtype`; guessed from the name when empty.
    """

    name: str
    data: bytes | str = field(repr=False)
    content_type: str = ""


Addresses: TypeAlias = "str | Iterable[str]"
Attachable: TypeAlias = "str | File | Content"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A mail to be sent. The same Draft goes out by SMTP and by Microsoft 365.

    :param to: addresses (`a@b.c` or `Name <a@b.c>`), as a list or in one string separated by commas.
    :param text: plain text.
    :param html: HTML; together with `text` they become alternatives of each other (RFC 2046 5.1.4).
    :param sender: the From address; the connection's when empty.
    :param bcc: recipients that no header names.
    :param attachments: paths, file objects with `name` and `open`, or `Content`.
    :param inline: Content-ID to picture, for `<img src="cid:...">` in `html` (RFC 2392).
    :param headers: more headers; those that this class has a field for are refused.
    :param in_reply_to: the Message-ID of the mail that this one answers; also continues its thread.
    :param references: Message-IDs of the thread before that mail (RFC 5322 3.6.4).
    :param message_id: made anew when empty; give one to make a repeated send recognisable.
    """

    to: Addresses = ()
    subject: str = ""
    text: str = ""
    html: str = ""
    sender: str = ""
    cc: Addresses = ()
    bcc: Addresses = ()
    reply_to: Addresses = ()
    attachments: Iterable[Attachable] = ()
    inline: Mapping[str, Attachable] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    in_reply_to: str = ""
    references: Iterable[str] = ()
    message_id: str = ""

    def __post_init__(self) -> None:
        # A generator could be read once only: checking a draft would leave nothing for sending it.
        for name in ("to", "cc", "bcc", "reply_to", "attachments", "references"):
            object.__setattr__(self, name, _several(getattr(self, name)))
        for name in ("inline", "headers"):
            object.__setattr__(self, name, {} if getattr(self, name) is None else getattr(self, name))


_SPACE = re.compile(r"[ \t\r\n]+")


def unfolded(addresses: Any) -> Any:
    """Addresses that stand one a line in one text (a Variable, YAML), in one line; anything else as it is.

    A line end anywhere but beside a separator stays, and is refused when the mail is composed.
    """
    if not isinstance(addresses, str):
        return addresses
    return _SPACE.sub(_beside_no_separator, addresses.strip(" \t\r\n"))


def _beside_no_separator(space: re.Match[str]) -> str:
    text = space.string
    return "" if text[space.start() - 1] in ",;" or text[space.end()] in ",;" else space[0]


def _several(value: Any) -> Any:
    """One value as it is, or for an attachment in a tuple; several as a tuple; wrong ones as they are."""
    if value is None:
        return ()
    if isinstance(value, Content | File | PathLike):
        return (value,)
    if isinstance(value, str) or not isinstance(value, Iterable):
        return value
    return tuple(value)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one recipient was refused.

    :param code: SMTP reply code; 4xx is temporary, 5xx final (RFC 5321 4.2.1).
    :param reason: the server's text, cleaned and cut.
    """

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class SendReceipt:
    """What the server said: it took the mail for these recipients, and for those not.

    :param message_id: of the mail as it went out, with angle brackets.
    :param accepted: addresses the server accepted the mail for.
    :param refused: address to refusal; empty when all were accepted.
    """

    message_id: str
    accepted: tuple[str, ...] = ()
    refused: Mapping[str, Refusal] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "message_id": self.message_id,
            "accepted": list(self.accepted),
            "refused": {
                address: {"code": refusal.code, "reason": refusal.reason}
                for address, refusal in self.refused.items()
            },
        }
