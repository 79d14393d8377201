"""What changes a mailbox of Microsoft 365: only the mails that are named, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_email_conn.backends.base import each
from airflow_email_conn.backends.graph.mails import path_of
from airflow_email_conn.errors import FolderNotFoundError, MailNotFoundError, NetworkError
from airflow_email_conn.model.message import MailRef
from airflow_email_conn.wire.graph import messages
from airflow_email_conn.wire.graph.values import text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_email_conn.backends.base import Moved, Refs
    from airflow_email_conn.backends.graph.folders import Folders, Place
    from airflow_email_conn.backends.graph.mails import Mails
    from airflow_email_conn.backends.graph.session import GraphSession
    from airflow_email_conn.model.keywords import KeywordChange

__all__ = ["Changes"]


class Changes:
    """Marks, flags, copies, moves and deletes mails.

    Only `isRead`, `flag` and `categories` are ever patched: what a mail says takes permissions of its own.
    """

    def __init__(self, session: GraphSession, folders: Folders, mails: Mails) -> None:
        self._session = session
        self._folders = folders
        self._mails = mails

    def patch(self, refs: Refs, properties: Mapping[str, Any]) -> Moved:
        """Set properties (Graph: "Update message"); returns the mails that were there."""
        patched: Moved = {}
        for ref in self._present(refs):
            try:
                self._session.patch(path_of(ref), properties)
            except MailNotFoundError:
                continue
            patched[ref] = ref
        return patched

    def change_keywords(self, refs: Refs, change: KeywordChange) -> Moved:
        """Change categories, mail by mail, as Graph takes nothing but the whole list of a mail.

        :returns: the mails that were there.
        """
        changed: Moved = {}
        for ref in dict.fromkeys(each(refs)):
            try:
                old = messages.keywords(self._mails.found(ref, messages.KEYWORDS))
                new = change.of(old)
                if new != old:
                    self._session.patch(path_of(ref), {"categories": list(new)})
            except MailNotFoundError:
                continue
            changed[ref] = ref
        return changed

    def copy(self, refs: Refs, folder: str) -> Moved:
        """Copy (Graph: "message: copy"); returns the copies."""
        target = self._folders.find(folder)
        copies: Moved = {}
        for ref in self._present(refs):
            copy = self._sent_to(ref, "copy", target)
            if copy:
                copies[ref] = copy
        return copies

    def move(self, refs: Refs, folder: str) -> Moved:
        """Move (Graph: "message: move"); returns the mails at their new place."""
        target = self._folders.find(folder)
        moved: Moved = {}
        for ref in self._present(refs):
            there = self._moved(ref, target)
            if there:
                moved[ref] = there
        return moved

    def delete(self, refs: Refs) -> Moved:
        """Delete for good (Graph: "message: permanentDelete"): DELETE would leave the mails to be restored.

        :returns: those that were there.
        """
        deleted: Moved = {}
        for ref in self._present(refs):
            try:
                self._session.post(f"{path_of(ref)}/permanentDelete")
            except MailNotFoundError:
                continue
            except NetworkError:  # the answer was lost
                if self._is_there(ref):
                    raise
            deleted[ref] = ref
        return deleted

    # ------------------------------------------------------------ one mail

    def _present(self, refs: Refs) -> Iterator[MailRef]:
        """Those of the mails that lie where their references say, each looked at just before its turn."""
        for ref in dict.fromkeys(each(refs)):
            if self._is_there(ref):
                yield ref

    def _is_there(self, ref: MailRef) -> bool:
        try:
            self._mails.state(ref)
        except MailNotFoundError:
            return False
        return True

    def _moved(self, ref: MailRef, target: Place) -> MailRef | None:
        try:
            return self._sent_to(ref, "move", target)
        except NetworkError:  # the answer was lost: the id stays the same, so where the mail is can be seen
            there = MailRef(target.name, ref.uid, message_id=ref.message_id)
            if not self._is_there(there):
                raise
            return there

    def _sent_to(self, ref: MailRef, action: str, target: Place) -> MailRef | None:
        """Where the mail is then; None if it vanished meanwhile."""
        try:
            answer = self._session.post(f"{path_of(ref)}/{action}", {"destinationId": target.identity})
        except MailNotFoundError as exc:
            if self._is_there(ref):  # so it is the folder
                raise FolderNotFoundError(target.name, self._folder_names()) from exc
            return None
        return MailRef(target.name, text(answer.get("id")), message_id=ref.message_id)

    def _folder_names(self) -> tuple[str, ...]:
        return tuple(folder.name for folder in self._folders.all())
