"""Waiting for a folder to change (RFC 2177), so that an event loop can do the waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_email_conn.wire.imap import commands

if TYPE_CHECKING:
    from typing_extensions import Self

    from airflow_email_conn.backends.imap.session import ImapSession
    from airflow_email_conn.wire.imap.engine import Data

__all__ = ["Idle"]


class Idle:
    """The folder that a session is in, as its server tells about it. See `Watch`.

    Where a server has no IDLE, or refuses it, this listens nevertheless: it hears the connection end, and
    what some servers say unasked.
    """

    __slots__ = ("_flags", "_news", "_session", "pushes")

    def __init__(self, session: ImapSession, *, flags: bool) -> None:
        self._session = session
        self._flags = flags
        self._news = False  # besides new mails
        self.pushes = False

    @classmethod
    def enter(cls, session: ImapSession, *, flags: bool) -> Self:
        """Begin, in a folder that is selected. :param flags: a change of flags is news, too."""
        idle = cls(session, flags=flags)
        if session.has("IDLE"):
            idle.pushes = session.begin(commands.simple("IDLE"), idle._notice) is None
        return idle

    def fileno(self) -> int:
        """See `Watch.fileno`."""
        return self._session.stream.fileno()

    def news(self) -> bool:
        """See `Watch.news`."""
        end = self._session.take(self._notice)
        if end:
            self.pushes = False
            self._news = self._news or end.kind == "OK"  # in peace: time to look, and to begin anew
        return self._news or self._session.arrivals.some

    def stop(self) -> None:
        """See `Watch.stop`."""
        self._session.end(b"DONE", self._notice)

    def _notice(self, data: Data) -> None:
        # A mail that went (EXPUNGE) makes none match.
        self._news = self._news or (self._flags and data.kind == "FETCH")
