"""What a single criterion of a query may be, read from what a DAG author or a Jinja template gives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timezone
from typing import Any, TypeAlias

from airflow_email_conn.errors import QueryError

__all__ = [
    "MAX_VALUES",
    "TextFilter",
    "Texts",
    "plain_text",
    "read_addresses",
    "read_bool",
    "read_limit",
    "read_plain_texts",
    "read_raw",
    "read_regex",
    "read_size",
    "read_texts",
    "read_time",
    "read_types",
]

TextFilter: TypeAlias = "str | re.Pattern[str] | Mapping[str, Any] | Iterable[TextFilter] | None"
Texts: TypeAlias = "tuple[str | re.Pattern[str], ...]"

MAX_VALUES = 1000  # values of one criterion; a server's command line has an end too
_EMPTY_PATTERN = "{}: an empty pattern would match every mail; leave it out (None) to take any"
_MAX_TEXT = 1000  # characters of one value
# Of a pattern that comes as text. Others travel with it in JSON; DEBUG, which prints, does not.
_FLAGS = int(re.IGNORECASE | re.UNICODE)
_KNOWN_FLAGS = int(re.ASCII | re.IGNORECASE | re.MULTILINE | re.DOTALL | re.VERBOSE | re.UNICODE)
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
    if len(texts) > MAX_VALUES:
        raise QueryError(f"{field}: more than {MAX_VALUES} values")
    return texts


def read_addresses(field: str, value: TextFilter) -> Texts:
    """Addresses and domains, ready to compare, or patterns. :raises QueryError: neither of them."""
    return tuple(_address(field, item) for item in read_texts(field, value))


def _address(field: str, value: str | re.Pattern[str]) -> str | re.Pattern[str]:
    if isinstance(value, re.Pattern):
        return value
    text = value.strip().lower()
    local, at, domain = text.rpartition("@")
    if not at or not domain or any(c in text for c in " <>,;*"):
        raise QueryError(
            f"{field}: {value!r:.80} is neither an address (a@b.c) nor a domain (@b.c); "
            'for anything else use {"regex": "..."}'
        )
    return f"{local}@{domain}"


def read_types(field: str, value: TextFilter) -> Texts:
    """MIME types as globs, or patterns. :raises QueryError: a text that fits none."""
    texts = read_texts(field, value)
    for item in texts:
        if isinstance(item, str) and ("/" not in item or ";" in item):
            raise QueryError(
                f"{field}: {item!r:.80} is no MIME type such as text/csv or image/*, without parameters"
            )
    return texts


def read_plain_texts(field: str, value: TextFilter) -> Texts:
    """Texts for a server to find. :raises QueryError: a pattern, which no server can."""
    texts = read_texts(field, value)
    if any(isinstance(item, re.Pattern) for item in texts):
        raise QueryError(f"{field}: the server finds texts, not patterns; match the fetched mail's text")
    return texts


def read_raw(field: str, value: object) -> str | None:
    """A search in the server's own syntax, or not set. :raises QueryError: empty, or no line of text."""
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or any(c in value for c in "\0\r\n"):
        raise QueryError(f"{field}: must not be empty nor contain NUL, CR or LF")
    return value


def _text(field: str, value: object) -> str | re.Pattern[str]:
    if isinstance(value, re.Pattern | Mapping):
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


def read_regex(field: str, value: object) -> re.Pattern[str]:
    """A pattern; a text is one too, and ignores case. :raises QueryError: not a regular expression."""
    if isinstance(value, re.Pattern | Mapping):
        return _pattern(field, value)
    if not isinstance(value, str) or not value.strip():
        raise QueryError(f"{field}: a regular expression that is not empty, not {value!r:.40}")
    return _compiled(field, value, _FLAGS)


def _pattern(field: str, value: re.Pattern[Any] | Mapping[Any, Any]) -> re.Pattern[str]:
    if isinstance(value, re.Pattern):
        if not isinstance(value.pattern, str):
            raise QueryError(f"{field}: a pattern of text, not of bytes")
        if not value.pattern:
            raise QueryError(_EMPTY_PATTERN.format(field))
        return value
    source, flags = value.get("regex"), value.get("flags", _FLAGS)
    known = isinstance(flags, int) and not isinstance(flags, bool) and not flags & ~_KNOWN_FLAGS
    if not set(value) <= {"regex", "flags"} or not isinstance(source, str) or not known:
        raise QueryError(f'{field}: a pattern is written {{"regex": "..."}}')
    if not source:
        raise QueryError(_EMPTY_PATTERN.format(field))
    return _compiled(field, source, flags)


def _compiled(field: str, source: str, flags: int) -> re.Pattern[str]:
    try:
        return re.compile(source, flags)
    # ValueError: flags that exclude each other; OverflowError: a count beyond all bounds.
    except (re.error, ValueError, OverflowError, RecursionError) as exc:
        raise QueryError(f"{field}: not a regular expression: {exc}") from exc


def plain_text(value: str | re.Pattern[str]) -> Any:
    """A text or a pattern in JSON, which `read_texts` makes the same value of."""
    if isinstance(value, str):
        return value
    flags = value.flags & _KNOWN_FLAGS
    return {"regex": value.pattern} | ({} if flags == _FLAGS else {"flags": flags})


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
