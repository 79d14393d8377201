"""The bridge from blocking code to the event loop. The only module that imports `asyncio`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_thread"]

T = TypeVar("T")


async def in_thread(function: Callable[[], T]) -> T:
    """Call blocking code in a thread and await its result.

    When the awaiting task is cancelled the thread goes on until its own deadline: every step of this package
    has one.
    """
    return await asyncio.to_thread(function)
