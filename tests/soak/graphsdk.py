"""Microsoft's own client against the fake: for an environment with ``msgraph-sdk``, and nothing of ours.

It reads a JSON object (url, ca, token, mailbox, recipient) from standard input, and writes what it saw.
"""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from datetime import datetime, timezone
from io import BytesIO
from typing import Any

import httpx
from azure.core.credentials import AccessToken
from kiota_abstractions.api_error import APIError
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_authentication_azure.azure_identity_authentication_provider import (
    AzureIdentityAuthenticationProvider,
)
from msgraph import GraphRequestAdapter, GraphServiceClient
from msgraph.generated.models.attachment_item import AttachmentItem
from msgraph.generated.models.attachment_type import AttachmentType
from msgraph.generated.models.body_type import BodyType
from msgraph.generated.models.email_address import EmailAddress
from msgraph.generated.models.item_body import ItemBody
from msgraph.generated.models.message import Message
from msgraph.generated.models.recipient import Recipient
from msgraph.generated.users.item.mail_folders.item.messages.item.attachments.create_upload_session import (
    create_upload_session_post_request_body as upload_body,
)
from msgraph.generated.users.item.mail_folders.item.messages.messages_request_builder import (
    MessagesRequestBuilder,
)
from msgraph.generated.users.item.messages.item.move.move_post_request_body import MovePostRequestBody
from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody
from msgraph_core.tasks.large_file_upload import LargeFileUploadTask
from msgraph_core.tasks.page_iterator import PageIterator

_LARGE = bytes(range(256)) * 16384  # 4 MiB
_PIECE = 320 * 1024 * 10


class Fixed:
    """A credential that has its token already."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *_: Any, **__: Any) -> AccessToken:
        """The token."""
        return AccessToken(self._token, int(time.time()) + 3600)


def client_of(given: dict[str, str]) -> GraphServiceClient:
    """The client, for the fake's address and certificate; its own middleware is left in place."""
    provider = AzureIdentityAuthenticationProvider(
        Fixed(given["token"]), scopes=["https://localhost/.default"], allowed_hosts=["localhost"]
    )
    http = httpx.AsyncClient(verify=ssl.create_default_context(cafile=given["ca"]), timeout=30)
    adapter = GraphRequestAdapter(provider, client=http)
    adapter.base_url = f"{given['url']}/v1.0"
    return GraphServiceClient(request_adapter=adapter)


async def listed(user: Any, adapter: Any) -> dict[str, Any]:
    """All of the inbox, by the client's own iterator; oldest first."""
    query = MessagesRequestBuilder.MessagesRequestBuilderGetQueryParameters(
        select=["subject", "from", "receivedDateTime", "hasAttachments", "flag"],
        filter="receivedDateTime ge 1900-01-01T00:00:00Z and isRead eq false",
        orderby=["receivedDateTime"],
        top=3,
        expand=["attachments($select=id,name,size)"],
    )
    page = await user.mail_folders.by_mail_folder_id("inbox").messages.get(
        RequestConfiguration(query_parameters=query)
    )
    found: list[Message] = []

    def keep(message: Message) -> bool:
        found.append(message)
        return True

    await PageIterator(page, adapter).iterate(keep)
    first = found[0]
    return {
        "subjects": [message.subject for message in found],
        "sender": first.from_.email_address.address,
        "received": first.received_date_time.astimezone(timezone.utc).isoformat(),
        "attachments": [[type(one).__name__, one.name] for one in found[-1].attachments],
        "unknown": sorted({key for message in found for key in message.additional_data} - {"@odata.etag"}),
    }


