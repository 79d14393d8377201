"""Waits for mails that match, through whatever happens to the connection meanwhile."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_email_conn.aio import pause
from airflow_email_conn.backoff import pause_before
from airflow_email_conn.errors import EmailError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_email_conn.backends.base import Mailbox
    from airflow_email_conn.backends.position import Position
    from airflow_email_conn.model.message import MailSummary
    from airflow_email_conn.model.query import MailQuery
    from airflow_email_conn.watch import MailWatch

__all__ = ["Lookout", "Wanted", "end_of"]

_LONGEST_PAUSE = 300.0  # seconds between two tries
_CALM = 60.0  # seconds after which a connection that ended counts as one that was well
# Seconds between two looks, however much news there is: the fewest, and the most that they become while each
# look finds nothing. There are servers that tell of the same mail again with each IDLE.
_PACE, _SLOWEST = 1.0, 10.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which mails, and where.

    :param limit: at most so many of them; None for all.
    """

    query: MailQuery
    folder: str = "INBOX"
    limit: int | None = None
    newest_first: bool = False


def end_of(mailbox: Mailbox, query: MailQuery, folder: str, since: Position | None = None) -> Position | None:
    """The end of a folder before it is searched, for the next search to go on from.

    None where that one has to look at all mails again: one that does not match now may do so later (it is
    unread again, say). Then the end is not asked for, which takes a request for each 1,000 mails of Microsoft
    365. Raises as `Mailbox.position`.

    :param since: see `Mailbox.position`.
    """
    can = mailbox.capabilities
    is_settled = query.is_settled(flags=can.flags, index=can.raw_search)
    return mailbox.position(folder, since) if is_settled else None


class Lookout:
    """Looks, waits for a change, and looks again; begins anew when the connection is lost.

    It looks after every connect and never trusts the server to tell. The position moves on after a look that
    was completed, to where the folder ended before it began; but not behind a mail that the server could not
    read then.

    :param position: the end of the folder when it was last looked through; None: never.
    :param patience: seconds without a look that succeeded after which it gives up.
    :param warn: writes to the log, as `Logger.warning` does.
    """

    def __init__(
        self,
        watch: MailWatch,
        wanted: Wanted,
        position: Position | None,
        *,
        patience: float,
        warn: Callable[..., None],
    ) -> None:
        self._watch = watch
        self._wanted = wanted
        self._position = position
        self._patience = patience
        self._warn = warn
        self._failures = 0  # in a row
        self._well_since: float | None = None  # monotonic; the first look that succeeded since a failure
        self._last_look = time.monotonic()
        self._pace = _PACE

    async def mails(self, until: float) -> list[MailSummary]:
        """The mails, once there are any; none when there were none at the time `until` (as time.time).

        :raises EmailError: it will come again; or nobody could look for as long as the patience lasts, or at
            the end.
        """
        while True:
            try:
                return await self._through_one_connection(until)
            except EmailError as exc:  # noqa: PERF203 - a lost connection costs more
                await self._recover(exc, until)

    async def _through_one_connection(self, until: float) -> list[MailSummary]:
        while True:
            found = await self._watch.ask(self._look)
            self._looked()
            if found or time.time() >= until:
                return found
            if await self._watch.change(until - time.time()):
                await self._slow_down(until)

    async def _slow_down(self, until: float) -> None:
        """Pause if the last look was only just. The connection goes on telling meanwhile."""
        early = self._last_look + self._pace - time.monotonic()
        if early <= 0:
            self._pace = _PACE
            return
        self._pace = min(2 * self._pace, _SLOWEST)
        await pause(max(0.0, min(early, until - time.time())))

    def _look(self, mailbox: Mailbox) -> list[MailSummary]:
        """In a thread. What comes while it searches is found by the next look."""
        wanted = self._wanted
        here = end_of(mailbox, wanted.query, wanted.folder, self._position)
        found = list(
            mailbox.search(
                wanted.query,
                folder=wanted.folder,
                limit=wanted.limit,
                newest_first=wanted.newest_first,
                after=here and self._after(here),
            )
        )
        if here and not found:
            self._position = here.short_of(mailbox.undecided)
        return found

    def _after(self, here: Position) -> Position | None:
        last = self._position
        if last and not last.fits(here):
            self._warn("The folder %r was made anew: all its mails are looked at", here.folder)
            return None
        return last

    # ------------------------------------------------------------ failures

    def _looked(self) -> None:
        self._last_look = time.monotonic()
        if self._well_since is None:
            self._well_since = self._last_look

    async def _recover(self, error: EmailError, until: float) -> None:
        """Pause before the next try. :raises EmailError: there is to be none."""
        now = time.monotonic()
        left = until - time.time()
        if not error.retryable or left <= 0 or now - self._last_look > self._patience:
            raise error
        # To be left alone for longer than there is time: trying sooner would make it longer still.
        if (getattr(error, "retry_after", None) or 0.0) > min(left, self._patience):
            raise error
        if self._well_since is not None and now - self._well_since > _CALM:
            self._failures = 0
        self._well_since = None
        self._failures += 1
        seconds = pause_before(self._failures, error, longest=_LONGEST_PAUSE)
        seconds = min(seconds, left)
        self._warn("The mailbox is lost, trying again in %.1f s: %s", seconds, error)
        await pause(seconds)
