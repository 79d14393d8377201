"""A search: the server's listing, or what a delta query told of, decided again by the query's own checks."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from airflow_email_conn.backends.graph.listing import Listing
from airflow_email_conn.backends.graph.mails import path_of
from airflow_email_conn.errors import CapabilityError, MailNotFoundError, UnavailableError
from airflow_email_conn.incoming import TooLongError
from airflow_email_conn.model.message import MailRef, MailSummary
from airflow_email_conn.wire import mime
from airflow_email_conn.wire.graph import attachments, messages, paths

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from airflow_email_conn.backends.graph.folders import Place
    from airflow_email_conn.backends.graph.mails import Mails
    from airflow_email_conn.backends.graph.session import GraphSession
    from airflow_email_conn.model.message import Attachment
    from airflow_email_conn.model.query import MailQuery

__all__ = ["Search", "check"]

log = logging.getLogger(__name__)

# Bytes at the beginning of a mail in which `body` is looked for; the text comes first, then the files.
_SEARCHED: Final = 16 * 1024 * 1024
_MAX_UNREAD: Final = 3  # mails in a row that cannot be read; then it is the server, not the mails


def check(query: MailQuery) -> None:
    """Nothing for a query that can be answered. :raises CapabilityError: one that cannot."""
    if query.raw is not None:
        raise CapabilityError("raw: Microsoft 365 is searched by the other filters only; leave it out")


class Search:
    """One search of a folder."""

    def __init__(self, session: GraphSession, mails: Mails, place: Place, query: MailQuery) -> None:
        self._session = session
        self._mails = mails
        self._place = place
        self._query = query
        self._unread = 0  # in a row
        self._new: frozenset[str] = frozenset()  # ids that were told of just now
        #: See `Mailbox.undecided`.
        self.undecided: list[MailRef] = []

    def listed(self, *, newest_first: bool, limit: int | None) -> Iterator[MailSummary]:
        """Those of the folder that match, in order of arrival."""
        listing = Listing(self._session, self._place, self._query, newest_first=newest_first, first=limit)
        return self._matching(self._whole(listing), limit)

    def of(self, ids: Iterable[str], owed: Collection[str], limit: int | None) -> Iterator[MailSummary]:
        """Those of these mails that match, in the same order; without those that are gone by then.

        :param owed: those that an earlier search was told of, too. Graph tells of mails that it does not
            find for a moment: what is not there is undecided once, and gone the second time.
        """
        self._new = frozenset(ids).difference(owed)
        return self._matching(self._described(MailRef(self._place.name, identity) for identity in ids), limit)

    def _matching(self, mails: Iterable[MailSummary], limit: int | None) -> Iterator[MailSummary]:
        left = limit
        if left == 0:
            return
        for listed in mails:
            if not self._query.matches_envelope(listed):
                continue
            mail = self._with_items(listed)
            if self._query.matches(mail) and self._has_text(mail):
                yield mail
                left = None if left is None else left - 1
                if left == 0:
                    return

    # ------------------------------------------------------------ one mail

    def _whole(self, listing: Listing) -> Iterator[MailSummary]:
        for mail in listing.mails():
            yield from self._described([mail.ref]) if listing.is_bare else [mail]

    def _described(self, refs: Iterable[MailRef]) -> Iterator[MailSummary]:
        return (mail for mail in map(self._told, refs) if mail)

    def _told(self, ref: MailRef) -> MailSummary | None:
        """The summary of a mail; None if it is gone, or cannot be read and may match or not."""
        try:
            item = self._mails.found(ref, messages.SUMMARY)
        except MailNotFoundError:
            self._miss(ref)
            return None
        except (UnavailableError, TooLongError) as exc:
            blank = MailSummary(ref=ref, defects=("the server cannot describe this mail",))
            if self._query.takes_all:
                return blank
            self._leave_out(blank, exc)
            return None
        self._unread = 0
        return messages.summary(item, self._place.name, self._query.header_names())

    def _with_items(self, mail: MailSummary) -> MailSummary:
        """With the names of attached mails, events and contacts, which have to be asked for one by one."""
        if all(attachment.content_type for attachment in mail.attachments):
            return mail
        return replace(mail, attachments=tuple(self._as_file(one) for one in mail.attachments))

    def _as_file(self, attachment: Attachment) -> Attachment:
        if attachment.content_type:
            return attachment
        path = f"{path_of(attachment.ref)}/attachments/{paths.segment(attachment.part)}"
        item: dict[str, Any] = {}
        with suppress(MailNotFoundError):  # by now
            item = self._session.get(path, attachments.ITEM)
        return attachments.of_item(attachment, item)

    def _has_text(self, mail: MailSummary) -> bool:
        """Whether the mail fulfils `body`: nothing that Graph can filter by says the same as its text."""
        if not self._query.body:
            return True
        try:
            start = self._start_of(mail.ref)
        except MailNotFoundError:
            self._miss(mail.ref)
            return False
        except UnavailableError as exc:
            self._leave_out(mail, exc)
            return False
        self._unread = 0
        return self._query.matches_body(mime.parse(start))

    def _start_of(self, ref: MailRef) -> bytes:
        start = bytearray()
        with self._session.stream(f"{path_of(ref)}/$value") as pieces:
            for piece in pieces:
                start += piece
                if len(start) > _SEARCHED:
                    break
        return bytes(start[:_SEARCHED])

    def _miss(self, ref: MailRef) -> None:
        """A mail that is not there."""
        if ref.uid in self._new:
            self.undecided.append(ref)

    def _leave_out(self, mail: MailSummary, error: UnavailableError | TooLongError) -> None:
        """A mail that may match. Raises the error, if it is not the mail's fault."""
        self._unread += 1
        if self._unread >= _MAX_UNREAD or getattr(error, "retry_after", None) is not None:
            raise error
        log.warning("Left out a mail of %r, which may match: %s", mail.ref.folder, error)
        self.undecided.append(mail.ref)
