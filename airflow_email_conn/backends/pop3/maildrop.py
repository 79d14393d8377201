"""What lies in the mailbox during one session: each mail's id, number and size (RFC 1939 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from airflow_email_conn.backends.pop3.session import Request
from airflow_email_conn.errors import FolderNotFoundError, MailNotFoundError, ServerError
from airflow_email_conn.wire.pop3 import commands, servers
from airflow_email_conn.wire.pop3.identity import HeaderDigest, told_apart
from airflow_email_conn.wire.pop3.listing import SizeList, UniqueIdList

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from airflow_email_conn.backends.pop3.session import Pop3Session, Take
    from airflow_email_conn.model.message import MailRef
    from airflow_email_conn.wire.pop3.commands import Command
    from airflow_email_conn.wire.pop3.engine import Answer

__all__ = ["FOLDER", "Entry", "Maildrop", "ambiguous", "windows"]

FOLDER = "INBOX"  # the only one
# Commands on their way at a time: 100 windows for 10,000 mails, and 2 kB that a server holds at most.
WINDOW = 100
WINDOW_OCTETS = 8 * 1024 * 1024  # of bodies in one window, but for the last of them
# Octets that a body may have beyond the size that the server gives: some only guess it (Exchange by default).
_UNANNOUNCED = 32 * 1024 * 1024
_WITNESSES = 5  # mails that are asked for to know whether the server gives any

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Entry:
    """One mail.

    :param number: what commands call it; of this session only.
    :param size: octets, as the server says; 0 where it does not.
    :param uid: the mail's name: its id, unless another mail has that too.
    :param is_copy: its id is another mail's too, so that `uid` may mean the other one in the next session.
    """

    number: int
    size: int
    uid: str
    is_copy: bool = False


class Maildrop:
    """The mails of a session, by id, in order of arrival. No mail comes or goes until the session ends.

    :param shared: ids that several mails have.
    """

    def __init__(
        self, session: Pop3Session, entries: Iterable[Entry], shared: Collection[str] = frozenset()
    ) -> None:
        self.session = session
        self._entries = {entry.uid: entry for entry in entries}
        self._shared = shared
        self._shown: set[str] = set()  # copies that a search of this session came across
        # A server older than CAPA may have TOP or not: the first refusal tells.
        self._has_top = session.has("TOP") or not session.tells

    @classmethod
    def of(cls, session: Pop3Session) -> Maildrop:
        """Ask what is there.

        :raises UnavailableError, ServerError: the server refuses; never taken for a server without ids.
        """
        sizes, ids = _listed(session)
        numbers = sorted({*sizes, *ids})
        if len(ids) < len(numbers):
            numbered = [Entry(number, sizes.get(number, 0), str(number)) for number in numbers]
            ids |= cls(session, numbered).digests([e for e in numbered if e.number not in ids])
        mails = [(ids[number], sizes.get(number, 0)) for number in numbers]
        entries = [
            Entry(number, size, name, is_copy)
            for number, (_, size), (name, is_copy) in zip(numbers, mails, told_apart(mails), strict=True)
        ]
        shared = {uid for (uid, _), entry in zip(mails, entries, strict=True) if entry.is_copy}
        return cls(session, entries, shared)

    def digests(self, entries: Iterable[Entry]) -> dict[int, str]:
        """An id for each mail that the server gives none, made of its header; without TOP all of it comes."""
        found: dict[int, str] = {}
        for window in windows(entries):
            wanted = [(entry, HeaderDigest()) for entry in window]
            there = self.headers([(entry, digest.take) for entry, digest in wanted])
            refused = [pair for pair, is_there in zip(wanted, there, strict=True) if not is_there]
            list(self.bodies([(entry, digest.take) for entry, digest in refused]))
            found |= {entry.number: digest.uid(entry.size) for entry, digest in wanted}
        return found

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All mails, in order of arrival."""
        return tuple(self._entries.values())

    def find(self, uid: str) -> Entry | None:
        """The mail of that id; None when it is gone."""
        return self._entries.get(uid)

    def show(self, uid: str) -> Entry | None:
        """As `find`, for a search: from now on `locate` knows which mail is meant."""
        entry = self.find(uid)
        if entry and entry.is_copy:
            self._shown.add(uid)
        return entry

    def locate(self, ref: MailRef) -> Entry:
        """Where a mail is in this session.

        :raises FolderNotFoundError, MailNotFoundError:
        :raises ServerError: `ref` may mean another mail than it did when it was found.
        """
        if ref.folder.upper() != FOLDER:
            raise FolderNotFoundError(ref.folder, (FOLDER,))
        entry = None if ref.validity else self.find(ref.uid)
        if ref.uid in self._shared or (entry and entry.is_copy and ref.uid not in self._shown):
            raise ambiguous(ref)
        if entry is None:
            raise MailNotFoundError(f"the mail {ref.uid!r:.100} is not in the mailbox (any more)")
        return entry

    def headers(self, wanted: Sequence[tuple[Entry, Take]]) -> Iterator[bool]:
        """Read the header of each mail; take every answer. False: its body is to be asked for instead.

        :param wanted: each with who takes its octets.
        """
        if not self._has_top:
            yield from (False for _ in wanted)
            return
        may_have = not wanted
        for answer in self._read(commands.top, wanted):
            may_have = may_have or answer.ok or servers.is_transient(answer)
            yield answer.ok
        self._has_top = may_have or self.session.has("TOP")

    def bodies(self, wanted: Sequence[tuple[Entry, Take]]) -> Iterator[bool]:
        """Read each whole mail; take every answer. False: the server does not give it.

        A server that says "later" may say so of one mail for ever. So that is about the mail, unless the
        server gives no other mail either.

        :param wanted: as for `headers`.
        :raises UnavailableError: the server cannot now.
        """
        refused, gives_some = None, False
        for answer in self._read(commands.retr, wanted):
            gives_some = gives_some or answer.ok
            if servers.is_transient(answer):
                refused = answer
            yield answer.ok
        if refused and not gives_some and not self._gives_another({entry.number for entry, _ in wanted}):
            raise servers.refusal("to give a mail", refused)

    def _gives_another(self, refused: Collection[int]) -> bool:
        """Whether the server gives a mail that is not one of these: one of the smallest, which cost least."""
        others = [entry for entry in self.entries if entry.number not in refused]
        smallest = sorted(others, key=lambda entry: entry.size)[:_WITNESSES]
        answers = list(self._read(commands.retr, [(entry, _drop) for entry in smallest]))
        return any(answer.ok for answer in answers)

    def _read(
        self, command: Callable[[int], Command], wanted: Sequence[tuple[Entry, Take]]
    ) -> Iterator[Answer]:
        return self.session.run_all(
            [Request(command(entry.number), take, 2 * entry.size + _UNANNOUNCED) for entry, take in wanted]
        )


