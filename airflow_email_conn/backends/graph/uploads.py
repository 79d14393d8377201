"""Attachments of a draft, one by one: small ones in a request, large ones in pieces."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any, Final

from airflow_email_conn.backends.graph.limits import Tries
from airflow_email_conn.errors import EmailError, NetworkError, ProtocolError, UnavailableError
from airflow_email_conn.https import retry_after
from airflow_email_conn.wire.graph import ranges
from airflow_email_conn.wire.graph.errors import Asked, TooSmallError, problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_email_conn.backends.graph.session import GraphSession
    from airflow_email_conn.wire.compose.message import Separate

__all__ = ["attach"]

# Bytes from which on a file may be too large for one request, as base64 in JSON; Graph takes 4 MB.
_LARGE: Final = 2_990_000
# Bytes of a piece: Exchange wants less than 4 MB, OneDrive, whose protocol it is, multiples of 320 KiB.
_PIECE: Final = 10 * 320 * 1024
_BLOCK: Final = 3 * 19 * 1024  # bytes that are encoded at a time; a multiple of 3
_GONE: Final = 404
_OUT_OF_ORDER: Final = 416
_THROTTLED: Final = 429


def attach(session: GraphSession, message: str, part: Separate) -> None:
    """Attach a file to a draft; never more than some MB of it are in memory.

    :param message: path of the draft, such as /messages/AAMk...
    :raises RefusedError: it is too large.
    :raises UnavailableError, NetworkError: the draft is not complete now, and has to be made anew.
    """
    if (part.file.size or 0) >= _LARGE:
        try:
            _Upload(session, message, part).run()
        except TooSmallError:  # where exactly the limits of both ways lie is not written down
            pass
        else:
            return
    session.post(f"{message}/attachments", _as_json(part))


def _as_json(part: Separate) -> bytearray:
    """The body of "Add attachment", made so that the file is in it once, and nowhere else."""
    head = json.dumps({"@odata.type": "#microsoft.graph.fileAttachment", **_described(part)})
    body = bytearray(head[:-1].encode() + b', "contentBytes": "')
    for start in range(0, part.file.size or 0, _BLOCK):
        body += base64.b64encode(part.file.read_at(start, _BLOCK))
    body += b'"}'
    return body


def _described(part: Separate) -> dict[str, Any]:
    file = part.file
    kind = f"{file.content_type}; charset={file.charset}" if file.charset else file.content_type
    described: dict[str, Any] = {"name": file.name, "contentType": kind}
    if part.content_id:
        described |= {"isInline": True, "contentId": part.content_id}
    return described


class _Upload:
    """One upload session (Graph: "Attach large files to Outlook messages or events")."""

    def __init__(self, session: GraphSession, message: str, part: Separate) -> None:
        self._session, self._message, self._part = session, message, part
        self._size = part.file.size or 0
        self._is_throttled = False  # the last piece was answered by 429

    def run(self) -> None:
        """All of the file, piece by piece, resumed where a fault left it."""
        known = self._attached()
        item = {"attachmentType": "file", "size": self._size, **_described(self._part)}
        self._url = self._begin({"AttachmentItem": item})
        start, furthest, tries = 0, 0, Tries(is_repeatable=True)
        while start < self._size:
            try:
                start = self._put(start)
            except _GoneError as exc:
                # The answer to the last piece may have been lost: the session ends with it.
                if not self._attached() - known:
                    raise UnavailableError(exc.message) from exc
                return
            except EmailError as exc:
                tries.pause(exc, is_throttled=self._is_throttled)
                start = self._resumed(start)
            if start > furthest:  # a server that goes back has to come farther than it was, or it is given up
                furthest, tries = start, Tries(is_repeatable=True)

    def _begin(self, item: Mapping[str, Any]) -> str:
        """The address of a session. More than one does no harm: only what is complete is attached."""
        path = f"{self._message}/attachments/createUploadSession"
        url = self._session.post(path, item, is_repeatable=True).get("uploadUrl")
        if not isinstance(url, str) or not url:
            raise ProtocolError(f"{self._session.where} gave no address for an upload")
        return url

    def _attached(self) -> set[str]:
        """The ids of what is attached."""
        found = self._session.get(f"{self._message}/attachments", {"$select": "id", "$top": "1000"})
        return {str(each.get("id")) for each in found.get("value", []) if isinstance(each, dict)}

    def _put(self, start: int) -> int:
        """Send a piece. :returns: where the next one begins."""
        piece = self._part.file.read_at(start, _PIECE)
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": ranges.content_range(start, len(piece), self._size),
        }
        self._is_throttled = False
        status, answered, text = self._session.upload("PUT", self._url, headers, piece)
        self._is_throttled = status == _THROTTLED
        if status == 201:
            return self._size
        if status not in {200, 202}:
            raise self._problem(status, answered, text)
        following = ranges.next_start(text, self._size)
        if following is None or following <= start:
            raise UnavailableError("the server does not say that it took the piece of an upload")
        return following

    def _resumed(self, start: int) -> int:
        """Where the server wants to go on; where it does not say so, with the piece that failed."""
        try:
            status, _, text = self._session.upload("GET", self._url, {})
        except NetworkError:
            return start
        if status == _GONE:
            return start  # sending the piece will find out
        told = ranges.next_start(text, self._size) if status == 200 else None
        return start if told is None else told

    def _problem(self, status: int, headers: Mapping[str, str], text: str) -> EmailError:
        asked = Asked("PUT", "", self._session.mailbox, self._session.where)
        error = problem(status, headers, text, asked, retry_after(headers, time.time()))
        if status == _GONE:
            return _GoneError("the server knows nothing of the upload any more")
        if status == _OUT_OF_ORDER:
            return UnavailableError("the server expects another piece of the upload")
        return error


class _GoneError(ProtocolError):
    """The upload session is not there any more: it is complete, or has ended."""
