"""Which mails a folder has: the UIDs of a search, and the position behind the last mail."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_email_conn.backends.imap.exchange import Exchange
from airflow_email_conn.backends.position import Position
from airflow_email_conn.wire.imap import answers, commands, servers
from airflow_email_conn.wire.imap.search import search_keys

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_email_conn.backends.imap.folders import Folders, Selected
    from airflow_email_conn.backends.imap.session import ImapSession
    from airflow_email_conn.model.query import MailQuery
    from airflow_email_conn.wire.imap.commands import Part
    from airflow_email_conn.wire.imap.engine import Data, Status

__all__ = ["Finding"]

log = logging.getLogger(__name__)


class Finding:
    """Searches the folders of a session."""

    def __init__(self, session: ImapSession, folders: Folders) -> None:
        self._session = session
        self._folders = folders

    def search(self, query: MailQuery, folder: str, after: Position | None) -> tuple[Selected, list[int]]:
        """Enter a folder anew and search it: the folder, and the UIDs in ascending order.

        :raises FolderNotFoundError, QueryError:
        """
        # A NOOP would tell of new mail too (RFC 9051 6.1.2). But when somebody deleted the folder and made it
        # again, Dovecot and Cyrus go on searching what is left of the old one, and find nothing for ever.
        last = after.uid if after else 0
        search = self._search(search_keys(query), last)
        selected = self._folders.enter(folder, anew=True, then=[search.exchange])
        if after and not after.fits(_end(selected, unknown=after.uid)):
            log.warning("The folder %r was made anew: all its mails are searched", selected.name)
            last = 0
            search = self._run(search_keys(query), last)
        if search.status.code == "BADCHARSET":  # Exchange knows no UTF-8: a wider search, in ASCII
            search = self._run(search_keys(query, ascii_only=True), last)
        servers.check("SEARCH", search.status)
        # RFC 9051 6.4.8: `n:*` names the last mail of all, however low its UID.
        return selected, [uid for uid in search.uids() if uid > last]

    def position(self, folder: str) -> Position:
        """See `Mailbox.position`."""
        selected = self._folders.enter(folder, anew=True)
        return _end(selected, unknown=self._last_uid() if selected.uid_next is None else 0)

    def _last_uid(self) -> int:
        """The highest UID, where the server does not tell the next one; 0 in an empty folder."""
        search = self._run([b"UID", b"*"], 0)
        servers.check("SEARCH", search.status)
        return max(search.uids(), default=0)

    def _run(self, keys: Iterable[Part], last: int) -> _Search:
        search = self._search(keys, last)
        self._session.run_all([search.exchange])
        return search

    def _search(self, keys: Iterable[Part], last: int) -> _Search:
        later: list[Part] = [b"UID", b"%d:*" % (last + 1)] if last else []
        return _Search([*later, *keys], returns_set=self._session.has("ESEARCH"))


def _end(selected: Selected, *, unknown: int) -> Position:
    """The end of a folder. :param unknown: the last UID, where the server does not tell the next one."""
    last = unknown if selected.uid_next is None else selected.uid_next - 1
    return Position(selected.name, selected.validity, last)


class _Search:
    """One search command and what it found."""

    def __init__(self, keys: Iterable[Part], *, returns_set: bool) -> None:
        self._found: list[Data] = []
        command = commands.uid_search(keys, returns_set=returns_set)
        self.exchange = Exchange(command, on_data=self._take)

    def _take(self, data: Data) -> None:
        if data.kind in {"SEARCH", "ESEARCH"}:  # nobody keeps what else comes
            self._found.append(data)

    @property
    def status(self) -> Status:
        """How it ended."""
        assert self.exchange.status is not None
        return self.exchange.status

    def uids(self) -> list[int]:
        """What it found, in ascending order."""
        return answers.found_uids(self._found)
