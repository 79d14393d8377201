"""Collections of Graph, page by page: the link to the next one is followed as it is (Graph: "Paging")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from airflow_email_conn.errors import ProtocolError
from airflow_email_conn.wire.graph.values import listed, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_email_conn.backends.graph.session import GraphSession

__all__ = ["Page", "items_of", "pages"]

# Pages of one collection: ten million mails. A server that links in a circle ends there.
_MAX_PAGES: Final = 100_000
_MAX_EMPTY: Final = 1000  # pages in a row without anything, which are legal


class Page(NamedTuple):
    """Some of a collection.

    :param following: the link to the next page, or empty.
    :param delta: the link to what changes from now on, behind the last page of a delta query; or empty.
    """

    items: list[dict[str, Any]]
    following: str
    delta: str


def pages(
    session: GraphSession,
    path: str,
    query: Mapping[str, str] | None = None,
    *,
    link: str = "",
    prefer: Sequence[str] = (),
) -> Iterator[Page]:
    """The pages of a collection, each asked for when it is wanted.

    :param link: begin there and not at the path.
    :raises ProtocolError: they do not come to an end. And what `GraphSession.get` and `follow` raise.
    """
    empty = 0
    for _ in range(_MAX_PAGES):
        answer = session.follow(link, prefer=prefer) if link else session.get(path, query, prefer=prefer)
        page = Page(
            listed(answer.get("value")),
            text(answer.get("@odata.nextLink")),
            text(answer.get("@odata.deltaLink")),
        )
        yield page
        empty = 0 if page.items else empty + 1
        if not page.following:
            return
        if empty > _MAX_EMPTY:
            break
        link = page.following
    raise ProtocolError(f"{session.where} goes on for ever with the next page")


def items_of(session: GraphSession, path: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """All that is in a collection."""
    for page in pages(session, path, query):
        yield from page.items
