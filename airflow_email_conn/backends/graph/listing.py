"""The mails of a folder in order of arrival, while the caller and others move them away.

Graph's own next pages count from the beginning: of a folder that loses mails meanwhile they leave some out.
So each page is asked for by time, from the second on that the page before ended in; only within one second,
or where a page is empty, Graph's link is followed, and nothing is yielded in between.

A page that is too much for the server, or for this process, is asked for in smaller ones; where even one mail
is too much, the ids alone are listed.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from airflow_email_conn.backends.graph.pages import pages
from airflow_email_conn.incoming import TooLongError
from airflow_email_conn.wire.graph import filters, messages
from airflow_email_conn.wire.graph.errors import TooComplexError, TooSlowError
from airflow_email_conn.wire.graph.values import listed, moment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from airflow_email_conn.backends.graph.folders import Place
    from airflow_email_conn.backends.graph.session import GraphSession
    from airflow_email_conn.errors import EmailError
    from airflow_email_conn.model.message import MailSummary
    from airflow_email_conn.model.query import MailQuery
    from airflow_email_conn.wire.graph.filters import Span

__all__ = ["Listing"]

log = logging.getLogger(__name__)

# Mails of one answer. With their header fields, of 10 kB each, 100 are 1 MB; Graph warns of larger pages,
# which end in 504 (Graph: "List messages").
_PAGE: Final = 100
_LESS: Final = 10  # times smaller is the next page, after one that was too much


class Listing:
    """One listing of a folder: those mails that may match, as they were when it began.

    :param first: how many are wanted at least: a smaller first page.
    :ivar is_bare: the mails that come are no more than ids and times.
    """

    def __init__(
        self, session: GraphSession, place: Place, query: MailQuery, *, newest_first: bool, first: int | None
    ) -> None:
        self._session = session
        self._place = place
        self._query = query
        self._newest_first = newest_first
        # One more than wanted: the last second of a page is known to be whole when another one follows.
        self._size = min(_PAGE, first + 1) if first else _PAGE
        self._most = _PAGE  # mails of the pages to come
        self._by_time_only = False
        self.is_bare = False

    def mails(self) -> Iterator[MailSummary]:
        """In order."""
        span = filters.span_of(self._query)
        found, edge = self._from(span)
        if edge and not self._newest_first:
            span = self._until_now(span)
        while edge:
            yield from (mail for mail in found if mail.received != edge)
            self._size = self._most
            span = span.to_second(edge) if self._newest_first else span.from_second(edge)
            found, edge = self._from(span)
        yield from found

    def _from(self, span: Span) -> tuple[list[MailSummary], datetime | None]:
        """The first mails of a span, and the second in which to go on; None: they are all."""
        while True:
            try:
                return self._read(span)
            except TooComplexError:  # noqa: PERF203 - a page is a request
                if self._by_time_only:
                    raise
                log.info("Exchange finds the filter too complex: all mails of the time are looked at")
                self._by_time_only = True
            except (TooLongError, TooSlowError) as exc:
                if self.is_bare:
                    raise
                self._ask_for_less(exc)

    def _ask_for_less(self, error: EmailError) -> None:
        self.is_bare = self._size == 1
        self._size = self._most = _PAGE if self.is_bare else max(1, self._size // _LESS)
        log.info("A page of %r is too much, now there are fewer in one: %s", self._place.name, error)

    def _read(self, span: Span) -> tuple[list[MailSummary], datetime | None]:
        found: list[MailSummary] = []
        wanted = messages.BARE if self.is_bare else messages.SUMMARY
        query = {**self._asked(span), **wanted, "$top": str(self._size)}
        names = self._query.header_names()
        for page in pages(self._session, f"{self._place.path}/messages", query):
            found += (messages.summary(item, self._place.name, names) for item in page.items)
            if not page.following or not found:
                continue
            if found[-1].received not in {None, found[0].received}:
                return found, found[-1].received
            if self._size < self._most:  # many in one second: not by small pages
                self._size = self._most
                return self._read(span)
        return found, None

    def _until_now(self, span: Span) -> Span:
        """Without what comes later: else a caller whose doings bring mails into the folder had no end."""
        newest = {**filters.in_order(self._query, span, newest_first=True, by_time_only=True)}
        query = {**newest, "$select": "receivedDateTime", "$top": "1"}
        answer = self._session.get(f"{self._place.path}/messages", query)
        when = next((moment(item.get("receivedDateTime")) for item in listed(answer.get("value"))), None)
        return span.to_second(when) if when else span

    def _asked(self, span: Span) -> dict[str, str]:
        return filters.in_order(
            self._query, span, newest_first=self._newest_first, by_time_only=self._by_time_only
        )
