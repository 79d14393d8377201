"""An asyncio event loop in a thread of its own, for servers that run beside a test."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

__all__ = ["LoopThread"]

_T = TypeVar("_T")


class LoopThread:
    """A running loop; ``call`` brings work to it from the test's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wrap a loop that runs in another thread; ``running`` makes one."""
        self._loop = loop

    @classmethod
    @contextlib.contextmanager
    def running(cls, name: str) -> Iterator[LoopThread]:
        """Run a loop; in the end cancel what is left on it.

        :param name: what the thread is called.
        """
        loop = asyncio.new_event_loop()
        # A daemon, so that a test run that is broken off does not hang on a server.
        thread = threading.Thread(target=loop.run_forever, daemon=True, name=name)
        thread.start()
        runner = cls(loop)
        try:
            yield runner
        finally:
            runner.call(_cancel_all())
            loop.call_soon_threadsafe(loop.stop)
            thread.join(5)
            loop.close()

    def call(self, work: Coroutine[object, object, _T], seconds: float = 10.0) -> _T:
        """Run a coroutine on the loop and wait for its result.

        :param seconds: how long to wait for it.
        :raises TimeoutError: it took longer; on Python 3.10 this is the one of ``concurrent.futures``.
        """
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    # Bounded: pymap answers a cancelled command with a BYE, which may not get away.
    if tasks:
        await asyncio.wait(tasks, timeout=2)
    # Connections that were aborted report it to their protocols in the next rounds of the loop.
    for _ in range(3):
        await asyncio.sleep(0)
