"""One mailbox, watched from an event loop: a command takes a thread while it lasts, waiting takes none."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from airflow_email_conn.aio import in_thread, pause, readable
from airflow_email_conn.backends.base import Watchable
from airflow_email_conn.client import open_mailbox
from airflow_email_conn.errors import EmailError, NetworkError
from airflow_email_conn.lifeline import Lifeline

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_email_conn.backends.base import Mailbox, Watch
    from airflow_email_conn.model.settings import EmailSettings

__all__ = ["MailWatch"]

T = TypeVar("T")


class MailWatch:
    """A mailbox that is opened when it is needed, and has one connection at most.

    :param flags: changes of flags are news, too.
    :param refresh: seconds after which a server that tells of news is asked nevertheless: so long a
        connection that died silently goes unnoticed, and servers end those that do nothing for long.
    :param interval: seconds between two looks where a server tells nothing.
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
        "_settings",
        "_watch",
        "_working",
    )

    def __init__(
        self, settings: EmailSettings, folder: str, *, flags: bool, refresh: float, interval: float
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._flags = flags
        self._refresh = refresh
        self._interval = interval
        self._mailbox: Mailbox | None = None
        self._watch: Watch | None = None  # the mailbox is waiting
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
            left = start + most - time.monotonic()
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
            # POP3 shows nothing new within a session, and locks others out for as long.
            keep = isinstance(self._mailbox, Watchable)
        finally:
            with self._lock:
                self._working = False
                mailbox = None if keep and not self._closed else self._let_go()
            _dismiss(mailbox)
        return answer

    def _ready(self) -> Mailbox:
        """The mailbox, ready to be asked."""
        if self._watch:
            watch, self._watch = self._watch, None
            watch.stop()
        if self._mailbox is None:
            self._mailbox = open_mailbox(self._settings)
        return self._mailbox

    def _begin(self, mailbox: Mailbox) -> Watch | None:
        self._watch = (
            mailbox.watch(self._folder, flags=self._flags) if isinstance(mailbox, Watchable) else None
        )
        return self._watch

    def _let_go(self) -> Mailbox | None:
        mailbox, self._mailbox, self._watch = self._mailbox, None, None
        return mailbox


def _dismiss(mailbox: Mailbox | None) -> None:
    if mailbox is None:
        return
    if isinstance(mailbox, Watchable):
        mailbox.hang_up()
    else:
        mailbox.close()  # may wait: only a thread that has just asked comes here
