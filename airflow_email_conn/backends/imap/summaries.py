"""What a search shows of the mails it found: fetched many at a time, none of which can hide the others."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_email_conn.backends.base import MAX_MAIL_SIZE
from airflow_email_conn.backends.imap.bodies import WholeMail, failure
from airflow_email_conn.backends.imap.exchange import Exchange
from airflow_email_conn.backends.imap.literals import LiteralBuffer
from airflow_email_conn.backends.imap.pipeline import check_evidence
from airflow_email_conn.errors import EmailError, MailNotFoundError, ProtocolError, UnavailableError
from airflow_email_conn.model.message import MailSummary
from airflow_email_conn.wire.imap import commands, fetch, servers
from airflow_email_conn.wire.imap.sets import format_sets

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_email_conn.backends.imap.pipeline import Pipeline
    from airflow_email_conn.model.message import MailRef
    from airflow_email_conn.model.query import MailQuery
    from airflow_email_conn.wire.imap.engine import Data
    from airflow_email_conn.wire.imap.fetch import Items

__all__ = ["Summaries"]

log = logging.getLogger(__name__)


class Summaries:
    """Fetches summaries from the folder of a place, a MailRef whose UID does not matter."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        #: See `Mailbox.undecided`; whoever begins a search empties it.
        self.undecided: list[MailRef] = []

    def matching(self, query: MailQuery, place: MailRef, uids: Sequence[int]) -> list[MailSummary]:
        """Summaries of those that match, in the order of `uids`; mails that vanished are left out.

        One that the server cannot read has nothing but a defect that says so.
        """
        names = query.header_names()
        found: dict[int, Items] = {}
        if query.asks_attachments:
            # Their structures first: most of what a search finds has not the file, and headers are larger.
            answers = self._answers(place, uids, fetch.STRUCTURE, b"BODYSTRUCTURE", found)
            uids = [uid for uid, items in answers if _has_files(query, place, items)]
        asked = fetch.summary_items(names, structure=not query.asks_attachments)
        answers = self._answers(place, uids, asked, b"RFC822.SIZE", found)
        if any(_lacks_header(items) for _, items in answers):  # lost behind a structure that nobody can read
            again = [uid for uid, items in answers if _lacks_header(items)]
            self._answers(place, again, fetch.summary_items(names, structure=False), b"RFC822.SIZE", found)
        summaries = (self._summary(query, place, uid, items) for uid, items in answers)
        return [mail for mail in summaries if query.matches(mail)]

    def _summary(self, query: MailQuery, place: MailRef, uid: int, items: Items | EmailError) -> MailSummary:
        if isinstance(items, EmailError):
            return self._unreadable(query, place, uid, items)
        if _lacks_header(items):
            error = ProtocolError("what it says about it breaks the protocol")
            return self._unreadable(query, place, uid, error)
        mail = fetch.summary(items, place.folder, place.validity, query.header_names())
        needs_parts = query.asks_attachments or fetch.is_salvaged(items)
        if needs_parts and not fetch.describes_parts(items) and query.matches_envelope(mail):
            return self._with_parts(query, mail)
        return mail

    def _with_parts(self, query: MailQuery, mail: MailSummary) -> MailSummary:
        """A mail whose parts the server did not describe, with its attachments as we read them."""
        whole = WholeMail(mail.ref, MAX_MAIL_SIZE)
        self._run(mail.ref, [whole.exchange])
        try:
            if error := failure(whole):
                raise error
            attachments = whole.parsed().attachments
        except EmailError as exc:
            if not query.matches(mail):
                self._leave_out(mail, exc)
            return mail
        defects = tuple(defect for defect in mail.defects if defect != fetch.UNDESCRIBED)
        return replace(mail, attachments=attachments, defects=defects)

    def _unreadable(self, query: MailQuery, place: MailRef, uid: int, error: EmailError) -> MailSummary:
        ref = replace(place, uid=str(uid))
        mail = MailSummary(ref=ref, defects=(f"the server cannot read this mail: {error.message}",))
        if not query.matches(mail):  # else whoever searches is told
            self._leave_out(mail, error)
        return mail

    def _leave_out(self, mail: MailSummary, error: EmailError) -> None:
        ref = mail.ref
        log.warning("Left out the mail %s in %r, which may match: %s", ref.uid, ref.folder, error)
        self.undecided.append(ref)

    def _run(self, ref: MailRef, exchanges: Sequence[Exchange], *, recover: bool = True) -> None:
        """As `Pipeline.run`; a search that its folder does not outlast may be tried again."""
        try:
            self._pipeline.run(ref, exchanges, recover=recover)
        except MailNotFoundError as exc:
            raise UnavailableError(f"the folder {ref.folder!r} was made anew during the search") from exc

    def _answers(
        self, place: MailRef, uids: Sequence[int], items: bytes, needed: bytes, found: dict[int, Items]
    ) -> list[tuple[int, Items | EmailError]]:
        """What the server says about each mail, or why it does not, in the order of `uids`.

        :param needed: the item that an answer about a mail has for sure.
        :param found: what it said before, to which this is added.
        """
        if not uids:
            return []
        ref = replace(place, uid=str(uids[0]))
        together = [_Answers(uid_set, items, uids, found) for uid_set in format_sets(uids)]
        # Over the one mail that was found, no other could be hidden: there an error is an error.
        self._run(ref, [answers.exchange for answers in together], recover=len(uids) > 1)
        errors: dict[int, EmailError] = {}
        if any(answers.error for answers in together):  # one of them is to blame, and only that one
            alone = {
                uid: _Answers(str(uid), items, [uid], found)
                for uid in uids
                if needed not in found.get(uid, {}) or not fetch.is_whole(found[uid], items)
            }
            self._run(ref, [answers.exchange for answers in alone.values()])
            errors = {uid: answers.error for uid, answers in alone.items() if answers.error}
            check_evidence(errors.values(), others=bool(found.keys() - errors.keys()))
        told = ((uid, errors.get(uid) or found.get(uid, {})) for uid in uids)
        return [
            (uid, what)
            for uid, what in told
            if isinstance(what, EmailError) or needed in what or fetch.is_salvaged(what)
        ]


