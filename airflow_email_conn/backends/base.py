"""What a mailbox and a sender can do, whatever protocol is behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from airflow_email_conn.model.draft import Draft, SendReceipt
    from airflow_email_conn.model.message import Attachment, Mail, MailRef, MailSummary
    from airflow_email_conn.model.query import MailQuery

__all__ = [
    "MAX_MAIL_SIZE",
    "Capabilities",
    "Folder",
    "Mailbox",
    "Moved",
    "OnStep",
    "Refs",
    "Sender",
    "Writable",
]

# Bytes of a mail that is held in memory as a whole (`fetch`, `raw`). Exchange Online and Gmail take mails of
# at most 150 MB; larger ones, and any attachment, can be streamed by `save`.
MAX_MAIL_SIZE = 160 * 1024 * 1024

Refs: TypeAlias = "MailRef | Iterable[MailRef]"
# What became of the mails that were there: old reference to new.
Moved: TypeAlias = "dict[MailRef, MailRef]"
# Called with the name of each step of opening a connection, just before it: resolve, connect, TLS, sign in.
OnStep: TypeAlias = Callable[[str], None]


class Writable(Protocol):
    """A file open for writing bytes."""

    def write(self, data: bytes, /) -> object:
        """Take all of `data`."""
        ...


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What this mailbox can do; calling what it cannot raises CapabilityError before any I/O.

    :param folders: it has folders other than INBOX, so `move`, `copy` and `create_folder` work.
    :param flags: `mark_seen` and `flag` work.
    :param move: `move` works, without ever touching another mail.
    :param delete: `delete` works, without ever touching another mail.
    :param raw_search: `MailQuery(raw=...)` in the server's own syntax works.
    """

    folders: bool
    flags: bool
    move: bool
    delete: bool
    raw_search: bool


@dataclass(frozen=True, slots=True)
class Folder:
    r"""One folder.

    :param name: decoded, with the server's hierarchy delimiter.
    :param delimiter: that delimiter; empty where names are flat.
    :param special_use: `\Sent`, `\Trash`, `\Archive` ... (RFC 6154 2) as spelt there; or empty.
    :param selectable: it can hold mail.
    """

    name: str
    delimiter: str = ""
    special_use: str = ""
    selectable: bool = True


class Mailbox(Protocol):
    r"""A mailbox, open for reading. Reading never changes it; only the methods that say so do.

    A folder is named by its decoded name, or by its special use, such as `\Archive`.
    Every method may raise ServerError and NetworkError of `errors`; what else it raises stands with it.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What this mailbox can do."""
        ...

    def folders(self) -> tuple[Folder, ...]:
        """All folders, in the server's order."""
        ...

    def create_folder(self, name: str) -> None:
        """Create a folder; one that exists already is fine.

        :raises FolderNotFoundError: a special use that no folder has.
        """
        ...

    def search(
        self,
        query: MailQuery,
        *,
        folder: str = "INBOX",
        limit: int | None = None,
        newest_first: bool = False,
    ) -> Iterator[MailSummary]:
        """Mails that match, in order of arrival, fetched in chunks while you iterate.

        Works on a snapshot taken before the first one is yielded: moving or deleting mails meanwhile is safe.

        :param limit: at most so many matches.
        :raises FolderNotFoundError, QueryError:
        """
        ...

    def fetch(self, ref: MailRef, *, max_size: int = MAX_MAIL_SIZE) -> Mail:
        """The whole mail, parsed. :raises MailNotFoundError: ProtocolError when larger than max_size."""
        ...

    def raw(self, ref: MailRef, *, max_size: int = MAX_MAIL_SIZE) -> bytes:
        """The mail's bytes (RFC 5322). :raises MailNotFoundError: ProtocolError when larger than max_size."""
        ...

    def save(self, what: Attachment | MailRef, target: Writable) -> int:
        """Stream a decoded attachment, or a whole mail as it is, into an open file; returns bytes written.

        :raises MailNotFoundError:
        """
        ...

    def mark_seen(self, refs: Refs, *, seen: bool = True) -> Moved:
        """Mark as read or unread. Returns the mails that were there: each reference, and what it is now."""
        ...

    def flag(self, refs: Refs, *, flagged: bool = True) -> Moved:
        """Set or clear the flag (a star in many mail programs). Returns as `mark_seen`."""
        ...

    def copy(self, refs: Refs, folder: str) -> Moved:
        """Copy into a folder. Returns each reference and that of its copy, with an empty `uid` if unknown.

        :raises FolderNotFoundError: nothing was copied.
        """
        ...

    def move(self, refs: Refs, folder: str) -> Moved:
        """Move into a folder. Returns each reference and its new one, with an empty `uid` if unknown.

        :raises FolderNotFoundError: nothing was moved.
        """
        ...

    def delete(self, refs: Refs) -> Moved:
        """Delete for good, these mails and no others. Returns the references of those that were there."""
        ...

    def close(self) -> None:
        """Sign out and close; never raises."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Sender(Protocol):
    """The outgoing side, open for sending."""

    def send(self, draft: Draft) -> SendReceipt:
        """Send one mail.

        :raises DraftError: it cannot be composed; nothing was sent.
        :raises RefusedError: the server took it for nobody.
        :raises DeliveryUnknownError: it may have gone out.
        """
        ...

    def close(self) -> None:
        """Sign out and close; never raises."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...
