"""What came to a folder: Graph's delta query, gone on with from a position.

Graph: "Get incremental changes to messages in a folder" and "Use delta query to track changes". The link of a
position leads to what came later. Graph may tell of a mail again, and forgets links when it likes: then
everything is asked for, and what the position knows is left out.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from airflow_email_conn.backends.graph.pages import pages
from airflow_email_conn.backends.position import Position
from airflow_email_conn.errors import MailNotFoundError, ProtocolError, UnavailableError
from airflow_email_conn.wire.graph.errors import NothingThereError, ResyncError
from airflow_email_conn.wire.graph.marks import Known, mark
from airflow_email_conn.wire.graph.values import moment, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_email_conn.backends.graph.folders import Place
    from airflow_email_conn.backends.graph.session import GraphSession

__all__ = ["Arrivals"]

log = logging.getLogger(__name__)

_FIRST: Final = {"changeType": "created", "$select": "id,receivedDateTime"}
_PAGES: Final = ("odata.maxpagesize=1000",)
_TRIES: Final = 3  # rounds that the server breaks off, one after the other


class Arrivals:
    """Asks what came to folders."""

    def __init__(self, session: GraphSession) -> None:
        self._session = session
        self._last: tuple[Position, list[str]] | None = None

    def position(self, place: Place, since: Position | None) -> Position:
        """The end of a folder. What came since an earlier one is kept for one call of `after`."""
        start = since if since and _leads_on(since, place) else None
        new, here = self._round(place, start)
        self._last = (start, new) if start else None
        return here

    def after(self, place: Place, position: Position) -> list[str] | None:
        """The ids of the mails that came later, in order; None: the position holds nothing back."""
        if not _leads_on(position, place):
            return None
        last, self._last = self._last, None
        new = last[1] if last and last[0] == position else self._round(place, position)[0]
        return list(dict.fromkeys([*position.owed, *new]))

    # ------------------------------------------------------------ a round of the delta query

    def _round(self, place: Place, start: Position | None) -> tuple[list[str], Position]:
        """The ids of the mails that `start` does not know, in order, and the position behind them."""
        known = Known(start.uids if start else ())
        link, told, is_anew = self._told(place, start.link if start else "")
        new = [one for one in told if not known.has(one.mark) and not (is_anew and known.is_before(one.mark))]
        # Those that came before are counted as new only where there is something that they are newer than.
        ids = [one.identity for one in sorted(new, key=_time_of)] if start else []
        marks = known.and_also(one.mark for one in told)
        return ids, Position(place.name, place.identity, uids=marks, link=link)

    def _told(self, place: Place, link: str) -> tuple[str, list[_Told], bool]:
        """The next delta link, the mails that were told of, and whether these are all of the folder."""
        for _ in range(_TRIES):
            try:
                return *self._read(place, link), not link
            except (ProtocolError, MailNotFoundError, NothingThereError) as exc:  # noqa: PERF203 - a round is requests
                # A link may die by codes that no page lists, or when graph_url is changed: none is worth
                # waiting with it for ever.
                if not link and not isinstance(exc, ResyncError):
                    raise
                if link:
                    log.info("The position in %r leads nowhere, the folder is read anew: %s", place.name, exc)
                link = ""
        raise UnavailableError(f"{self._session.where} does not let a folder be read through (delta query)")

    def _read(self, place: Place, link: str) -> tuple[str, list[_Told]]:
        told: dict[str, _Told] = {}
        delta = ""
        for page in pages(self._session, f"{place.path}/messages/delta", _FIRST, link=link, prefer=_PAGES):
            told.update((one.identity, one) for one in _read(page.items))
            delta = page.delta
        if not delta:
            raise ProtocolError(f"{self._session.where} gives no delta link")
        return delta, list(told.values())


class _Told(NamedTuple):
    identity: str
    mark: str


def _read(items: Sequence[dict[str, Any]]) -> list[_Told]:
    """The mails of a page, but for those that were removed."""
    found = [item for item in items if "@removed" not in item and text(item.get("id"))]
    return [_Told(item["id"], mark(item["id"], moment(item.get("receivedDateTime")))) for item in found]


def _time_of(one: _Told) -> str:
    """By the second; the order in which Graph told of them decides among equals."""
    return one.mark[:8]


def _leads_on(position: Position, place: Place) -> bool:
    """Whether a position is one of this folder: a folder that was made anew has another id."""
    return bool(position.link or position.uids) and position.validity == place.identity
