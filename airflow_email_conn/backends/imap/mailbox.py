"""The Mailbox protocol on one IMAP session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_email_conn.backends.base import MAX_MAIL_SIZE, Capabilities
from airflow_email_conn.backends.imap.bodies import Download, WholeMail, failure
from airflow_email_conn.backends.imap.changes import Changes
from airflow_email_conn.backends.imap.downloads import Downloads
from airflow_email_conn.backends.imap.finding import Finding
from airflow_email_conn.backends.imap.folders import Folders
from airflow_email_conn.backends.imap.idle import Idle
from airflow_email_conn.backends.imap.pipeline import Pipeline
from airflow_email_conn.backends.imap.session import ImapSession
from airflow_email_conn.backends.imap.summaries import Summaries
from airflow_email_conn.model.message import MailRef

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import TracebackType

    from typing_extensions import Self

    from airflow_email_conn.backends.base import (
        Folder,
        Moved,
        OnStep,
        Refs,
        Saved,
        Unfetched,
        What,
        Writable,
    )
    from airflow_email_conn.backends.position import Position
    from airflow_email_conn.model.message import Attachment, Mail, MailSummary
    from airflow_email_conn.model.query import MailQuery
    from airflow_email_conn.model.server import Server

__all__ = ["ImapMailbox"]

# Mails whose summaries are held at a time: enough to make round trips cheap (20 for 10,000 mails), and few
# enough to stay below 6 MB.
_CHUNK = 500


class ImapMailbox:
    """A mailbox on an IMAP server."""

    def __init__(self, session: ImapSession) -> None:
        self._session = session
        self._folders = Folders(session)
        self._changes = Changes(session, self._folders)
        self._finding = Finding(session, self._folders)
        pipeline = Pipeline(session, self._folders)
        self._summaries = Summaries(pipeline)
        self._downloads = Downloads(pipeline)

    @classmethod
    def open(cls, server: Server, on_step: OnStep) -> ImapMailbox:
        """Connect and sign in; raises what `ImapSession.open` does."""
        return cls(ImapSession.open(server, on_step))

    @property
    def capabilities(self) -> Capabilities:
        """What this server can do."""
        single_expunge = self._session.has("UIDPLUS")
        return Capabilities(
            folders=True,
            flags=True,
            move=single_expunge or self._session.has("MOVE"),
            delete=single_expunge,
            raw_search=True,
            live=True,
        )

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
        """See `Mailbox.search`. The search itself runs at once, the summaries come as you iterate."""
        self._summaries.undecided.clear()
        selected, uids = self._finding.search(query, folder, after)
        place = MailRef(selected.name, "", selected.validity)
        return self._matching(query, place, uids[::-1] if newest_first else uids, limit)

    @property
    def undecided(self) -> tuple[MailRef, ...]:
        """See `Mailbox.undecided`."""
        return tuple(self._summaries.undecided)

    def position(self, folder: str = "INBOX", since: Position | None = None) -> Position:  # noqa: ARG002
        """See `Mailbox.position`."""
        return self._finding.position(folder)

    def _matching(
        self, query: MailQuery, place: MailRef, uids: Sequence[int], limit: int | None
    ) -> Iterator[MailSummary]:
        left = len(uids) if limit is None else limit
        start = 0
        while start < len(uids) and left > 0:
            # A small first bite: whoever wants the one newest mail need not fetch a thousand.
            size = min(_CHUNK, left) if start == 0 else _CHUNK
            for mail in self._summaries.matching(query, place, uids[start : start + size])[:left]:
                yield mail
                left -= 1
            start += size

    def fetch(self, ref: MailRef, *, max_size: int = MAX_MAIL_SIZE) -> Mail:
        """See `Mailbox.fetch`."""
        return self._whole(ref, max_size).parsed()

    def raw(self, ref: MailRef, *, max_size: int = MAX_MAIL_SIZE) -> bytes:
        """See `Mailbox.raw`."""
        return self._whole(ref, max_size).raw()

    def _whole(self, ref: MailRef, max_size: int) -> WholeMail:
        self._folders.enter_for(ref)
        mail = WholeMail(ref, max_size)
        self._session.run_all([mail.exchange])
        if error := failure(mail):
            raise error
        return mail

    def save(self, what: Attachment | MailRef, target: Writable) -> int:
        """See `Mailbox.save`."""
        download = Download(what, lambda _what: target)
        self._folders.enter_for(download.ref)
        self._session.run_all([download.exchange])
        if error := failure(download):
            raise error
        return download.size

    def fetch_many(
        self, refs: Iterable[MailRef], *, max_size: int = MAX_MAIL_SIZE
    ) -> Iterator[Mail | Unfetched]:
        """See `Mailbox.fetch_many`."""
        return self._downloads.fetch(refs, max_size)

    def save_many(
        self, whats: Iterable[What], target: Callable[[What], Writable]
    ) -> Iterator[Saved | Unfetched]:
        """See `Mailbox.save_many`."""
        return self._downloads.save(whats, target)

    # ------------------------------------------------------------ waiting

    @property
    def signed_in_until(self) -> float | None:
        """See `Watchable.signed_in_until`."""
        return self._session.signed_in_until

    def watch(self, folder: str = "INBOX", *, flags: bool = False) -> Idle:
        """See `Watchable.watch`. What came since the search that entered the folder is told at once."""
        self._folders.enter(folder)
        return Idle.enter(self._session, flags=flags)

    def hang_up(self) -> None:
        """See `Watchable.hang_up`."""
        self._session.hang_up()

    # ------------------------------------------------------------ changing

    def mark_seen(self, refs: Refs, *, seen: bool = True) -> Moved:
        """See `Mailbox.mark_seen`."""
        return self._changes.store(refs, "\\Seen", add=seen)

    def flag(self, refs: Refs, *, flagged: bool = True) -> Moved:
        """See `Mailbox.flag`."""
        return self._changes.store(refs, "\\Flagged", add=flagged)

    def change_keywords(self, refs: Refs, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Moved:
        """See `Mailbox.change_keywords`. :raises CapabilityError: the folder keeps no such keyword."""
        return self._changes.change_keywords(refs, add, remove)

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
        """Sign out and close; never raises."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
