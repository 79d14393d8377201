"""The tree of a mail's parts, and what in it is text to read and what is a file.

The tree comes from a server's BODYSTRUCTURE or from the bytes of a mail (`cutter.py`); the rules are the same
for both, so that a mail has the same attachments whichever way it was read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_email_conn.model.message import Attachment, MailRef
from airflow_email_conn.wire.mime import words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Part", "attachment", "attachments", "estimated_size", "find", "is_text", "leaves", "readable"]

_NAME_LIMIT = 200  # characters of a name made from a subject; file systems take 255 bytes
_READABLE = frozenset({"text/plain", "text/html"})
_SHOWN = frozenset({"image", "audio", "video", "font", "text"})  # what HTML can show

# Own table: `mimetypes` reads files of the host, so the same mail would have other names on another machine.
_EXTENSIONS = {
    "application/gzip": ".gz",
    "application/json": ".json",
    "application/msword": ".doc",
    "application/pdf": ".pdf",
    "application/pgp-signature": ".asc",
    "application/pkcs7-mime": ".p7m",
    "application/pkcs7-signature": ".p7s",
    "application/rtf": ".rtf",
    "application/vnd.ms-excel": ".xls",
    "application/vnd.ms-powerpoint": ".ppt",
    "application/vnd.oasis.opendocument.spreadsheet": ".ods",
    "application/vnd.oasis.opendocument.text": ".odt",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/x-pkcs7-mime": ".p7m",
    "application/x-pkcs7-signature": ".p7s",
    "application/xml": ".xml",
    "application/zip": ".zip",
    "audio/mpeg": ".mp3",
    "audio/wav": ".wav",
    "image/bmp": ".bmp",
    "image/gif": ".gif",
    "image/heic": ".heic",
    "image/jpeg": ".jpg",
    "image/jpg": ".jpg",
    "image/png": ".png",
    "image/svg+xml": ".svg",
    "image/tiff": ".tif",
    "image/webp": ".webp",
    "message/delivery-status": ".txt",
    "message/disposition-notification": ".txt",
    "text/calendar": ".ics",
    "text/css": ".css",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/vcard": ".vcf",
    "text/x-vcard": ".vcf",
    "text/xml": ".xml",
    "video/mp4": ".mp4",
}
_NAMES = {
    "application/ms-tnef": "winmail.dat",
    "application/vnd.ms-tnef": "winmail.dat",
    "message/rfc822": "message.eml",
    "text/calendar": "invite.ics",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a mail (RFC 2045 2.5).

    :param number: the IMAP part number, such as `2` or `1.2` (RFC 9051 6.4.5.1); empty for a multipart root.
    :param content_type: `type/subtype` in lower case.
    :param params: decoded parameters of Content-Type, by lower-case name.
    :param disposition: `attachment`, `inline` or what else it says, in lower case; empty without one.
    :param disposition_params: decoded parameters of Content-Disposition, by lower-case name.
    :param content_id: without angle brackets; or empty.
    :param encoding: Content-Transfer-Encoding in lower case.
    :param size: bytes of the body as it travels, encoded.
    :param children: the parts of a multipart. A message/rfc822 is one part: what it holds is its own affair,
        and children that a BODYSTRUCTURE gives it are passed over.
    :param inner_subject: the decoded subject of the mail in a message/rfc822, where known.
    :param start: where the body begins in the bytes of the mail; 0 when the tree does not come from those.
    :param end: where it ends.
    """

    number: str
    content_type: str = "text/plain"
    params: Mapping[str, str] = field(default_factory=dict)
    disposition: str = ""
    disposition_params: Mapping[str, str] = field(default_factory=dict)
    content_id: str = ""
    encoding: str = "7bit"
    size: int = 0
    children: tuple[Part, ...] = ()
    inner_subject: str = ""
    start: int = 0
    end: int = 0

    @property
    def filename(self) -> str:
        """The name the sender gave, on one line; empty without one."""
        name = self.disposition_params.get("filename") or self.params.get("name") or ""
        return words.clean(name).strip() if name else ""


def leaves(root: Part) -> Iterator[tuple[Part, bool]]:
    """Every part that is no multipart, in order, and whether a multipart/related is around it."""
    stack = [(root, False)]
    while stack:
        part, related = stack.pop()
        if part.children and part.content_type.startswith("multipart/"):
            inside = related or part.content_type == "multipart/related"
            stack.extend([(child, inside) for child in reversed(part.children)])
        else:
            yield part, related


def find(root: Part, number: str) -> Part | None:
    """The part of that number; None without one."""
    stack = [root]
    while stack:
        part = stack.pop()
        if part.number == number:
            return part
        stack.extend(part.children)
    return None


def readable(root: Part) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """The parts to be read as plain text and those to be read as HTML, in order."""
    parts = [part for part, _ in leaves(root) if is_text(part)]
    return (
        tuple([part for part in parts if part.content_type == "text/plain"]),
        tuple([part for part in parts if part.content_type == "text/html"]),
    )


def attachments(
    root: Part, ref: MailRef, size: Callable[[Part], int] | None = None
) -> tuple[Attachment, ...]:
    """Every part that is not text to read, in order.

    :param ref: the mail they belong to.
    :param size: bytes of a part's decoded file; `estimated_size` when not given.
    """
    count = size or estimated_size
    return tuple(
        [
            attachment(part, ref, count(part), related=related)
            for part, related in leaves(root)
            if not is_text(part)
        ]
    )


def attachment(part: Part, ref: MailRef, size: int, *, related: bool) -> Attachment:
    """A leaf that is not text to read, as a file.

    :param size: bytes of the decoded file.
    :param related: a multipart/related is around it.
    """
    return Attachment(
        ref=ref,
        part=part.number,
        name=_name(part),
        content_type=part.content_type,
        size=size,
        inline=_is_inline(part, related=related),
        content_id=part.content_id,
        encoding=part.encoding,
    )


def estimated_size(part: Part) -> int:
    """Bytes of the decoded file, guessed from its encoded size: exact to a line for usual base64."""
    if part.encoding == "base64":  # 57 bytes make a line of 76 characters and CRLF (RFC 2045 6.8)
        return part.size * 57 // 78
    if part.encoding == "x-uuencode":  # 45 bytes make a line of 61 characters and CRLF
        return part.size * 45 // 63
    return part.size


def is_text(part: Part) -> bool:
    """Text without a name, unless the sender says that it is an attachment."""
    return part.content_type in _READABLE and part.disposition != "attachment" and not part.filename


def _is_inline(part: Part, *, related: bool) -> bool:
    """Part of the shown text: what HTML refers to, and pictures that are to be shown in place.

    Some clients call every file `inline`, PDFs too: those stay plain attachments.
    """
    main = part.content_type.partition("/")[0]
    if part.disposition == "attachment" or main not in _SHOWN:
        return False
    return (related and bool(part.content_id)) or (part.disposition == "inline" and main == "image")


def _name(part: Part) -> str:
    """The file name: the sender's, or one that tells what it is. Never empty, no control characters."""
    given = part.filename
    if given:
        return given
    if part.content_type == "message/rfc822" and part.inner_subject:
        subject = words.clean(part.inner_subject).strip()[:_NAME_LIMIT].rstrip()
        if subject:
            return f"{subject}.eml"
    other = ".txt" if part.content_type.startswith("text/") else ".bin"
    extension = _EXTENSIONS.get(part.content_type, other)
    return _NAMES.get(part.content_type) or f"attachment-{part.number}{extension}"