def _listed(session: Pop3Session) -> tuple[dict[int, int], dict[int, str]]:
    """The size of each mail, and its id, by its number. Raises what `Maildrop.of` does."""
    sizes, ids = SizeList(), UniqueIdList()
    answers = session.run_all([Request(commands.LIST, sizes.take), Request(commands.UIDL, ids.take)])
    servers.check("LIST", next(answers))
    (identified,) = answers
    # Not known there (RFC 1939 7: UIDL is optional), or has it a reason, which will pass?
    if not identified.ok and (identified.code or session.has("UIDL") or servers.is_transient(identified)):
        raise servers.refusal("UIDL", identified)
    return sizes.found, ids.found


def ambiguous(ref: MailRef) -> ServerError:
    """The error for a reference that may mean another mail by now."""
    return ServerError(
        f"the server gives one id to several mails, so {ref.uid!r:.120} may mean another one than it did; "
        "search for it in the same task, and delete it by IMAP"
    )


def _drop(_piece: bytes) -> None:
    """Nobody wants it."""


def windows(
    items: Iterable[_Item], octets: Callable[[_Item], int] = lambda _: 0, first: int = WINDOW
) -> Iterator[list[_Item]]:
    """Cut into runs of at most WINDOW items.

    :param octets: what an item brings; a run that has more than WINDOW_OCTETS ends.
    :param first: items of the first run.
    """
    window: list[_Item] = []
    room, left = WINDOW_OCTETS, min(first, WINDOW)
    for item in items:
        window.append(item)
        room -= octets(item)
        if room <= 0 or len(window) >= left:
            yield window
            window, room, left = [], WINDOW_OCTETS, WINDOW
    if window:
        yield window
