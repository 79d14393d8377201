"""One mailbox, watched from an event loop: a command takes a thread while it lasts, waiting takes none."""

from __future__ import annotations

import random
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from airflow_email_conn.aio import in_thread, pause, readable
from airflow_email_conn.backends.base import Watchable
from airflow_email_conn.client import open_mailbox
from airflow_email_conn.errors import EmailError, NetworkError
from airflow_email_conn.lifeline import Lifeline

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_email_conn.backends.base import Mailbox, Watch
    from airflow_email_conn.model.settings import EmailSettings
    from airflow_email_conn.oauth.keeper import Tokens

__all__ = ["MailWatch"]

T = TypeVar("T")

# What is left of a token's life when the session is renewed: of an hour 1 to 4 minutes, each watch another
# part, since a thousand may share one token and one server. Tokens are renewed from 5 minutes on.
_LEFT: Final = (0.05, 0.2)
_MOST: Final = 1200.0  # seconds of which that is a part at most
_LEAST: Final = 1.0  # seconds that a session lasts, whatever the authority says of its token


class MailWatch:
    """A mailbox that is opened when it is needed, and has one connection at most.

    One that is not `live` is closed after each question. A session of a Watchable one that was opened with an
    access token is replaced by a new one before the token ends: servers close it then, some without a word.

    :param flags: changes of flags are news, too.
    :param refresh: seconds after which a server that tells of news is asked nevertheless: so long a
        connection that died silently goes unnoticed, and servers end those that do nothing for long.
    :param interval: seconds between two looks where a server tells nothing.
    :param tokens: where OAuth tokens rest.
    """

    __slots__ = (
        "_closed",
        "_flags",
        "_folder",
        "_interval",
        "_lifeline",
        "_lock",
        "_mailbox",
        "_refresh",
        "_replaced_at",
        "_settings",
        "_tokens",
        "_watch",
        "_working",
    )

    def __init__(
        self,
        settings: EmailSettings,
        folder: str,
        *,
        flags: bool,
        refresh: float,
        interval: float,
        tokens: Tokens | None = None,
    ) -> None:
        self._settings = settings
        self._tokens = tokens
        self._folder = folder
        self._flags = flags
        self._refresh = refresh
        self._interval = interval
        self._mailbox: Mailbox | None = None
        self._watch: Watch | None = None  # the mailbox is waiting
        self._replaced_at: float | None = None  # monotonic; when its session is to be renewed
        self._lifeline = Lifeline()
        # A thread that works and a loop that closes must agree on who throws the mailbox away.
        self._lock = threading.Lock()
        self._working = False
        self._closed = False

    async def ask(self, question: Callable[[Mailbox], T]) -> T:
        """Ask the mailbox something, in a thread; it is opened first where it is not open.

        :raises EmailError: what the question or opening raises; the connection is closed then.
        """
        server = self._settings.incoming
        place = (server.host, server.port) if server else None
        return await in_thread(partial(self._work, question), server=place)

    async def change(self, seconds: float) -> bool:
        """Wait until the folder may have changed or it is time to look anyway, for so many seconds at most.

        Not every change is told, and not by every server: look after it in any case.

        :returns: whether the server told of a change.

        :raises EmailError: the connection is lost.
        """
        watch = await self.ask(self._begin)
        if watch is None:
            await pause(max(0.0, min(seconds, self._interval)))
            return False
        # Not renewed by what the server says: "* OK Still here" tells nothing of its being well.
        start = time.monotonic()
        while not self._has_news(watch):
            most = min(seconds, self._refresh if watch.pushes else self._interval)
            end = start + most
            if self._replaced_at is not None:
                end = min(end, self._replaced_at)
            left = end - time.monotonic()
            if left <= 0 or not await readable(watch.fileno(), left):
                return False
        return True

    def close(self) -> None:
        """Close at once, whatever is going on: also from a task that is being cancelled; never raises."""
        with self._lock:
            self._closed = True
            mailbox = None if self._working else self._let_go()
        _dismiss(mailbox)
        self._lifeline.cut()

    # ------------------------------------------------------------ on the loop

    def _has_news(self, watch: Watch) -> bool:
        try:
            return watch.news()
        except EmailError:
            _dismiss(self._let_go())
            raise

    # ------------------------------------------------------------ in a thread

    def _work(self, question: Callable[[Mailbox], T]) -> T:
        with self._lock:
            if self._closed:
                raise NetworkError("the mailbox is closed")
            self._working = True
        keep = False
        try:
            with self._lifeline:
                answer = question(self._ready())
            keep = self._mailbox is not None and self._mailbox.capabilities.live
        finally:
            with self._lock:
                self._working = False
                mailbox = None if keep and not self._closed else self._let_go()
            _dismiss(mailbox)
        return answer

    def _ready(self) -> Mailbox:
        """The mailbox, ready to be asked."""
        if self._replaced_at is not None and time.monotonic() >= self._replaced_at:
            _dismiss(self._let_go())
        if self._watch:
            watch, self._watch = self._watch, None
            watch.stop()
        if self._mailbox is None:
            self._mailbox = open_mailbox(self._settings, tokens=self._tokens)
            self._replaced_at = _end_of(self._mailbox)
        return self._mailbox

    def _begin(self, mailbox: Mailbox) -> Watch | None:
        self._watch = (
            mailbox.watch(self._folder, flags=self._flags) if isinstance(mailbox, Watchable) else None
        )
        return self._watch

    def _let_go(self) -> Mailbox | None:
        mailbox, self._mailbox, self._watch = self._mailbox, None, None
        return mailbox


def _end_of(mailbox: Mailbox) -> float | None:
    """When a session is to be renewed, as time.monotonic."""
    until = mailbox.signed_in_until if isinstance(mailbox, Watchable) else None
    if until is None:
        return None
    left = until - time.time()
    early = min(left, _MOST) * random.uniform(*_LEFT)  # noqa: S311 - spreads load
    return time.monotonic() + max(left - early, _LEAST)


def _dismiss(mailbox: Mailbox | None) -> None:
    if mailbox is None:
        return
    if isinstance(mailbox, Watchable):
        mailbox.hang_up()
    else:
        mailbox.close()  # waits for a server at most where it is not live: then a thread has just asked it
