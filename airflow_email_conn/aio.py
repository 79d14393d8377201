"""The bridge from blocking code to the event loop. The only module that imports `asyncio`."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_thread"]

# Mails that are sent at the same time; more of them wait.
_THREADS = 8

T = TypeVar("T")


async def in_thread(function: Callable[[], T]) -> T:
    """Call blocking code in a thread and await its result.

    When the awaiting task is cancelled the thread goes on until its own deadline: every step of this package
    has one.
    """
    context = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_pool(), lambda: context.run(function))


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    # Not the loop's own pool: silent servers would hold up everybody else's threads in a triggerer, and with
    # them asyncio's name resolution.
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="email")