async def delta(user: Any, given: dict[str, str]) -> dict[str, Any]:
    """A round, then a mail moved away, then the next round."""
    builder = user.mail_folders.by_mail_folder_id("inbox").messages.delta
    first, link = await _round(builder)
    moved = await user.messages.by_message_id(first[0].id).move.post(
        MovePostRequestBody(destination_id="archive")
    )
    second, _ = await _round(builder.with_url(link))
    return {
        "first": len({message.id for message in first}),
        "moved": moved.id != first[0].id,
        "second": [[message.id == first[0].id, sorted(message.additional_data)] for message in second],
    }


async def _round(builder: Any) -> tuple[list[Message], str]:
    found: list[Message] = []
    page = await builder.get()
    while True:
        found += page.value
        if page.odata_delta_link:
            return found, page.odata_delta_link
        page = await builder.with_url(page.odata_next_link).get()


def letter(given: dict[str, str], subject: str) -> Message:
    """A mail."""
    return Message(
        subject=subject,
        body=ItemBody(content_type=BodyType.Html, content="<p>Grüße</p>"),
        to_recipients=[Recipient(email_address=EmailAddress(address=given["recipient"]))],
    )


async def sent(user: Any, given: dict[str, str]) -> dict[str, Any]:
    """One mail at once, and a draft with a large attachment."""
    await user.send_mail.post(
        SendMailPostRequestBody(message=letter(given, "small"), save_to_sent_items=True)
    )
    draft = await user.messages.post(letter(given, "large"))
    item = AttachmentItem(attachment_type=AttachmentType.File, name="large.bin", size=len(_LARGE))
    body = upload_body.CreateUploadSessionPostRequestBody(attachment_item=item)
    session = await user.messages.by_message_id(draft.id).attachments.create_upload_session.post(body)
    task = LargeFileUploadTask(session, user.request_adapter, BytesIO(_LARGE), max_chunk_size=_PIECE)
    pieces = [await _piece(task, start) for start in range(0, len(_LARGE), _PIECE)]
    attached = await user.messages.by_message_id(draft.id).attachments.get()
    await user.messages.by_message_id(draft.id).send.post()
    return {
        "ranges": [session.next_expected_ranges, *pieces],
        "expires": session.expiration_date_time > datetime.now(timezone.utc),
        "attached": [[type(one).__name__, one.name] for one in attached.value],
    }


async def _piece(task: LargeFileUploadTask, start: int) -> list[str] | None:
    """One piece by the client's task; what comes next.

    Not by its `upload`: that adds a dash to the range that the server names and reads the number behind it,
    so that Outlook's ranges (``2097152``) end in a ValueError (msgraph-core 1.5.2).
    """
    task.next_range = f"{start}-{min(start + _PIECE, len(_LARGE)) - 1}"
    answer = await task.next_chunk(task.stream)
    return answer.next_expected_ranges if answer else None


async def read(user: Any) -> dict[str, Any]:
    """Folders, MIME, an attachment, and an error."""
    folders = await user.mail_folders.get()
    page = await user.mail_folders.by_mail_folder_id("inbox").messages.get()
    key = next(message.id for message in page.value if message.has_attachments)
    value = await user.messages.by_message_id(key).content.get()
    files = await user.messages.by_message_id(key).attachments.get()
    changed = await user.messages.by_message_id(key).patch(Message(is_read=True, categories=["Red"]))
    try:
        await user.messages.by_message_id(key[:-4] + "AAA=").get()
        code = ""
    except APIError as error:
        code = error.error.code
    return {
        "folders": [folder.display_name for folder in folders.value],
        "mime": value.decode("utf-8", "replace").splitlines()[0],
        "files": [[type(one).__name__, one.name] for one in files.value],
        "changed": [changed.is_read, changed.categories],
        "code": code,
    }


async def main(given: dict[str, str]) -> dict[str, Any]:
    """All of it."""
    client = client_of(given)
    user = client.users.by_user_id(given["mailbox"])
    return {
        "listed": await listed(user, client.request_adapter),
        "read": await read(user),
        "delta": await delta(user, given),
        "sent": await sent(user, given),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(json.load(sys.stdin)))))
