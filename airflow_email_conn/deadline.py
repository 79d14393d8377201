"""How long one step of waiting may take, whatever is waited for."""

from __future__ import annotations

import time
from typing import Final

from airflow_email_conn.errors import DeadlineError

__all__ = ["Deadline"]

_PROGRESS: Final = 16 * 1024  # bytes a step must move within one timeout to be given another


class Deadline:
    """How long one step may take.

    :param seconds: time for the step.
    :param step: what is being waited for, for the error message.
    :param renewable: the step may move much data and gets the same time again for every 16 kB, so that a
        long download may take its time, and one byte every few seconds may not.
    """

    __slots__ = ("_end", "_moved", "_paused_at", "_renewable", "seconds", "step")

    def __init__(self, seconds: float, step: str, *, renewable: bool = False) -> None:
        self.seconds = seconds
        self.step = step
        self._renewable = renewable
        self._end = time.monotonic() + seconds
        self._moved = 0
        self._paused_at = 0.0

    def remaining(self) -> float:
        """Seconds left. :raises DeadlineError: none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.error()
        return left

    def moved(self, count: int) -> None:
        """Count bytes that were read or written."""
        self._moved += count
        if self._renewable and self._moved >= _PROGRESS:
            self._moved = 0
            self._end = time.monotonic() + self.seconds

    def pause(self) -> None:
        """Stop counting until `resume`: the caller writes a file, say. (A `with` would cost more than it.)"""
        self._paused_at = time.monotonic()

    def resume(self) -> None:
        """Go on counting."""
        self._end += time.monotonic() - self._paused_at

    def error(self) -> DeadlineError:
        """The error to raise."""
        return DeadlineError(f"{self.step}: not done within {self.seconds:g} s (the connection's timeout)")
