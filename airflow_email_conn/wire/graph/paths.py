"""Addresses of Graph's resources: what is quoted in them, and which links of the server's are followed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from airflow_email_conn.errors import ProtocolError, QueryError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["address", "is_below", "root", "segment"]

_MAX_SEGMENT: Final = 2000  # characters; the longest ids of Exchange have some hundred
# Legible in a query, and without meaning there (RFC 3986 3.4).
_PLAIN: Final = "$,'():/@"


def segment(text: str) -> str:
    """One segment of a path, such as an id: these hold `/`, `+` and `=`.

    :raises QueryError: no id can be like that.
    """
    if not text or len(text) > _MAX_SEGMENT or text in {".", ".."} or any(ord(c) < 32 for c in text):
        raise QueryError("an id of Microsoft 365 is needed")
    return _quoted(text, "@")


def root(service: str, mailbox: str) -> str:
    """Where a mailbox is.

    :param service: the service root without the version, such as https://graph.microsoft.com.
    :param mailbox: its address, or the id of its user.
    """
    return f"{service}/v1.0/users/{segment(mailbox)}"


def address(root: str, path: str, query: Mapping[str, str] | None = None) -> str:
    """The address of something in a mailbox.

    :param path: begins with a slash; its ids are quoted already, by `segment`.
    :param query: names such as `$top`, and values as they are.
    :raises QueryError: half a surrogate pair, which no address can hold.
    """
    if not query:
        return root + path
    pairs = (f"{_quoted(name, _PLAIN)}={_quoted(value, _PLAIN)}" for name, value in query.items())
    return f"{root}{path}?{'&'.join(pairs)}"


def _quoted(text: str, safe: str) -> str:
    try:
        return quote(text, safe=safe)
    except UnicodeEncodeError:
        raise QueryError(f"{text!r:.100} is no valid Unicode text") from None


def is_below(service: str, link: str) -> bool:
    """Whether a link leads to the same server: only such a one is shown the token.

    :raises ProtocolError: it is no address at all.
    """
    try:
        return _origin(link) == _origin(service)
    except ValueError:
        raise ProtocolError("the server named an address that is none") from None


def _origin(url: str) -> tuple[str, str | None, int, str | None]:
    """Scheme, host, port, and user, which there should be none of. :raises ValueError: no address."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or 443, parts.username
