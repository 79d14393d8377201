"""Whether mails came to a folder that a session is in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_email_conn.wire.imap.engine import Data

__all__ = ["Arrivals"]


class Arrivals:
    """The server's count of mails (RFC 9051 7.4.1, 7.5.1), which it tells of along with any answer.

    :param some: the count has grown since `forget`. Servers say it once only, be it behind the end of a
        SEARCH that has not seen the mail; and some repeat one that has not changed with each IDLE.
    """

    __slots__ = ("_count", "some")

    def __init__(self) -> None:
        self._count = 0
        self.some = False

    def take(self, data: Data) -> None:
        """What the server says about anything."""
        if data.kind == "EXPUNGE":
            self._count -= 1
        elif data.kind == "EXISTS":
            count = data.number or 0
            self.some = self.some or count > self._count
            self._count = count

    def forget(self) -> None:
        """Whoever looks now sees all that has come."""
        self.some = False
