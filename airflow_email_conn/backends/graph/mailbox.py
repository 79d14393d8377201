"""The Mailbox protocol on Microsoft Graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_email_conn.backends.base import MAX_MAIL_SIZE, Capabilities
from airflow_email_conn.backends.graph.arrivals import Arrivals
from airflow_email_conn.backends.graph.changes import Changes
from airflow_email_conn.backends.graph.downloads import Downloads
from airflow_email_conn.backends.graph.folders import Folders
from airflow_email_conn.backends.graph.mails import Mails
from airflow_email_conn.backends.graph.search import Search, check
from airflow_email_conn.backends.graph.session import GraphSession
from airflow_email_conn.model.keywords import KeywordChange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from typing_extensions import Self

    from airflow_email_conn.backends.base import (
        Folder,
        Moved,
        OnStep,
        Refs,
        Renew,
        Saved,
        Unfetched,
        What,
        Writable,
    )
    from airflow_email_conn.backends.position import Position
    from airflow_email_conn.model.message import Attachment, Mail, MailRef, MailSummary
    from airflow_email_conn.model.query import MailQuery
    from airflow_email_conn.model.server import Server

__all__ = ["GraphMailbox"]


class GraphMailbox:
    r"""A mailbox of Microsoft 365.

    A folder is named by its path of display names, with `/` between them and `//` for a slash in a name.
    `received` has whole seconds, and mails come in the order of it; `size` is that in Exchange's store.
    `answered` is what the mailbox's owner did last with the mail, if that was to answer it. The MIME form of
    a mail is made by Exchange: not always byte by byte what was sent.
    """

    capabilities = Capabilities(folders=True, flags=True, move=True, delete=True, raw_search=False, live=True)

    def __init__(self, session: GraphSession) -> None:
        self._session = session
        self._folders = Folders(session)
        self._mails = Mails(session, self._folders)
        self._arrivals = Arrivals(session)
        self._changes = Changes(session, self._folders, self._mails)
        self._downloads = Downloads(session, self._folders)
        self._search: Search | None = None  # the last one

    @classmethod
    def open(cls, server: Server, on_step: OnStep, renew: Renew) -> GraphMailbox:
        """Connect, and look whether the mailbox may be read; raises what `GraphSession.open` does."""
        return cls(GraphSession.open(server, on_step, renew))

    # ------------------------------------------------------------ folders

    def folders(self) -> tuple[Folder, ...]:
        """See `Mailbox.folders`."""
        return self._folders.all()

    def create_folder(self, name: str) -> None:
        """See `Mailbox.create_folder`."""
        self._folders.create(name)

    # ------------------------------------------------------------ reading

    def search(
        self,
        query: MailQuery,
        *,
        folder: str = "INBOX",
        limit: int | None = None,
        newest_first: bool = False,
        after: Position | None = None,
    ) -> Iterator[MailSummary]:
        """See `Mailbox.search`. :raises CapabilityError: `raw` is asked for."""
        check(query)
        place = self._folders.find(folder)
        self._search = Search(self._session, self._mails, place, query)
        new = self._arrivals.after(place, after) if after else None
        if new is None:
            return self._search.listed(newest_first=newest_first, limit=limit)
        return self._search.of(new[::-1] if newest_first else new, after.owed if after else (), limit)

    @property
    def undecided(self) -> tuple[MailRef, ...]:
        """See `Mailbox.undecided`."""
        return tuple(self._search.undecided) if self._search else ()

    def position(self, folder: str = "INBOX", since: Position | None = None) -> Position:
        """See `Mailbox.position`. Without `since` every mail of the folder is counted once, by its id."""
        return self._arrivals.position(self._folders.find(folder), since)

    def fetch(self, ref: MailRef, *, max_size: int = MAX_MAIL_SIZE) -> Mail:
        """See `Mailbox.fetch`."""
        return self._downloads.fetch(ref, max_size)

    def raw(self, ref: MailRef, *, max_size: int = MAX_MAIL_SIZE) -> bytes:
        """See `Mailbox.raw`."""
        return self._downloads.raw(ref, max_size)

    def save(self, what: Attachment | MailRef, target: Writable) -> int:
        """See `Mailbox.save`."""
        return self._downloads.save(what, lambda _what: target)

    def fetch_many(
        self, refs: Iterable[MailRef], *, max_size: int = MAX_MAIL_SIZE
    ) -> Iterator[Mail | Unfetched]:
        """See `Mailbox.fetch_many`."""
        return self._downloads.fetch_many(refs, max_size)

    def save_many(
        self, whats: Iterable[What], target: Callable[[What], Writable]
    ) -> Iterator[Saved | Unfetched]:
        """See `Mailbox.save_many`."""
        return self._downloads.save_many(whats, target)

    # ------------------------------------------------------------ changing

    def mark_seen(self, refs: Refs, *, seen: bool = True) -> Moved:
        """See `Mailbox.mark_seen`."""
        return self._changes.patch(refs, {"isRead": seen})

    def flag(self, refs: Refs, *, flagged: bool = True) -> Moved:
        """See `Mailbox.flag`."""
        return self._changes.patch(refs, {"flag": {"flagStatus": "flagged" if flagged else "notFlagged"}})

    def change_keywords(self, refs: Refs, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Moved:
        """See `Mailbox.change_keywords`: categories, which need not be in the mailbox's list of them."""
        return self._changes.change_keywords(refs, KeywordChange(add, remove))

    def copy(self, refs: Refs, folder: str) -> Moved:
        """See `Mailbox.copy`."""
        return self._changes.copy(refs, folder)

    def move(self, refs: Refs, folder: str) -> Moved:
        """See `Mailbox.move`."""
        return self._changes.move(refs, folder)

    def delete(self, refs: Refs) -> Moved:
        """See `Mailbox.delete`."""
        return self._changes.delete(refs)

    def close(self) -> None:
        """Close the connection; never raises."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
