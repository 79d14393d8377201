"""Sets of UIDs: `1:5,9` (RFC 9051 9, sequence-set)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_email_conn.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["MAX_DIGITS", "MAX_UIDS", "format_sets", "parse_set"]

MAX_UIDS = 5_000_000  # of one search: a list of them takes 200 MB; no mailbox that is used has as many
MAX_DIGITS = 10  # of a UID or UIDVALIDITY, which have 32 bits; Python refuses to read endless numbers
_SET_LENGTH = 4000  # octets: RFC 7162 4 asks servers for command lines of 8192


def format_sets(uids: Iterable[int]) -> Iterator[str]:
    """The sets that name all these UIDs, ranges compressed, each short enough for a command line."""
    ranges: list[str] = []
    length = 0
    for first, last in _ranges(uids):
        text = str(first) if first == last else f"{first}:{last}"
        if length + len(text) + 1 > _SET_LENGTH:
            yield ",".join(ranges)
            ranges, length = [], 0
        ranges.append(text)
        length += len(text) + 1
    if ranges:
        yield ",".join(ranges)


def _ranges(uids: Iterable[int]) -> Iterator[tuple[int, int]]:
    first = last = 0
    for uid in sorted(set(uids)):
        if uid == last + 1 and first:
            last = uid
            continue
        if first:
            yield first, last
        first = last = uid
    if first:
        yield first, last


def parse_set(text: bytes) -> list[int]:
    """The UIDs that a set names, in the server's order. :raises ProtocolError: not a set, or too large."""
    uids: list[int] = []
    for item in text.split(b","):
        first, colon, last = item[:22].partition(b":")
        try:
            low, high = int(first), int(last if colon else first)
        except ValueError as exc:
            raise ProtocolError("the server sent something that is no set of UIDs") from exc
        if low > high:  # RFC 9051 9: 4:2 means 2:4
            low, high = high, low
        if low < 1 or high - low + len(uids) >= MAX_UIDS:
            raise ProtocolError(f"the server named UIDs below 1, or more than {MAX_UIDS} of them")
        uids.extend(range(low, high + 1))
    return uids
