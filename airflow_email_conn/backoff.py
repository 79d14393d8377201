"""How long to wait before trying again."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_email_conn.errors import EmailError

__all__ = ["pause_before"]

_FIRST = 1.0  # seconds before the second try


def pause_before(attempt: int, error: EmailError, *, longest: float) -> float:
    """Seconds: twice as many with each failure, and never the same for two mailboxes of one server.

    :param attempt: 1 for the second try.
    :param error: why the last one failed. A server that is throttling says how long it wants to be left alone
        (`UnavailableError.retry_after`): sooner than that it would only begin to count anew.
    :param longest: at most so many, beside what the server asks for.
    """
    most = min(longest, _FIRST * 2 ** min(attempt - 1, 16))
    asked: float = getattr(error, "retry_after", None) or 0.0
    return asked + random.uniform(most / 2, most)  # noqa: S311 - spreads load
