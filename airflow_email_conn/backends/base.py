"""What a mailbox and a sender can do, whatever protocol is behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from airflow_email_conn.model.message import MailRef

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from airflow_email_conn.backends.position import Position
    from airflow_email_conn.errors import EmailError
    from airflow_email_conn.model.draft import Draft, SendReceipt
    from airflow_email_conn.model.message import Attachment, Mail, MailSummary
    from airflow_email_conn.model.query import MailQuery
    from airflow_email_conn.model.server import Credential

__all__ = [
    "MAX_MAIL_SIZE",
    "Capabilities",
    "Folder",
    "Mailbox",
    "Moved",
    "OnStep",
    "Refs",
    "Renew",
    "Saved",
    "Sender",
    "Unfetched",
    "Watch",
    "Watchable",
    "What",
    "Writable",
    "each",
]

# Bytes of a mail that is held in memory as a whole (`fetch`, `raw`). Exchange Online and Gmail take mails of
# at most 150 MB; larger ones, and any attachment, can be streamed by `save`.
MAX_MAIL_SIZE = 160 * 1024 * 1024

Refs: TypeAlias = "MailRef | Iterable[MailRef]"
# What became of the mails that were there: old reference to new.
Moved: TypeAlias = "dict[MailRef, MailRef]"
# What can be saved: a decoded attachment, or a whole mail as it is.
What: TypeAlias = "Attachment | MailRef"
# Called with the name of each step of opening a connection, just before it: resolve, connect, TLS, sign in.
OnStep: TypeAlias = Callable[[str], None]
# Gives a bearer credential in the place of one that was refused, or ends soon. The argument is what the next
# token must claim (a claims challenge, as JSON text), or empty. Raises what fetching a token raises.
Renew: TypeAlias = "Callable[[str], Credential]"


def each(refs: Refs) -> Iterable[MailRef]:
    """The references, one or many."""
    return [refs] if isinstance(refs, MailRef) else refs


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
    :param live: what comes later shows in it too, and it keeps nobody else out: it may stay open for long.
    """

    folders: bool
    flags: bool
    move: bool
    delete: bool
    raw_search: bool
    live: bool


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


@dataclass(frozen=True, slots=True)
class Saved:
    """Something was saved.

    :param size: bytes written.
    """

    what: What
    size: int


@dataclass(frozen=True, slots=True)
class Unfetched:
    """One of many could not be fetched; the others are not affected.

    :param error: about this one alone: it is gone, too large, or the server cannot read it.
    """

    what: What
    error: EmailError


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
        after: Position | None = None,
    ) -> Iterator[MailSummary]:
        """Mails that match, in order of arrival, fetched in chunks while you iterate.

        Works on a snapshot taken before the first one is yielded: moving or deleting mails meanwhile is safe.
        A mail that the server cannot describe is there, with `defects` that say so, where its envelope
        is not needed to decide.

        :param limit: at most so many matches.
        :param after: only mails that came later than this.
        :raises FolderNotFoundError, QueryError:
        """
        ...

    @property
    def undecided(self) -> tuple[MailRef, ...]:
        """What the last search has left out so far, since the server could not read it; it may match.

        The server may be able to a moment later: whoever goes on from a position goes on `short_of` these.
        """
        ...

    def position(self, folder: str = "INBOX", since: Position | None = None) -> Position:
        """The end of a folder as it is now.

        :param since: an earlier one, to go on from where that is cheaper (Graph). The next search after it
            takes what was found on the way, and what it owes: the end owes nothing.
        :raises FolderNotFoundError:
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

    def fetch_many(
        self, refs: Iterable[MailRef], *, max_size: int = MAX_MAIL_SIZE
    ) -> Iterator[Mail | Unfetched]:
        """Whole mails, parsed, in the order of `refs`; few of them are in memory at a time."""
        ...

    def save_many(
        self, whats: Iterable[What], target: Callable[[What], Writable]
    ) -> Iterator[Saved | Unfetched]:
        """Stream many attachments or mails into files, in the order of `whats`.

        The next ones are on their way while one is written: much faster than `save` for each.

        :param target: called for each one when its first bytes are there, and after the last of the one
            before; for one that could not be fetched at all it may not be called.
        """
        ...

    def mark_seen(self, refs: Refs, *, seen: bool = True) -> Moved:
        """Mark as read or unread. Returns the mails that were there: each reference, and what it is now."""
        ...

    def flag(self, refs: Refs, *, flagged: bool = True) -> Moved:
        """Set or clear the flag (a star in many mail programs). Returns as `mark_seen`."""
        ...

    def change_keywords(self, refs: Refs, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Moved:
        """Add keywords (Outlook: categories), then remove others. Returns as `mark_seen`.

        :param add: by IMAP without spaces and in ASCII; Outlook takes any text of up to 255 characters. Case
            does not tell two apart. `remove` likewise; one that a mail does not have is no error.
        :raises QueryError: no keyword of this server's.
        """
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


class Watch(Protocol):
    """A folder that its server tells about by itself, so that nobody has to ask. Only `stop` blocks."""

    @property
    def pushes(self) -> bool:
        """Whether the server has promised to tell; if not, ask it from time to time."""
        ...

    def fileno(self) -> int:
        """The socket that becomes readable when `news` should be asked."""
        ...

    def news(self) -> bool:
        """Take what has come; whether a search may find something else than the last one in this mailbox.

        :raises UnavailableError, NetworkError, ProtocolError: the connection is lost.
        """
        ...

    def stop(self) -> None:
        """Go back to asking. :raises NetworkError: the server does not answer any more."""
        ...


@runtime_checkable
class Watchable(Protocol):
    """What a mailbox has besides, if it can wait for a folder to change; others are asked again and again."""

    @property
    def signed_in_until(self) -> float | None:
        """When the access token ends that it was opened with, as time.time; None: never, or not known."""
        ...

    def watch(self, folder: str = "INBOX", *, flags: bool = False) -> Watch:
        """Begin to wait; until `stop` nothing else may be asked of the mailbox.

        :param flags: changes of flags are news, too.
        """
        ...

    def hang_up(self) -> None:
        """Sign out and close without waiting for the server, at any time but in a call; never raises."""
        ...


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
