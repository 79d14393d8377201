"""Upload sessions: large attachments in pieces, at an address of their own."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from tests.servers.graph import messages
from tests.servers.graph.attachments import SMALL
from tests.servers.graph.behaviours import Behaviour
from tests.servers.graph.blobs import Blob
from tests.servers.graph.call import Reply
from tests.servers.graph.errors import GraphError, bad_request
from tests.servers.graph.mime import Attachment

if TYPE_CHECKING:
    from tests.servers.graph.call import Call, Request
    from tests.servers.graph.items import Message
    from tests.servers.graph.mailbox import Mailbox
    from tests.servers.graph.site import Site

__all__ = ["PIECE_LIMIT", "Upload", "answer", "create"]

#: A piece has to be below it; the strictest reading of "4 MB".
PIECE_LIMIT = 4_000_000
_LARGEST = 150 * 1024 * 1024
_LIFETIME = timedelta(hours=1)
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@dataclass
class Upload:
    """A session under way."""

    mailbox: Mailbox
    message: Message
    attachment: Attachment
    size: int
    ends: datetime = field(default_factory=lambda: datetime.now(timezone.utc) + _LIFETIME)


def create(call: Call, message: str, folder: str = "") -> Reply:
    """POST messages/{id}/attachments/createUploadSession."""
    found = messages.find(call, message)
    body = {name.lower(): value for name, value in call.request.json().items()}
    item = body.get("attachmentitem")
    if not isinstance(item, dict) or item.get("attachmentType") != "file" or not item.get("name"):
        raise bad_request("ErrorInvalidArgument", "AttachmentItem is needed.")
    size = item.get("size") or 0
    if size < SMALL and call.site.has(Behaviour.UPLOAD_MINIMUM):
        raise bad_request(
            "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize", f"The attachment size is below {SMALL}."
        )
    if size > _LARGEST:
        raise bad_request("ErrorAttachmentSizeLimitExceeded", "The attachment is too large.")
    made = Attachment(
        item["name"],
        Blob(),
        item.get("contentType") or "application/octet-stream",
        is_inline=bool(item.get("isInline")),
        content_id=item.get("contentId"),
    )
    key, secret = secrets.token_urlsafe(12), secrets.token_urlsafe(16)
    upload = Upload(call.mailbox, found, made, size)
    call.site.uploads[f"{key}?authtoken={secret}"] = upload
    base = call.site.upload_base if call.site.has(Behaviour.UPLOAD_ELSEWHERE) else call.request.base
    return Reply(
        201,
        {
            "@odata.context": f"{call.request.base}/v1.0/$metadata#microsoft.graph.uploadSession",
            "uploadUrl": f"{base}/uploads/{key}?authtoken={secret}",
            **_state(call.site, upload),
        },
    )


def _state(site: Site, upload: Upload) -> dict[str, object]:
    done = upload.attachment.content.size
    dash = "-" if not done or not site.has(Behaviour.UPLOAD_NEXT) else ""
    ends = upload.ends.strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
    name = "ExpirationDateTime" if done and site.has(Behaviour.UPLOAD_ANSWER) else "expirationDateTime"
    return {name: ends, "nextExpectedRanges": [f"{done}{dash}"]}


def answer(site: Site, request: Request) -> Reply:
    """What the upload address answers.

    :raises GraphError: the session is gone, or the piece is not the one that is next.
    """
    if "authorization" in request.headers and site.has(Behaviour.UPLOAD_WITHOUT_TOKEN):
        site.violations.append("an Authorization header came to the upload address")
        raise GraphError(401, "InvalidAuthenticationToken", "The address carries its own authentication.")
    key = f"{request.path.removeprefix('/uploads/')}?{request.query_string}"
    upload = site.uploads.get(key)
    if upload is None or upload.ends <= datetime.now(timezone.utc):
        raise GraphError(404, "ErrorItemNotFound", "The upload session was not found.")
    if request.method == "DELETE":
        if site.has(Behaviour.UPLOAD_CANCEL):
            del site.uploads[key]
        return Reply(204)
    if request.method == "GET" and site.has(Behaviour.UPLOAD_STATUS):
        return Reply(200, _state(site, upload))
    if request.method != "PUT":
        raise GraphError(405, "BadRequest", "The method is not allowed.")
    _take(site, upload, request)
    if upload.attachment.content.size < upload.size:
        return Reply(200, _state(site, upload))
    del site.uploads[key]
    return _finish(site, upload, request)


def _take(site: Site, upload: Upload, request: Request) -> None:
    """Add the piece of a PUT."""
    match = _RANGE.fullmatch(request.headers.get("content-range", ""))
    if not match:
        raise bad_request("ErrorInvalidArgument", "Content-Range is missing or malformed.")
    start, last, total = (int(number) for number in match.groups())
    length = last - start + 1
    if total != upload.size or length != len(request.body) or last >= total:
        raise bad_request("ErrorInvalidArgument", "Content-Range does not fit the body or the size.")
    if length >= PIECE_LIMIT and site.has(Behaviour.UPLOAD_PIECE_LIMIT):
        raise GraphError(413, "ErrorMessageSizeExceeded", "The piece is too large.")
    if start != upload.attachment.content.size and site.has(Behaviour.UPLOAD_IN_ORDER):
        raise GraphError(416, "ErrorInvalidRange", "The piece is not the one that is next.")
    upload.attachment.content.add(request.body)


def _finish(site: Site, upload: Upload, request: Request) -> Reply:
    """The attachment is whole."""
    upload.message.added.append(upload.attachment)
    upload.mailbox.changed(upload.message)
    made = upload.message.attachments[-1]
    user, message = upload.mailbox.address, upload.message.ordinary_id
    where = f"{request.base}/api/v2.0/Users('{user}')/Messages('{message}')/Attachments('{made.id}')"
    if not site.has(Behaviour.UPLOAD_LAST):
        return Reply(200, _state(site, upload))
    return Reply(201, b"", {"Location": where})
