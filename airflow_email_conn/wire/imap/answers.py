"""What untagged answers and response codes say, other than FETCH."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from airflow_email_conn.errors import ProtocolError
from airflow_email_conn.wire.imap import grammar, utf7
from airflow_email_conn.wire.imap.sets import MAX_DIGITS, MAX_UIDS, parse_set

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_email_conn.wire.imap.engine import Data, Status

__all__ = ["capabilities", "copied", "found_uids", "listed_folder", "number", "takes_keyword"]

# RFC 6154 2; Cyrus writes them in lower case.
_SPECIAL_USES = {
    name.lower(): name
    for name in ("\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Important", "\\Junk", "\\Sent", "\\Trash")
}
_TOO_MANY = f"the search found more than {MAX_UIDS} mails"
_COPYUID = re.compile(rb"(\d{1,10}) ([0-9:,]+) ([0-9:,]+)$")


def capabilities(names: bytes) -> frozenset[str]:
    """The names of a CAPABILITY answer or code, in upper case: they are case-insensitive."""
    return frozenset(names.decode("ascii", "replace").upper().split())


def found_uids(answers: Iterable[Data]) -> list[int]:
    """UIDs in ascending order from SEARCH and ESEARCH answers (RFC 9051 7.3.4)."""
    uids: list[int] = []
    for answer in answers:
        if answer.kind == "SEARCH":
            uids += _plain_uids(answer)
        elif answer.kind == "ESEARCH":
            uids += _extended_uids(answer)
        if len(uids) > MAX_UIDS:
            raise ProtocolError(_TOO_MANY)
    return sorted(set(uids))


def _plain_uids(answer: Data) -> list[int]:
    try:
        # "(MODSEQ 7)" may follow the numbers (RFC 7162 3.1.5).
        text = bytes(answer.pieces[0]).partition(b"(")[0]  # type: ignore[arg-type]
        if text.count(b" ") > MAX_UIDS:  # before each of them becomes an object
            raise ProtocolError(_TOO_MANY)
        numbers = text.split()
        return [int(uid) for uid in numbers if len(uid) <= MAX_DIGITS]
    except ValueError as exc:
        raise ProtocolError("the server answered a search with something other than numbers") from exc


def _extended_uids(answer: Data) -> list[int]:
    values = grammar.parse(answer.pieces)
    for name, value in pairwise(values):
        if isinstance(name, bytes) and name.upper() == b"ALL" and isinstance(value, bytes):
            return parse_set(value)
    return []


def listed_folder(answer: Data) -> tuple[str, str, str, bool] | None:
    """(name, delimiter, special use, selectable) of a LIST answer; None when it makes no sense."""
    values = grammar.parse(answer.pieces)
    if len(values) < 3 or not isinstance(values[0], list) or not isinstance(values[2], bytes):
        return None
    attributes = {value.decode("ascii", "replace").lower() for value in values[0] if isinstance(value, bytes)}
    special = next((name for key, name in _SPECIAL_USES.items() if key in attributes), "")
    delimiter = values[1].decode("ascii", "replace") if isinstance(values[1], bytes) else ""
    selectable = not attributes & {"\\noselect", "\\nonexistent"}
    # UTF-8 on the wire is not modified UTF-7, but servers without encoding on their side send it.
    return utf7.decode(values[2].decode("utf-8", "replace")), delimiter, special, selectable


def number(statuses: Iterable[Status], code: str) -> str:
    """The number in a code of a SELECT or EXAMINE: UIDVALIDITY, UIDNEXT (RFC 9051 7.1); empty without."""
    for status in statuses:
        if status.code == code and status.args.isdigit() and len(status.args) <= MAX_DIGITS:
            return status.args.decode("ascii")
    return ""


def takes_keyword(statuses: Iterable[Status], keyword: str) -> bool:
    """Whether a folder keeps a keyword, by PERMANENTFLAGS of its SELECT (RFC 9051 7.1)."""
    for status in statuses:
        if status.code == "PERMANENTFLAGS":
            kept = status.args.strip(b"() ").lower().split()
            return b"\\*" in kept or keyword.lower().encode("ascii", "replace") in kept
    return True  # where it is not told, the client should assume so


def copied(statuses: Iterable[Status]) -> tuple[str, dict[int, int]]:
    """UIDVALIDITY of the target and old to new UID, from COPYUID codes (RFC 4315 3); empty without."""
    validity = ""
    uids: dict[int, int] = {}
    for status in statuses:
        match = _COPYUID.match(status.args) if status.code == "COPYUID" else None
        if match:
            validity = match[1].decode("ascii")
            uids.update(zip(parse_set(match[2]), parse_set(match[3]), strict=False))
    return validity, uids
