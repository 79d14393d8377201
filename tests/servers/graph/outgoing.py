"""MIME on its way out: of a message with its attachments, and of a message that came as JSON."""

from __future__ import annotations

import base64
import re
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formataddr
from typing import TYPE_CHECKING, Any

from tests.servers.graph.behaviours import Behaviour
from tests.servers.graph.blobs import Blob
from tests.servers.graph.errors import bad_request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.graph.items import Message
    from tests.servers.graph.mime import Attachment
    from tests.servers.graph.site import Site

__all__ = ["mime_from_json", "mime_of", "without_bcc"]

_BOUNDARY = "=_the_fakes_boundary_7c1f"
_CONTENT_FIELDS = re.compile(rb"(?im)^(?:content-[\w-]+|mime-version):.*\r?\n(?:[ \t].*\r?\n)*")
_BCC = re.compile(rb"(?im)^bcc:.*\r?\n(?:[ \t].*\r?\n)*")
#: The limit on headers that are given by name (internetMessageHeaders).
_MOST_HEADERS = 5


def mime_of(message: Message) -> Iterator[bytes]:
    """The MIME of a message, in pieces; attachments that came later are beside what was there."""
    if not message.added:
        yield from message.base.pieces()
        return
    head, _, body = _split(message.base.read())
    inner = b"".join(
        match[0] for match in _CONTENT_FIELDS.finditer(head + b"\r\n") if b"ersion" not in match[0]
    )
    yield _CONTENT_FIELDS.sub(b"", head + b"\r\n")
    yield f'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="{_BOUNDARY}"\r\n\r\n'.encode()
    yield f"--{_BOUNDARY}\r\n".encode() + inner + b"\r\n" + body + b"\r\n"
    for attachment in message.added:
        yield f"--{_BOUNDARY}\r\n".encode() + _part_head(attachment)
        for piece in attachment.content.pieces():
            yield base64.encodebytes(piece).replace(b"\n", b"\r\n")
    yield f"--{_BOUNDARY}--\r\n".encode()


def _split(raw: bytes) -> tuple[bytes, bytes, bytes]:
    head, gap, body = raw.partition(b"\r\n\r\n")
    return (head, gap, body) if gap else raw.partition(b"\n\n")


def _part_head(attachment: Attachment) -> bytes:
    part = EmailMessage(policy=SMTP)
    maintype, _, subtype = attachment.content_type.partition("/")
    disposition = "inline" if attachment.is_inline else "attachment"
    part.add_header("Content-Type", f"{maintype}/{subtype or 'octet-stream'}")
    part.add_header("Content-Disposition", disposition, filename=attachment.name)
    if attachment.content_id:
        part["Content-ID"] = f"<{attachment.content_id}>"
    part["Content-Transfer-Encoding"] = "base64"
    return part.as_bytes()


def without_bcc(base: Blob, received: str) -> Blob:
    """What the others get: no Bcc, and a Received field on top."""
    head, gap, body = _split(base.read())
    return Blob([received.encode(), _BCC.sub(b"", head + b"\r\n").rstrip(b"\r\n"), gap or b"\r\n\r\n", body])


def mime_from_json(message: dict[str, Any], site: Site) -> bytes:
    """The MIME of a message that was given as JSON.

    :raises GraphError: 400; its headers are too many, or named as one must not.
    """
    made = EmailMessage(policy=SMTP)
    for name, field in (
        ("To", "toRecipients"),
        ("Cc", "ccRecipients"),
        ("Bcc", "bccRecipients"),
        ("Reply-To", "replyTo"),
    ):
        if message.get(field):
            made[name] = ", ".join(map(_address, message[field]))
    if message.get("from"):
        made["From"] = _address(message["from"])
    made["Subject"] = message.get("subject") or ""
    for header in _headers(message.get("internetMessageHeaders") or [], site):
        made[header["name"]] = header["value"]
    body = message.get("body") or {}
    made.set_content(
        body.get("content") or "", subtype="html" if body.get("contentType") == "html" else "plain"
    )
    for attachment in message.get("attachments") or []:
        _attach(made, attachment)
    return made.as_bytes()


def _attach(made: EmailMessage, attachment: dict[str, Any]) -> None:
    maintype, _, subtype = (attachment.get("contentType") or "application/octet-stream").partition("/")
    made.add_attachment(
        base64.b64decode(attachment.get("contentBytes") or ""),
        maintype,
        subtype,
        filename=attachment.get("name"),
        disposition="inline" if attachment.get("isInline") else "attachment",
        cid=f"<{attachment['contentId']}>" if attachment.get("contentId") else None,
    )


def _address(recipient: dict[str, Any]) -> str:
    one = recipient["emailAddress"]
    return formataddr((one.get("name") or "", one.get("address") or ""))


def _headers(given: list[dict[str, str]], site: Site) -> list[dict[str, str]]:
    if len(given) > _MOST_HEADERS and site.has(Behaviour.FIVE_HEADERS):
        raise bad_request(
            "InvalidInternetMessageHeaderCollection",
            f"Maximum number of headers in one message should be less than or equal to {_MOST_HEADERS}.",
        )
    for header in given:
        if not header["name"].lower().startswith("x-") and site.has(Behaviour.X_HEADERS):
            raise bad_request(
                "InvalidInternetMessageHeader",
                f"The internet message header name '{header['name']}' should start with 'x-' or 'X-'.",
            )
    return given
