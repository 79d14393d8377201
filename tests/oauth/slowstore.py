"""A token store as bad as Airflow's Variables may be: shared, slow, and without compare-and-set."""

from __future__ import annotations

import random
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SlowTokenStore"]


class SlowTokenStore:
    """A table of SQLite; each call waits before it acts, and before it returns.

    :param pauses: seconds from and to, for each of the two waits.
    :param stalls: how many of a thousand waits are of 0.5 to 2 s instead.
    """

    def __init__(self, path: Path, pauses: tuple[float, float] = (0.005, 0.05), stalls: int = 0) -> None:
        self._path = path
        self._pauses = pauses
        self._stalls = stalls
        self._ask("CREATE TABLE IF NOT EXISTS texts (key TEXT PRIMARY KEY, value TEXT)")

    def get(self, key: str) -> str | None:
        """See `TokenStore.get`."""
        self._pause()
        rows = self._ask("SELECT value FROM texts WHERE key = ?", key)
        self._pause()
        return str(rows[0][0]) if rows else None

    def set(self, key: str, value: str) -> None:
        """See `TokenStore.set`."""
        self._pause()
        self._ask("INSERT OR REPLACE INTO texts VALUES (?, ?)", key, value)
        self._pause()

    def delete(self, key: str) -> None:
        """See `TokenStore.delete`."""
        self._pause()
        self._ask("DELETE FROM texts WHERE key = ?", key)
        self._pause()

    def _pause(self) -> None:
        stalls = random.randrange(1000) < self._stalls
        time.sleep(random.uniform(*((0.5, 2.0) if stalls else self._pauses)))

    def _ask(self, statement: str, *values: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self._path, timeout=30)) as connection, connection:
            return connection.execute(statement, values).fetchall()
