"""MIME as Exchange's store sees it: header fields, one body, attachments; by the standard library alone.

The package's own reader is not asked: what it reads wrong must not become right here.
"""

from __future__ import annotations

import email
import re
from dataclasses import dataclass, field
from datetime import timezone
from email.header import decode_header, make_header
from email.message import Message as Mime
from email.utils import getaddresses, parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from tests.servers.graph.blobs import Blob

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

__all__ = ["Attachment", "Parsed"]

_FOLD = re.compile(r"\r?\n(?=[ \t])")


@dataclass
class Attachment:
    """An attachment of a message.

    :param kind: ``file``, ``item`` or ``reference``.
    :param item: of an item: ``message``, ``event`` or ``contact``.
    :param url: of a reference.
    """

    name: str
    content: Blob
    content_type: str = "application/octet-stream"
    kind: str = "file"
    is_inline: bool = False
    content_id: str | None = None
    item: str = "message"
    url: str = ""
    id: str = ""


@dataclass
class Parsed:
    """What a mail says; read when it is first asked for."""

    raw: bytes = field(repr=False)

    def __post_init__(self) -> None:
        self._mime = email.message_from_bytes(self.raw)
        self._body: tuple[str, str] = ("text", "")
        # Filters ask for them again and again, of each of ten thousand mails.
        self._texts: dict[str, str] = {}
        self._recipients: dict[str, list[dict[str, dict[str, str]]]] = {}
        self.attachments = list(self._walk(self._mime, at_top=True))

    @property
    def headers(self) -> list[dict[str, str]]:
        """All header fields in order, unfolded, their words still encoded."""
        return [{"name": name, "value": self._unfolded(value)} for name, value in self._mime.raw_items()]

    @property
    def body(self) -> tuple[str, str]:
        """``text`` or ``html``, and the content."""
        return self._body

    def text(self, name: str) -> str:
        """A header field, decoded; empty when there is none."""
        if name not in self._texts:
            self._texts[name] = _decoded(self._unfolded(self._mime.get(name, "")))
        return self._texts[name]

    def addresses(self, name: str) -> list[dict[str, dict[str, str]]]:
        """The mailboxes of a header field, as recipients."""
        if name not in self._recipients:
            self._recipients[name] = self._read_addresses(name)
        return self._recipients[name]

    def _read_addresses(self, name: str) -> list[dict[str, dict[str, str]]]:
        values = [self._unfolded(value) for value in self._mime.get_all(name, [])]
        return [
            {"emailAddress": {"name": _decoded(shown) or address, "address": address}}
            for shown, address in getaddresses(values)
            if address
        ]

    def date(self) -> datetime | None:
        """The Date field; UTC where it names no zone."""
        try:
            date = parsedate_to_datetime(self._unfolded(self._mime.get("Date", "")))
        except (ValueError, TypeError):
            return None
        return date if date.tzinfo else date.replace(tzinfo=timezone.utc)

    @staticmethod
    def _unfolded(value: Any) -> str:
        text = _FOLD.sub("", str(value))
        return text.encode("ascii", "surrogateescape").decode("utf-8", "replace") if _is_raw(text) else text

    def _walk(self, part: Mime, *, at_top: bool = False) -> Iterator[Attachment]:
        if part.get_content_type() == "message/rfc822":
            yield _item(part)
        elif part.is_multipart():
            for child in part.get_payload():
                if isinstance(child, Mime):
                    yield from self._walk(child)
        elif not self._takes_as_body(part) and (not at_top or _names_file(part)):
            yield _file(part)

    def _takes_as_body(self, part: Mime) -> bool:
        kind = {"text/plain": "text", "text/html": "html"}.get(part.get_content_type())
        if kind is None or _names_file(part):
            return False
        has_text, has_html = bool(self._body[1]), self._body[0] == "html"
        if has_text and (has_html or kind == "text"):
            return False
        self._body = (kind, _text_of(part))
        return True


def _is_raw(text: str) -> bool:
    return any("\udc80" <= char <= "\udcff" for char in text)


def _decoded(text: str) -> str:
    try:
        return str(make_header(decode_header(text)))
    except (ValueError, LookupError):
        return text


def _names_file(part: Mime) -> bool:
    return part.get_content_disposition() == "attachment" or part.get_filename() is not None


def _content(part: Mime) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _text_of(part: Mime) -> str:
    try:
        return _content(part).decode(part.get_content_charset() or "utf-8", "replace")
    except LookupError:
        return _content(part).decode("latin-1")


def _file(part: Mime) -> Attachment:
    content_id = str(part.get("Content-ID", "")).strip().strip("<>") or None
    return Attachment(
        name=_decoded(part.get_filename() or "") or "Untitled attachment",
        content=Blob([_content(part)]),
        content_type=part.get_content_type(),
        is_inline=part.get_content_disposition() == "inline" or _is_related(part, content_id),
        content_id=content_id,
    )


def _is_related(part: Mime, content_id: str | None) -> bool:
    return content_id is not None and part.get_content_disposition() is None


def _item(part: Mime) -> Attachment:
    payload = part.get_payload()
    inner = payload[0] if isinstance(payload, list) and payload else Mime()
    assert isinstance(inner, Mime)
    subject = _decoded(Parsed._unfolded(inner.get("Subject", "")))
    return Attachment(subject or "Untitled", Blob([inner.as_bytes()]), "message/rfc822", kind="item")
