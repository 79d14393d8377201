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
_SETTLE: Final = 2.5  # seconds between writing and looking whether it is still ours
_SWIFT: Final = 2.0  # seconds that looking and writing may take together: less than the above
_CLAIM: Final = 15.0  # seconds for which somebody's wish to have it keeps others out
_LONGEST: Final = 3 * 3600.0  # seconds; an end that is further away is a wrong clock's


class Lease:
    """The right to renew a credential, for a limited time, so that a process that dies keeps nobody out.

    Where the store compares and sets, of two that want it one gets it. Where it does not, this is Fischer's
    timed mutual exclusion (Lamport, "A fast mutual exclusion algorithm", 1987, section 2): who finds it free
    writes a claim, waits until every claim that had begun before its own could be seen must have come, and
    has it if its own still stands. It depends on that wait being longer than any write takes; so each
    measures its own, and one that took too long gives up, whatever it finds. A claim ends soon: one that was
    given up must not keep others out for as long as a lease does.

    :param seconds: after which it ends by itself: longer than what is done under it can take, and than the
        clocks of two machines differ.
    """

    def __init__(self, store: TokenStore, key: str, seconds: float) -> None:
        self._store = store
        self._key = key
        self._seconds = seconds
        self._mine = self._claim = ""  # what may stand in the store, by us

    def take(self) -> bool:
        """Take it if it is free. Takes 5 seconds at most, beside the store's. Raises what that raises."""
        found = self._store.get(self._key)
        if _is_on(found) or not (isinstance(self._store, ComparesAndSets) or self._is_claimed()):
            return False
        # Before it is written: a write that fails may have come through.
        self._mine = _mark(self._seconds)
        if isinstance(self._store, ComparesAndSets):
            taken = self._store.compare_and_set(self._key, found, self._mine)
        else:
            begin = time.monotonic()
            self._store.set(self._key, self._mine)
            taken = time.monotonic() - begin < _SWIFT
        if not taken:
            self.give_back()
        return taken

    def _is_claimed(self) -> bool:
        """Whether nobody else can be taking it now."""
        begin = time.monotonic()
        if _is_on(self._store.get(self._claim_key)):
            return False
        claim = _mark(_CLAIM)
        self._store.set(self._claim_key, claim)
        if time.monotonic() - begin > _SWIFT:
            return False
        self._claim = claim
        time.sleep(_SETTLE * random.uniform(1.0, 1.2))  # noqa: S311 - spreads load
        # The lease once more: a clock that is fast sees claims end too soon.
        return self._store.get(self._claim_key) == claim and not _is_on(self._store.get(self._key))

    @property
    def _claim_key(self) -> str:
        return f"{self._key}_claim"

    def give_back(self) -> None:
        """Let the next one have it; never raises: it ends by itself."""
        for key, mine in ((self._key, self._mine), (self._claim_key, self._claim)):
            with suppress(Exception):
                if mine and self._store.get(key) == mine:
                    self._store.delete(key)
        self._mine = self._claim = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_back()


def _mark(seconds: float) -> str:
    return json.dumps({"owner": uuid4().hex, "until": time.time() + seconds})


def _is_on(text: str | None) -> bool:
    """Whether somebody has it, or wants it."""
    try:
        found: Any = json.loads(text or "null")
        until = float(found["until"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
    return 0 < until - time.time() < _LONGEST
