"""Many exchanges about the mails of one folder: none of them can stop the others."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airflow_email_conn.backends.imap.exchange import UnclearAnswerError
from airflow_email_conn.errors import (
    DeadlineError,
    NetworkError,
    ProtocolError,
    ServerError,
    UnavailableError,
)
from airflow_email_conn.wire.imap import servers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_email_conn.backends.imap.exchange import Exchange
    from airflow_email_conn.backends.imap.folders import Folders
    from airflow_email_conn.backends.imap.session import ImapSession
    from airflow_email_conn.errors import EmailError
    from airflow_email_conn.model.message import MailRef

__all__ = ["Pipeline", "check_evidence"]

_IN_FLIGHT = 100  # commands: their 5 kB fit into any socket's buffer; their answers share one round trip
# Connections that one call may lose. A mail that its server cannot read costs two; a server that loses more
# has another problem.
_MAX_BREAKS = 20
# Seconds before a connection is opened anew: none for the first, then this and always twice as long, up to
# the longest, so that a server that breaks off over many mails is not stormed.
_PAUSE, _LONGEST_PAUSE = 0.1, 1.0


class Pipeline:
    """Runs exchanges in order, many in flight at a time, and goes on behind those that break the session.

    Dovecot ends the session over a mail whose file it cannot read, in the middle of an answer or by BYE
    (seen: no permission, cut short, a wrong size in its name). Then the oldest exchange under way is under
    suspicion: it is tried once more alone, and when the session breaks again, it is left out.
    """

    def __init__(self, session: ImapSession, folders: Folders) -> None:
        self._session = session
        self._folders = folders
        self._in_flight = _IN_FLIGHT

    def run(self, ref: MailRef, exchanges: Iterable[Exchange], *, recover: bool = True) -> None:
        """Run them in the folder of `ref`; each has its `status` then, or its `error`.

        :param recover: connect again when the session breaks.
        :raises UnavailableError: the server wants to be left alone for a while.
        :raises MailNotFoundError, FolderNotFoundError: the folder is not what it was.
        :raises NetworkError, ServerError: the connection is lost, and another one is not to be had.
        """
        waiting = list(exchanges)
        suspect: Exchange | None = None
        breaks = 0
        while waiting:
            batch = [suspect] if suspect else waiting[: self._in_flight]
            self._folders.enter_for(ref)
            try:
                self._session.run_all(batch)
            except (NetworkError, UnavailableError, ProtocolError) as exc:
                breaks += 1
                if not recover or isinstance(exc, DeadlineError) or breaks > _MAX_BREAKS:
                    raise
                if (farewell := self._session.farewell) and servers.is_throttling(farewell):
                    raise
                self._reopen(exc, breaks)
                if isinstance(exc, UnclearAnswerError):  # one at a time it knows whose answer comes
                    self._in_flight = 1
                    _begin_again(batch)
                else:
                    suspect = _tried_again(batch, suspect, exc)
            else:
                suspect = None
            for exchange in batch:
                if exchange.status and servers.is_throttling(exchange.status):
                    raise servers.refusal(exchange.command.name, exchange.status)
                if exchange.early:
                    exchange.renew()
            waiting = [exchange for exchange in waiting if not exchange.done]

    def _reopen(self, lost: EmailError, breaks: int) -> None:
        """Connect again. :raises EmailError: as it was lost, when that is not to be had."""
        self._folders.leave()
        if breaks > 1:
            time.sleep(min(_LONGEST_PAUSE, _PAUSE * 2 ** (breaks - 2)))
        try:
            self._session.reopen()
        except NetworkError as exc:
            raise lost from exc


def _tried_again(batch: Sequence[Exchange], suspect: Exchange | None, exc: EmailError) -> Exchange | None:
    """The exchange over which the session broke, if it may be tried once more; else it has its error."""
    left = _begin_again(batch)
    oldest = left[0] if left else None
    if oldest is None or (oldest.alone and oldest is not suspect):
        return oldest
    oldest.error = exc if not oldest.alone else _to_blame(exc)
    return None


def _begin_again(batch: Sequence[Exchange]) -> list[Exchange]:
    """Those that have not ended, ready for a new connection."""
    left = [exchange for exchange in batch if not exchange.done]
    for exchange in left:
        exchange.renew()
    return left


def _to_blame(lost: EmailError) -> ServerError:
    """The error for a mail that ends every session; it would do so again."""
    error = ServerError(f"the server breaks off over this mail ({lost.message})", lost.server_text)
    error.__cause__ = lost
    return error


def check_evidence(errors: Iterable[EmailError | None], *, others: bool) -> None:
    """Nothing, unless it may be the network that broke off over a mail, or the whole server.

    :param others: other mails could be read.
    :raises NetworkError, ProtocolError, UnavailableError: how the connection was lost.
    """
    for error in errors:
        cause = error.__cause__ if error else None
        if isinstance(cause, NetworkError | ProtocolError | UnavailableError) and not others:
            raise cause
