"""A mailbox in memory: what the protocol's methods mean, and a stand-in for tests of DAGs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_email_conn.backends.base import (
    MAX_MAIL_SIZE,
    Capabilities,
    Folder,
    Saved,
    Unfetched,
    each,
)
from airflow_email_conn.backends.position import Position
from airflow_email_conn.errors import (
    CapabilityError,
    FolderNotFoundError,
    MailNotFoundError,
    ProtocolError,
    ServerError,
)
from airflow_email_conn.model.keywords import KeywordChange
from airflow_email_conn.model.message import Attachment, MailRef
from airflow_email_conn.wire import mime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from types import TracebackType

    from typing_extensions import Self

    from airflow_email_conn.backends.base import Moved, Refs, What, Writable
    from airflow_email_conn.model.message import Mail, MailSummary
    from airflow_email_conn.model.query import MailQuery

__all__ = ["MemoryMailbox"]


@dataclass
class _Stored:
    raw: bytes
    received: datetime | None
    seen: bool = False
    flagged: bool = False
    answered: bool = False
    keywords: tuple[str, ...] = ()


class MemoryMailbox:
    r"""Folders of mails, kept as bytes.

    :param folders: those that exist besides INBOX; a name that is a special use, such as `\Archive`, makes a
        folder called `Archive` that can be named either way.
    """

    capabilities = Capabilities(folders=True, flags=True, move=True, delete=True, raw_search=False, live=True)

    def __init__(self, *folders: str) -> None:
        self._folders = {
            name.lstrip("\\"): Folder(name.lstrip("\\"), "/", name if name.startswith("\\") else "")
            for name in ("INBOX", *folders)
        }
        self._mails: dict[MailRef, _Stored] = {}
        self._last_uid = 0

    def append(
        self,
        raw: bytes,
        *,
        folder: str = "INBOX",
        received: datetime | None = None,
        seen: bool = False,
        flagged: bool = False,
        answered: bool = False,
    ) -> MailRef:
        """Put a mail into a folder."""
        return self._add(self._named(folder), _Stored(raw, received, seen, flagged, answered))

    def _add(self, folder: str, stored: _Stored) -> MailRef:
        self._last_uid += 1
        ref = MailRef(folder, str(self._last_uid), "1", mime.parse(stored.raw).message_id)
        self._mails[ref] = stored
        return ref

    # ------------------------------------------------------------ folders

    def folders(self) -> tuple[Folder, ...]:
        """See `Mailbox.folders`."""
        return tuple(self._folders.values())

    def create_folder(self, name: str) -> None:
        """See `Mailbox.create_folder`."""
        if name.startswith("\\"):
            self._named(name)
        else:
            self._folders.setdefault(name, Folder(name, "/"))

    def _named(self, folder: str) -> str:
        for entry in self._folders.values():
            if folder == entry.name or (folder.startswith("\\") and folder == entry.special_use):
                return entry.name
        if folder.upper() == "INBOX":
            return "INBOX"
        raise FolderNotFoundError(folder, tuple(self._folders))

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
        """See `Mailbox.search`."""
        if query.raw is not None:
            raise CapabilityError("this mailbox has no search syntax of its own; leave out `raw`")
        name = self._named(folder)
        last = after.uid if after and after.folder == name else 0
        refs = [ref for ref in self._mails if ref.folder == name and int(ref.uid) > last]
        return self._matching(query, refs[::-1] if newest_first else refs, limit)

    @property
    def undecided(self) -> tuple[MailRef, ...]:
        """See `Mailbox.undecided`: nothing, ever."""
        return ()

    def position(self, folder: str = "INBOX", since: Position | None = None) -> Position:  # noqa: ARG002
        """See `Mailbox.position`."""
        return Position(self._named(folder), "1", self._last_uid)

    def _matching(self, query: MailQuery, refs: list[MailRef], limit: int | None) -> Iterator[MailSummary]:
        count = 0
        for ref in refs:
            if count == limit or ref not in self._mails:
                continue
            mail = self.fetch(ref)
            if query.matches(mail) and query.matches_body(mail):
                count += 1
                yield mail.summary(query.header_names())

    def _stored(self, ref: MailRef) -> _Stored:
        if ref not in self._mails:
            raise MailNotFoundError(f"the mail {ref.uid} in {ref.folder!r} is gone")
        return self._mails[ref]

    def fetch(self, ref: MailRef, *, max_size: int = MAX_MAIL_SIZE) -> Mail:
        """See `Mailbox.fetch`."""
        stored = self._stored(ref)
        raw = self.raw(ref, max_size=max_size)
        return mime.parse(
            raw,
            ref=ref,
            received=stored.received,
            seen=stored.seen,
            flagged=stored.flagged,
            answered=stored.answered,
            keywords=stored.keywords,
        )

    def raw(self, ref: MailRef, *, max_size: int = MAX_MAIL_SIZE) -> bytes:
        """See `Mailbox.raw`."""
        raw = self._stored(ref).raw
        if len(raw) > max_size:
            raise ProtocolError(f"the mail is larger than {max_size} bytes; stream it to a file with save()")
        return raw

    def save(self, what: Attachment | MailRef, target: Writable) -> int:
        """See `Mailbox.save`."""
        if isinstance(what, MailRef):
            raw = self.raw(what)
            target.write(raw)
            return len(raw)
        written = 0
        for piece in mime.attachment_pieces(self.raw(what.ref), what.part):
            target.write(piece)
            written += len(piece)
        return written

    def fetch_many(
        self, refs: Iterable[MailRef], *, max_size: int = MAX_MAIL_SIZE
    ) -> Iterator[Mail | Unfetched]:
        """See `Mailbox.fetch_many`."""
        for ref in refs:
            try:
                yield self.fetch(ref, max_size=max_size)
            except ServerError as exc:  # noqa: PERF203 - one must not hide the others
                yield Unfetched(ref, exc)

    def save_many(
        self, whats: Iterable[What], target: Callable[[What], Writable]
    ) -> Iterator[Saved | Unfetched]:
        """See `Mailbox.save_many`."""
        for what in whats:
            try:
                self._stored(what.ref if isinstance(what, Attachment) else what)
                yield Saved(what, self.save(what, target(what)))
            except ServerError as exc:  # noqa: PERF203 - one must not hide the others
                yield Unfetched(what, exc)

    # ------------------------------------------------------------ changing

    def _present(self, refs: Refs) -> list[MailRef]:
        return [ref for ref in dict.fromkeys(each(refs)) if ref in self._mails]

    def mark_seen(self, refs: Refs, *, seen: bool = True) -> Moved:
        """See `Mailbox.mark_seen`."""
        present = self._present(refs)
        for ref in present:
            self._mails[ref].seen = seen
        return {ref: ref for ref in present}

    def flag(self, refs: Refs, *, flagged: bool = True) -> Moved:
        """See `Mailbox.flag`."""
        present = self._present(refs)
        for ref in present:
            self._mails[ref].flagged = flagged
        return {ref: ref for ref in present}

    def change_keywords(self, refs: Refs, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Moved:
        """See `Mailbox.change_keywords`."""
        change = KeywordChange(add, remove)
        present = self._present(refs)
        for ref in present:
            self._mails[ref].keywords = change.of(self._mails[ref].keywords)
        return {ref: ref for ref in present}

    def copy(self, refs: Refs, folder: str) -> Moved:
        """See `Mailbox.copy`."""
        target = self._named(folder)
        return {ref: self._add(target, replace(self._mails[ref])) for ref in self._present(refs)}

    def move(self, refs: Refs, folder: str) -> Moved:
        """See `Mailbox.move`."""
        moved = self.copy(refs, folder)
        for ref in moved:
            del self._mails[ref]
        return moved

    def delete(self, refs: Refs) -> Moved:
        """See `Mailbox.delete`."""
        present = self._present(refs)
        for ref in present:
            del self._mails[ref]
        return {ref: ref for ref in present}

    def close(self) -> None:
        """Nothing to close."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
