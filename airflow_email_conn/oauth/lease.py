"""One process at a time: a lease in a token store, also in one that cannot compare and set."""

from __future__ import annotations

import json
import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from airflow_email_conn.token_store import ComparesAndSets

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from airflow_email_conn.token_store import TokenStore

__all__ = ["Lease"]

# Airflow's Variables take 20 ms to write, and on a busy API server some hundreds.
_SETTLE: Final = 1.5  # seconds between writing and looking whether it is still ours
_SWIFT: Final = 1.0  # seconds that looking and writing may take together: less than the above


class Lease:
    """The right to renew a credential, for a limited time, so that a process that dies keeps nobody out.

    Where the store compares and sets, of two that want it one gets it. Where it does not, this is Fischer's
    timed mutual exclusion (Lamport, "A fast mutual exclusion algorithm", 1987, section 2): who finds the
    lease free writes its name, waits until every write that had begun before it could be seen must have come,
    and has it if its name still stands. It depends on that wait being longer than any write takes; so each
    measures its own, and one that took too long gives up, whatever it finds. Clocks are compared only to see
    that a lease has expired, for which a minute more or less makes no difference.

    :param seconds: after which it ends by itself: longer than what is done under it can take.
    """

    def __init__(self, store: TokenStore, key: str, seconds: float) -> None:
        self._store = store
        self._key = key
        self._seconds = seconds
        self._mine = ""  # what stands in the store while it is ours

    def take(self) -> bool:
        """Take it if it is free. Takes up to 3 seconds. Raises what the store raises."""
        start = time.monotonic()
        found = self._store.get(self._key)
        if _is_held(found, time.time(), self._seconds):
            return False
        mine = json.dumps({"owner": uuid4().hex, "until": time.time() + self._seconds})
        if isinstance(self._store, ComparesAndSets):
            taken = self._store.compare_and_set(self._key, found, mine)
        else:
            self._store.set(self._key, mine)
            swift = time.monotonic() - start < _SWIFT
            time.sleep(_SETTLE * random.uniform(1.0, 1.3))  # noqa: S311 - spreads load
            taken = swift and self._store.get(self._key) == mine
        self._mine = mine if taken else ""
        return taken

    def give_back(self) -> None:
        """Let the next one have it; never raises: it ends by itself."""
        mine, self._mine = self._mine, ""
        if not mine:
            return
        with suppress(Exception):
            if self._store.get(self._key) == mine:
                self._store.delete(self._key)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_back()


def _is_held(text: str | None, now: float, seconds: float) -> bool:
    """Whether somebody has it. An end that is further away than any of ours is a wrong clock's."""
    try:
        found: Any = json.loads(text or "null")
        until = float(found["until"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
    return now < until < now + 2 * seconds
