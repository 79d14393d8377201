"""Whole mails and attachments, many at a time: one round trip for a window of them."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from airflow_email_conn.backends.base import Saved, Unfetched
from airflow_email_conn.backends.imap.bodies import Download, WholeMail, failure, too_large
from airflow_email_conn.backends.imap.exchange import Exchange
from airflow_email_conn.backends.imap.pipeline import check_evidence
from airflow_email_conn.errors import EmailError, FolderNotFoundError, MailNotFoundError, ServerError
from airflow_email_conn.model.message import Attachment
from airflow_email_conn.wire.imap import commands, fetch
from airflow_email_conn.wire.imap.sets import format_sets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from airflow_email_conn.backends.base import What, Writable
    from airflow_email_conn.backends.imap.pipeline import Pipeline
    from airflow_email_conn.model.message import Mail, MailRef
    from airflow_email_conn.wire.imap.engine import Data

__all__ = ["Downloads"]

# One window: what comes before anything is handed to the caller, who may use the mailbox in between.
_WINDOW = 250  # mails or files
_WINDOW_BYTES = 4 * 1024 * 1024  # of mails, which wait in memory; of files, which come again after a break
_LOOK_AHEAD = 1000  # references whose sizes are asked for at a time
_UNKNOWN = 64 * 1024  # bytes to reckon with where nobody says how large a mail is


_T = TypeVar("_T", Download, WholeMail)


class Downloads:
    """Fetches and saves in windows, and goes on behind what cannot be had."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def save(self, whats: Iterable[What], target: Callable[[What], Writable]) -> Iterator[Saved | Unfetched]:
        """See `Mailbox.save_many`."""
        downloads = (Download(what, target) for what in whats)
        for window in _windows(downloads, lambda download: _reckoned(download.what)):
            queue = deque(window)
            for download in window:
                download.queue = queue
            for download in self._run(window):
                yield _saved(download)

    def fetch(self, refs: Iterable[MailRef], max_size: int) -> Iterator[Mail | Unfetched]:
        """See `Mailbox.fetch_many`."""
        mails = (WholeMail(ref, max_size) for ref in refs)
        for ahead in _windows(mails, lambda _mail: 1, count=_LOOK_AHEAD):
            sizes = self._sizes(ahead)
            for mail in ahead:
                if sizes.get(mail.uid, 0) > max_size:
                    mail.exchange.error = too_large(max_size)
            for window in _windows(ahead, partial(_size, sizes)):
                for mail in self._run(window):
                    yield _parsed(mail)

    def _sizes(self, mails: Sequence[WholeMail]) -> dict[int, int]:
        """Bytes of the mails of a folder by UID, as far as the server tells."""
        sizes: dict[int, int] = {}

        def take(data: Data) -> None:
            items = fetch.items(data) if data.kind == "FETCH" else {}
            if fetch.size(items):  # flags come unasked, and say nothing of a size
                sizes[fetch.uid(items) or 0] = fetch.size(items)

        known = [mail for mail in mails if not mail.exchange.error]
        sets = format_sets(mail.uid for mail in known)
        asking = [Exchange(commands.uid_fetch(uid_set, fetch.SIZE), take) for uid_set in sets]
        with suppress(MailNotFoundError, FolderNotFoundError):  # fetching will find out for each
            if asking:
                self._pipeline.run(known[0].ref, asking)
        return sizes

    def _run(self, window: Sequence[_T]) -> Iterator[_T]:
        """Those of which something is known then, in order. :raises EmailError: at the end, for others."""
        lost = None
        waiting = [item for item in window if not item.exchange.error]
        exchanges = [item.exchange for item in waiting]
        try:
            if waiting:
                self._pipeline.run(waiting[0].ref, exchanges)
        except (MailNotFoundError, FolderNotFoundError) as exc:  # the folder was rebuilt, or is gone
            for exchange in exchanges:
                exchange.error = exchange.error or exc
        except EmailError as exc:
            lost = exc
        else:
            others = any(exchange.status for exchange in exchanges)
            check_evidence((exchange.error for exchange in exchanges), others=others)
        for item in window:
            if not item.exchange.done:
                break
            yield item
        if lost is not None:
            raise lost


def _windows(items: Iterable[_T], size: Callable[[_T], int], *, count: int = _WINDOW) -> Iterator[list[_T]]:
    """Items in a row of one folder, so many, and of so many bytes, as may be under way at a time."""
    window: list[_T] = []
    held = 0
    for item in items:
        held += size(item)
        full = len(window) >= count or held > _WINDOW_BYTES
        if window and (full or _folder(item.ref) != _folder(window[0].ref)):
            yield window
            window, held = [], size(item)
        window.append(item)
    if window:
        yield window


def _size(sizes: dict[int, int], mail: WholeMail) -> int:
    return 0 if mail.exchange.error else sizes.get(mail.uid, _UNKNOWN)


def _folder(ref: MailRef) -> tuple[str, str]:
    return ref.folder, ref.validity


def _reckoned(what: What) -> int:
    """Bytes on the wire, roughly."""
    return what.size * 4 // 3 if isinstance(what, Attachment) else _UNKNOWN


def _saved(download: Download) -> Saved | Unfetched:
    error = failure(download)
    return Unfetched(download.what, error) if error else Saved(download.what, download.size)


def _parsed(mail: WholeMail) -> Mail | Unfetched:
    error = failure(mail)
    try:
        return Unfetched(mail.ref, error) if error else mail.parsed()
    except ServerError as exc:
        return Unfetched(mail.ref, exc)
