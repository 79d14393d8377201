"""One mail by its reference: whether it lies there, and what the server knows of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_email_conn.errors import FolderNotFoundError, MailNotFoundError, QueryError
from airflow_email_conn.wire.graph import messages, paths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_email_conn.backends.graph.folders import Folders
    from airflow_email_conn.backends.graph.session import GraphSession
    from airflow_email_conn.model.message import MailRef

__all__ = ["Mails", "gone", "path_of"]


class Mails:
    """Finds the mails of a mailbox."""

    def __init__(self, session: GraphSession, folders: Folders) -> None:
        self._session = session
        self._folders = folders

    def state(self, ref: MailRef) -> dict[str, Any]:
        """What the server knows of a mail, as JSON.

        An id stays the same when its mail is moved, and Graph gives a mail by its id wherever it lies. A
        reference means the mail in its folder: one that somebody has moved is somebody's.

        :raises MailNotFoundError: it is not there. QueryError: an impossible folder or id.
        """
        return self.found(ref, messages.STATE)

    def found(self, ref: MailRef, query: Mapping[str, str]) -> dict[str, Any]:
        """The same, of what is asked for; `parentFolderId` must be among it."""
        path = path_of(ref)
        try:
            folder = self._folders.known(ref.folder)
            item: dict[str, Any] = self._session.get(path, query)
        except (MailNotFoundError, FolderNotFoundError) as exc:
            raise gone(ref) from exc
        if item.get("parentFolderId") != folder.identity:
            raise gone(ref)
        return item


def path_of(ref: MailRef) -> str:
    """Where a mail is, below the mailbox. :raises MailNotFoundError: a reference of another protocol."""
    if ref.validity:
        raise gone(ref)
    try:
        return f"/messages/{paths.segment(ref.uid)}"
    except QueryError as exc:
        raise gone(ref) from exc


def gone(ref: MailRef) -> MailNotFoundError:
    """The error for a mail, or a part, that does not lie there."""
    return MailNotFoundError(f"the mail {ref.uid!r:.100} in {ref.folder!r} is gone, or has no such part")
