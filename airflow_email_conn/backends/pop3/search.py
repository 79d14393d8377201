"""A search: POP3 has none, so mails are read as far as it takes to decide.

The sizes decide first. Then the header, where it can drop a mail, or tell that it has no attachments. The
whole mail comes last, and is not kept: only to be streamed past a PartScanner.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from airflow_email_conn.backends.pop3.maildrop import FOLDER, windows
from airflow_email_conn.errors import CapabilityError
from airflow_email_conn.model.message import MailRef, MailSummary
from airflow_email_conn.wire import mime
from airflow_email_conn.wire.mime.envelope import named
from airflow_email_conn.wire.mime.stream import PartScanner
from airflow_email_conn.wire.pop3.received import received

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from airflow_email_conn.backends.pop3.maildrop import Entry, Maildrop
    from airflow_email_conn.model.query import MailQuery

__all__ = ["Search", "check"]

log = logging.getLogger(__name__)

# Octets of a mail up to which it is read at once: its header alone is hardly less. The first where the header
# may drop the mail, the second where it can only tell that there are no attachments.
_SMALL, _SMALL_UNASKED = 8 * 1024, 64 * 1024
# Octets at the beginning of a mail in which `body` is looked for; the text comes first, then the files.
_SEARCHED = 16 * 1024 * 1024

# Criteria that the header has nothing to say about.
_NOT_OF_HEADER = frozenset(
    {"attachment", "attachment_type", "body", "has_attachments", "larger_than", "smaller_than"}
)
_UNKNOWN = ("unseen", "flagged", "answered")


def check(query: MailQuery) -> None:
    """Nothing for a query that POP3 can answer. :raises CapabilityError: one that it cannot."""
    asked = [name for name in _UNKNOWN if getattr(query, name) is not None]
    if asked:
        raise CapabilityError(
            f"{', '.join(asked)}: POP3 knows no flags, so no mail is read, flagged or answered there; "
            "leave it out, or use IMAP"
        )
    if query.raw is not None:
        raise CapabilityError("raw: POP3 has no search syntax of its own; leave it out")


class Search:
    """One search.

    :param maildrop: gives the mails of the session that is open now; asked anew before each window, since a
        deletion in between begins another session, with other numbers.
    """

    def __init__(self, maildrop: Callable[[], Maildrop], query: MailQuery) -> None:
        self._maildrop = maildrop
        self._query = query
        #: See `Mailbox.undecided`.
        self.undecided: list[MailRef] = []
        by_header = set(query.as_dict()) - _NOT_OF_HEADER
        self._small = _SMALL if by_header else _SMALL_UNASKED

    def mails(self, uids: Sequence[str], limit: int | None) -> Iterator[MailSummary]:
        """Those that match, in the order of `uids`; what is gone by then is left out."""
        left = len(uids) if limit is None else limit
        if left <= 0:
            return
        # A small first bite: whoever wants the one newest mail need not read 100.
        for window in windows(uids, first=left):
            for mail in self._matching(self._entries(window), left):
                yield mail
                left -= 1
                if left <= 0:
                    return

    def _entries(self, uids: Iterable[str]) -> list[Entry]:
        maildrop = self._maildrop()
        found = (maildrop.show(uid) for uid in uids)
        return [entry for entry in found if entry and self._fits_by_size(entry)]

    def _fits_by_size(self, entry: Entry) -> bool:
        larger, smaller = self._query.larger_than, self._query.smaller_than
        return (larger is None or entry.size > int(larger)) and (smaller is None or entry.size < int(smaller))

    def _matching(self, entries: Sequence[Entry], limit: int) -> Iterator[MailSummary]:
        """The mails of a window; their bodies come in smaller ones, in the same order."""
        looks = self._look([entry for entry in entries if entry.size > self._small])
        left = [entry for entry in entries if not looks.get(entry.uid, _UNSEEN).is_dropped]
        for window in windows(left, lambda e: 0 if looks.get(e.uid, _UNSEEN).is_settled else e.size, limit):
            whole = [entry.uid for entry in window if not looks.get(entry.uid, _UNSEEN).is_settled]
            looks.update(self._read(whole, looks))
            for entry in window:
                mail = looks.get(entry.uid, _UNSEEN).mail
                if mail:
                    yield mail

    def _look(self, entries: Sequence[Entry]) -> dict[str, _Look]:
        """What the headers tell."""
        readers = [_Reader(entry) for entry in entries]
        there = self._maildrop().headers([(reader.entry, reader.take) for reader in readers])
        return {
            reader.entry.uid: self._judged_by_header(reader)
            for reader, is_there in zip(readers, there, strict=True)
            if is_there
        }

    def _judged_by_header(self, reader: _Reader) -> _Look:
        mail = reader.summary(self._query)
        if not self._query.matches_envelope(mail):
            return _Look(None, is_settled=True)
        if self._query.body or not reader.is_one_text:
            return _Look(mail, is_settled=False)
        return _Look(mail if self._query.matches(mail) else None, is_settled=True)

    def _read(self, uids: Sequence[str], looks: dict[str, _Look]) -> dict[str, _Look]:
        """What the whole mails tell."""
        readers = [_Reader(entry, _SEARCHED if self._query.body else 0) for entry in self._entries(uids)]
        there = self._maildrop().bodies([(reader.entry, reader.take) for reader in readers])
        read = dict.fromkeys(uids, _Look(None, is_settled=True))
        for reader, is_there in zip(readers, there, strict=True):
            uid = reader.entry.uid
            mail = self._judged(reader) if is_there else self._unread(reader.entry, looks.get(uid, _UNSEEN))
            read[uid] = _Look(mail, is_settled=True)
        return read

    def _judged(self, reader: _Reader) -> MailSummary | None:
        mail = reader.summary(self._query)
        return mail if self._query.matches(mail) and reader.has_text(self._query) else None

    def _unread(self, entry: Entry, look: _Look) -> MailSummary | None:
        """A mail that the server does not give, with what is known of it; None where that does not match."""
        blank = MailSummary(ref=MailRef(FOLDER, entry.uid), size=entry.size)
        mail = look.mail or blank
        mail = replace(mail, defects=(*mail.defects, "the server refuses to give this mail"))
        undecided = self._query.body or self._query.has_attachments is False
        if undecided or not self._query.matches(mail):  # else whoever searches is told
            log.warning("Left out the mail %r, which may match: the server refuses to give it", entry.uid)
            self.undecided.append(mail.ref)
            return None
        return mail


class _Look(NamedTuple):
    """What is known of a mail.

    :param mail: its summary; None when it does not match.
    :param is_settled: its body is not needed any more.
    """

    mail: MailSummary | None
    is_settled: bool

    @property
    def is_dropped(self) -> bool:
        return self.mail is None and self.is_settled


_UNSEEN = _Look(None, is_settled=False)


class _Reader:
    """Reads one mail, or its header alone, while it comes.

    :param keep: octets of its beginning that are kept to look for text.
    """

    def __init__(self, entry: Entry, keep: int = 0) -> None:
        self.entry = entry
        self._scanner = PartScanner(ref=MailRef(FOLDER, entry.uid))
        self._keep = keep
        self._start = bytearray()

    def take(self, piece: bytes) -> None:
        """Take the next piece."""
        self._scanner.feed(piece)
        if len(self._start) < self._keep:
            self._start += piece[: self._keep - len(self._start)]

    def summary(self, query: MailQuery) -> MailSummary:
        """The mail, once it is there."""
        scanner = self._scanner
        scanner.finish()
        time = next((value for name, value in scanner.fields if name.lower() == "received"), b"")
        names = query.header_names()
        return MailSummary(
            ref=scanner.ref,
            **scanner.envelope.summary(),
            received=received(time) if time else None,
            size=self.entry.size,
            attachments=scanner.attachments,
            headers=named(scanner.fields, names) if names else (),
            defects=(*scanner.defects, *self._defects()),
        )

    def _defects(self) -> Iterator[str]:
        if self.entry.is_copy:
            yield "another mail has the same id (UIDL): it can be read in this session only, and not deleted"
        if self._keep and self.entry.size > self._keep:
            yield f"the text was looked for in the first {self._keep} bytes"

    @property
    def is_one_text(self) -> bool:
        """Whether the header says that the mail is one text and no more."""
        types = [value for name, value in self._scanner.fields if name.lower() == "content-type"]
        return not self._scanner.attachments and not any(b"multipart" in value.lower() for value in types)

    def has_text(self, query: MailQuery) -> bool:
        """Whether the mail fulfils `body`."""
        return not query.body or query.matches_body(mime.parse(bytes(self._start)))
