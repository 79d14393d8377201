"""Values of a JSON answer as the types that they should have; what has another one counts as missing."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

__all__ = ["listed", "mapping", "moment", "number", "text"]


def text(value: Any) -> str:
    """A text; empty where there is none."""
    return value if isinstance(value, str) else ""


def mapping(value: Any) -> dict[str, Any]:
    """An object; empty where there is none."""
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> list[dict[str, Any]]:
    """The objects of an array."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def number(value: Any) -> int:
    """A number that is not negative, also as text (the values of extended properties); else 0."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value[:18])
    return value if isinstance(value, int) and value > 0 else 0


def moment(value: Any) -> datetime | None:
    """A time in UTC, in whole seconds, as Exchange writes them; None where there is none.

    Its own times are finer than it shows: one that is shown as 09:26:53 may be 09:26:53.9.
    """
    try:
        # Python 3.10 knows neither the Z of ISO 8601 nor seven digits behind the point.
        when = datetime.fromisoformat(text(value)[:19])
    except ValueError:
        return None
    return when.replace(tzinfo=timezone.utc)
