"""The Mailbox protocol on POP3."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_email_conn.backends.base import MAX_MAIL_SIZE, Capabilities, Folder, Unfetched, each
from airflow_email_conn.backends.pop3.deletion import delete
from airflow_email_conn.backends.pop3.downloads import held, saved
from airflow_email_conn.backends.pop3.maildrop import FOLDER, Maildrop, ambiguous
from airflow_email_conn.backends.pop3.search import Search, check
from airflow_email_conn.backends.pop3.session import Pop3Session
from airflow_email_conn.backends.position import Position
from airflow_email_conn.errors import CapabilityError, FolderNotFoundError, MailNotFoundError, NetworkError
from airflow_email_conn.wire import mime
from airflow_email_conn.wire.pop3.received import received

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from typing_extensions import Self

    from airflow_email_conn.backends.base import Moved, OnStep, Refs, Saved, What, Writable
    from airflow_email_conn.backends.pop3.maildrop import Entry
    from airflow_email_conn.model.message import Attachment, Mail, MailRef, MailSummary
    from airflow_email_conn.model.query import MailQuery
    from airflow_email_conn.model.server import Server

__all__ = ["Pop3Mailbox"]


class Pop3Mailbox:
    """A mailbox on a POP3 server: the mails that were there when its session began.

    Mails that come later are in the next mailbox that is opened; or in this one after `delete`, which ends
    the session. The server may lock the mailbox meanwhile, so close it soon.

    `received` is what the topmost Received field says.
    """

    capabilities = Capabilities(
        folders=False, flags=False, move=False, delete=True, raw_search=False, live=False
    )

    def __init__(self, server: Server, session: Pop3Session) -> None:
        self._server = server
        self._session: Pop3Session | None = session
        self._maildrop: Maildrop | None = None
        self._search: Search | None = None  # the last one
        self._is_closed = False

    @classmethod
    def open(cls, server: Server, on_step: OnStep) -> Pop3Mailbox:
        """Connect and sign in; raises what `Pop3Session.open` does."""
        return cls(server, Pop3Session.open(server, on_step))

    def _current(self) -> Maildrop:
        """What is there in the session, which is begun anew after a deletion."""
        if self._is_closed:
            raise NetworkError("the mailbox is closed")
        if self._session is None:
            self._session = Pop3Session.open(self._server, lambda _step: None)
        self._session.check()
        if self._maildrop is None:
            self._maildrop = Maildrop.of(self._session)
        return self._maildrop

    # ------------------------------------------------------------ folders

    def folders(self) -> tuple[Folder, ...]:
        """See `Mailbox.folders`: INBOX alone."""
        return (Folder(FOLDER),)

    def create_folder(self, name: str) -> None:
        """See `Mailbox.create_folder`. :raises CapabilityError: any but INBOX."""
        if name.upper() != FOLDER:
            raise _no_folders("none can be created")

    # ------------------------------------------------------------ reading

    def search(
        self,
        query: MailQuery,
        *,
        folder: str = FOLDER,
        limit: int | None = None,
        newest_first: bool = False,
        after: Position | None = None,
    ) -> Iterator[MailSummary]:
        """See `Mailbox.search`.

        :raises CapabilityError: flags or `raw` are asked for.
        """
        check(query)
        _check_folder(folder)
        past = after.uids if after and after.folder == FOLDER else frozenset()
        uids = [entry.uid for entry in self._current().entries if entry.uid not in past]
        self._search = Search(self._current, query)
        return self._search.mails(uids[::-1] if newest_first else uids, limit)

    @property
    def undecided(self) -> tuple[MailRef, ...]:
        """See `Mailbox.undecided`."""
        return tuple(self._search.undecided) if self._search else ()

    def position(self, folder: str = FOLDER, since: Position | None = None) -> Position:  # noqa: ARG002
        """See `Mailbox.position`."""
        _check_folder(folder)
        return Position(FOLDER, uids=frozenset(entry.uid for entry in self._current().entries))

    def fetch(self, ref: MailRef, *, max_size: int = MAX_MAIL_SIZE) -> Mail:
        """See `Mailbox.fetch`."""
        return _parsed(ref, self.raw(ref, max_size=max_size))

    def raw(self, ref: MailRef, *, max_size: int = MAX_MAIL_SIZE) -> bytes:
        """See `Mailbox.raw`."""
        ((_, found),) = held(self._current, [ref], max_size)
        if isinstance(found, Unfetched):
            raise found.error
        return found

    def fetch_many(
        self, refs: Iterable[MailRef], *, max_size: int = MAX_MAIL_SIZE
    ) -> Iterator[Mail | Unfetched]:
        """See `Mailbox.fetch_many`."""
        for ref, found in held(self._current, refs, max_size):
            yield found if isinstance(found, Unfetched) else _parsed(ref, found)

    def save(self, what: Attachment | MailRef, target: Writable) -> int:
        """See `Mailbox.save`."""
        (done,) = saved(self._current, [what], lambda _what: target)
        if isinstance(done, Unfetched):
            raise done.error
        return done.size

    def save_many(
        self, whats: Iterable[What], target: Callable[[What], Writable]
    ) -> Iterator[Saved | Unfetched]:
        """See `Mailbox.save_many`."""
        return saved(self._current, whats, target)

    # ------------------------------------------------------------ changing

    def mark_seen(self, refs: Refs, *, seen: bool = True) -> Moved:  # noqa: ARG002 - as the protocol has it
        """See `Mailbox.mark_seen`. :raises CapabilityError: always."""
        raise _no_flags("marked as read or unread")

    def flag(self, refs: Refs, *, flagged: bool = True) -> Moved:  # noqa: ARG002 - as above
        """See `Mailbox.flag`. :raises CapabilityError: always."""
        raise _no_flags("flagged")

    def change_keywords(self, refs: Refs, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Moved:  # noqa: ARG002 - as above
        """See `Mailbox.change_keywords`. :raises CapabilityError: always."""
        raise _no_flags("given keywords")

    def copy(self, refs: Refs, folder: str) -> Moved:  # noqa: ARG002 - as above
        """See `Mailbox.copy`. :raises CapabilityError: always."""
        raise _no_folders("no mail can be copied")

    def move(self, refs: Refs, folder: str) -> Moved:  # noqa: ARG002 - as above
        """See `Mailbox.move`. :raises CapabilityError: always."""
        raise _no_folders("no mail can be moved")

    def delete(self, refs: Refs) -> Moved:
        """See `Mailbox.delete`. All of them or none, and done when it returns: the session ends with it.

        :raises ServerError: one may mean another mail, when this runs again if not now; none was deleted.
        """
        maildrop = self._current()
        present: dict[MailRef, Entry] = {}
        for ref in each(refs):
            with suppress(MailNotFoundError):  # a rerun meets mails that are gone
                present[ref] = entry = maildrop.locate(ref)
                if entry.is_copy:
                    raise ambiguous(ref)
        if present:
            refusal = delete(maildrop.session, dict.fromkeys(present.values()))
            self._session = self._maildrop = None
            if refusal:
                raise refusal
        return {ref: ref for ref in present}

    def close(self) -> None:
        """Sign out and close; never raises. It deletes nothing."""
        self._is_closed = True
        if self._session:
            self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_folder(folder: str) -> None:
    if folder.upper() != FOLDER:
        raise FolderNotFoundError(folder, (FOLDER,))


def _parsed(ref: MailRef, raw: bytes) -> Mail:
    mail = mime.parse(raw, ref=ref)
    return replace(mail, received=received((mail.header("Received") or "").encode("utf-8", "replace")))


def _no_flags(deed: str) -> CapabilityError:
    return CapabilityError(f"POP3 knows no flags, so no mail can be {deed}; use IMAP")


def _no_folders(consequence: str) -> CapabilityError:
    return CapabilityError(f"POP3 has no folder but {FOLDER}, so {consequence}; use IMAP")
