"""What lies in the mailbox during one session: each mail's id, number and size (RFC 1939 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from airflow_email_conn.backends.pop3.session import Request
from airflow_email_conn.wire.pop3 import commands, servers
from airflow_email_conn.wire.pop3.identity import HeaderDigest, told_apart
from airflow_email_conn.wire.pop3.listing import SizeList, UniqueIdList

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from airflow_email_conn.backends.pop3.session import Pop3Session, Take
    from airflow_email_conn.wire.pop3.commands import Command

__all__ = ["FOLDER", "Entry", "Maildrop", "windows"]

FOLDER = "INBOX"  # the only one
# Commands on their way at a time: 100 windows for 10,000 mails, and 2 kB that a server holds at most.
WINDOW = 100
WINDOW_OCTETS = 8 * 1024 * 1024  # of bodies in one window, but for the last of them
# Octets that a body may have beyond the size that the server gives: some only guess it (Exchange by default).
_UNANNOUNCED = 32 * 1024 * 1024

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Entry:
    """One mail.

    :param number: what commands call it; of this session only.
    :param size: octets, as the server says; 0 where it does not.
    :param is_copy: the server gives its id to an earlier mail too.
    """

    number: int
    size: int
    uid: str
    is_copy: bool = False


class Maildrop:
    """The mails of a session, by id, in order of arrival. No mail comes or goes until the session ends."""

    def __init__(self, session: Pop3Session, entries: Iterable[Entry]) -> None:
        self.session = session
        self._entries = {entry.uid: entry for entry in entries}
        # A server older than CAPA may have TOP or not: the first refusal tells.
        self._has_top = session.has("TOP") or not session.tells

    @classmethod
    def of(cls, session: Pop3Session) -> Maildrop:
        """Ask what is there.

        :raises UnavailableError, ServerError: the server refuses; never taken for a server without ids.
        """
        sizes, ids = SizeList(), UniqueIdList()
        answers = session.run_all([Request(commands.LIST, sizes.take), Request(commands.UIDL, ids.take)])
        servers.check("LIST", next(answers))
        (identified,) = answers
        # Not known there (RFC 1939 7: UIDL is optional), or has it a reason, which will pass?
        if not identified.ok and (identified.code or session.has("UIDL") or servers.is_transient(identified)):
            raise servers.refusal("UIDL", identified)
        numbers = sorted({*sizes.found, *ids.found})
        nameless = [number for number in numbers if number not in ids.found]
        digests = cls(session, ()).digests(nameless) if nameless else {}
        uids = (ids.found.get(number) or digests[number] for number in numbers)
        return cls(
            session,
            [
                Entry(number, sizes.found.get(number, 0), uid, is_copy)
                for number, (uid, is_copy) in zip(numbers, told_apart(uids), strict=True)
            ],
        )

    def digests(self, numbers: list[int]) -> dict[int, str]:
        """An id for each mail that the server gives none, made of its header; without TOP all of it comes."""
        found: dict[int, str] = {}
        for window in windows([Entry(number, 0, "") for number in numbers]):
            wanted = [(entry, HeaderDigest()) for entry in window]
            there = self.headers([(entry, digest.take) for entry, digest in wanted])
            refused = [pair for pair, is_there in zip(wanted, there, strict=True) if not is_there]
            list(self.bodies([(entry, digest.take) for entry, digest in refused]))
            found |= {entry.number: digest.uid for entry, digest in wanted}
        return found

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All mails, in order of arrival."""
        return tuple(self._entries.values())

    def find(self, uid: str) -> Entry | None:
        """The mail of that id; None when it is gone."""
        return self._entries.get(uid)

    def headers(self, wanted: Sequence[tuple[Entry, Take]]) -> Iterator[bool]:
        """Read the header of each mail; take every answer. False: its body is to be asked for instead.

        :param wanted: each with who takes its octets.
        :raises UnavailableError: the server cannot now.
        """
        if not self._has_top:
            yield from (False for _ in wanted)
            return
        some = not wanted
        for there in self._read(commands.top, wanted):
            some = some or there
            yield there
        self._has_top = some or self.session.has("TOP")

    def bodies(self, wanted: Sequence[tuple[Entry, Take]]) -> Iterator[bool]:
        """Read each whole mail; take every answer. False: the server does not give it.

        Parameters and errors as `headers`.
        """
        return self._read(commands.retr, wanted)

    def _read(
        self, command: Callable[[int], Command], wanted: Sequence[tuple[Entry, Take]]
    ) -> Iterator[bool]:
        for answer in self.session.run_all(
            [Request(command(entry.number), take, 2 * entry.size + _UNANNOUNCED) for entry, take in wanted]
        ):
            if servers.is_transient(answer):
                raise servers.refusal("to give a mail", answer)
            yield answer.ok


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
