"""What a single criterion of a query may be, read from what a DAG author or a Jinja template gives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timezone
from typing import Any, TypeAlias

from airflow_email_conn.errors import QueryError

__all__ = ["TextFilter", "Texts", "read_bool", "read_limit", "read_size", "read_texts", "read_time"]

TextFilter: TypeAlias = "str | re.Pattern[str] | Mapping[str, str] | Iterable[TextFilter] | None"
Texts: TypeAlias = "tuple[str | re.Pattern[str], ...]"

_MAX_VALUES = 1000  # values of one criterion; a server's command line has an end too
_MAX_TEXT = 1000  # characters of one value
_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def read_texts(field: str, value: TextFilter) -> Texts:
    """One or more texts and patterns; none means that the criterion is not set.

    :raises QueryError: empty, too long, a bad pattern, or NUL, CR or LF in it.
    """
    if value is None:
        return ()
    if isinstance(value, str | re.Pattern | Mapping):
        return (_text(field, value),)
    if not isinstance(value, Iterable):
        raise QueryError(f"{field}: a text, a pattern or a list of them, not {type(value).__name__}")
    texts = tuple(_text(field, item) for item in value)
    if not texts:
        raise QueryError(f"{field}: an empty list would match nothing; leave it out (None) to take any")
    if len(texts) > _MAX_VALUES:
        raise QueryError(f"{field}: more than {_MAX_VALUES} values")
    return texts


def _text(field: str, value: object) -> str | re.Pattern[str]:
    if isinstance(value, re.Pattern):
        return value
    if isinstance(value, Mapping):
        return _pattern(field, value)
    if not isinstance(value, str):
        raise QueryError(f"{field}: a text or a pattern, not {type(value).__name__}")
    if not value.strip():
        raise QueryError(f"{field}: an empty text would match every mail; leave it out (None) to take any")
    if len(value) > _MAX_TEXT:
        raise QueryError(f"{field}: longer than {_MAX_TEXT} characters")
    if any(c in value for c in "\0\r\n"):
        raise QueryError(f"{field}: must not contain NUL, CR or LF")
    return value


def _pattern(field: str, value: Mapping[Any, Any]) -> re.Pattern[str]:
    source = value.get("regex")
    if set(value) != {"regex"} or not isinstance(source, str):
        raise QueryError(f'{field}: a pattern is written {{"regex": "..."}}')
    try:
        return re.compile(source, re.IGNORECASE)
    except re.error as exc:
        raise QueryError(f"{field}: not a regular expression: {exc}") from exc


def read_bool(field: str, value: object) -> bool | None:
    """True, False, or not set; also as the text that a template renders to."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _BOOLEANS:
        return _BOOLEANS[value.strip().lower()]
    raise QueryError(f"{field}: True, False or None, not {value!r:.40}")


def read_limit(field: str, value: object) -> int | None:
    """A number of mails, at least one, or not set."""
    if value is None:
        return None
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value.strip()[:10])
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise QueryError(f"{field}: a number from 1 on, or None for all, not {value!r:.40}")


def read_size(field: str, value: object) -> int | None:
    """A number of bytes, or not set."""
    if value is None:
        return None
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value.strip()[:20])
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32:
        return value
    raise QueryError(f"{field}: a number of bytes from 0 to 4294967295, not {value!r:.40}")


def read_time(field: str, value: object) -> datetime | None:
    """An aware datetime, or not set; a day means its start in UTC.

    :raises QueryError: not a time, or one without a zone, which would mean something else on every machine.
    """
    if value is None:
        return None
    if isinstance(value, str):
        value = _parsed_time(field, value.strip())
    if isinstance(value, datetime):
        if value.tzinfo is None or value.utcoffset() is None:
            raise QueryError(f"{field}: {value.isoformat()} has no time zone; add one, such as +00:00")
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=timezone.utc)
    raise QueryError(f"{field}: an aware datetime, a date or ISO 8601 text, not {type(value).__name__}")


def _parsed_time(field: str, text: str) -> date:
    try:
        if len(text) == len("2026-01-31"):
            return date.fromisoformat(text)
        # Python 3.10 does not know the Z of ISO 8601.
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as exc:
        wanted = "ISO 8601, such as 2026-01-31T08:00:00+00:00"
        raise QueryError(f"{field}: {text!r:.60} is not a time in {wanted}") from exc