class _Answers:
    """One FETCH of some mails.

    :param found: by UID, what the answers say, also those of others: one mail may be answered in several.
    """

    def __init__(self, uid_set: str, items: bytes, uids: Iterable[int], found: dict[int, Items]) -> None:
        self._uids = frozenset(uids)
        self._found = found
        self._buffer = LiteralBuffer(limit=fetch.MAX_HEADER)
        self.exchange = Exchange(
            commands.uid_fetch(uid_set, items),
            on_data=self._take,
            on_literal=self._buffer.take,
            uids=self._uids,
            again=self._buffer.clear,
            alone=len(self._uids) == 1,
        )

    @property
    def error(self) -> EmailError | None:
        """Why the server did not answer; None also for a mail that is gone (RFC 5530 3: EXPUNGEISSUED)."""
        status = self.exchange.status
        if status is None or status.kind == "OK" or servers.is_gone(status):
            return self.exchange.error
        return servers.fetch_refusal(status)

    def _take(self, data: Data) -> None:
        # RFC 9051 7: answers may be about other mails.
        if data.kind == "FETCH":
            items = fetch.items(self._buffer.fill(data))
            uid = fetch.uid(items)
            if uid in self._uids:
                self._found.setdefault(uid, {}).update(items)


def _has_files(query: MailQuery, place: MailRef, items: Items | EmailError) -> bool:
    """Whether a mail may match, by its attachments alone; one that cannot be read has none."""
    if isinstance(items, EmailError):
        return True  # as one that cannot be read it will be told
    if not fetch.describes_parts(items):
        return True  # it will be read to find out
    return query.matches_attachments(fetch.structure_summary(items, place.folder, place.validity))


def _lacks_header(items: Items | EmailError) -> bool:
    return not isinstance(items, EmailError) and b"RFC822.SIZE" not in items
