"""Deleting: marked by DELE, done by QUIT, and by nothing else (RFC 1939 5 and 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_email_conn.backends.pop3.maildrop import windows
from airflow_email_conn.backends.pop3.session import Request
from airflow_email_conn.errors import NetworkError
from airflow_email_conn.wire.pop3 import commands, servers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_email_conn.backends.pop3.maildrop import Entry
    from airflow_email_conn.backends.pop3.session import Pop3Session
    from airflow_email_conn.errors import ServerError
    from airflow_email_conn.wire.pop3.engine import Answer

__all__ = ["delete"]


def delete(session: Pop3Session, entries: Iterable[Entry]) -> ServerError | None:
    """Delete these mails, and end the session: what was deleted must not hang on what comes later.

    :returns: None when all were; else the refusal. Then none was, unless it is about QUIT.
    :raises NetworkError: the session broke; where it did so after QUIT, nobody knows what was deleted.
    """
    try:
        refused = _mark(session, entries)
    except BaseException:  # also when the task is cancelled here: QUIT would delete a part of them
        session.abandon()
        raise
    if refused:
        session.abandon()
        return servers.refusal("to delete a mail (DELE), so none was deleted", refused)
    try:
        answer = session.commit()
    except NetworkError as exc:
        raise type(exc)(f"{exc.message}; the mails may be deleted or not, the answer was lost") from exc
    return None if answer.ok else servers.refusal("to delete all of the mails (QUIT)", answer)


def _mark(session: Pop3Session, entries: Iterable[Entry]) -> Answer | None:
    """DELE for each; the first refusal, or None."""
    list(session.run_all(session.forget()))
    for window in windows(entries):
        answers = list(session.run_all([Request(commands.dele(entry.number)) for entry in window]))
        refused = next((answer for answer in answers if not answer.ok), None)
        if refused:
            return refused
    return None
