"""The bridge from blocking code to the event loop. The only module that imports `asyncio`."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import Counter, deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_email_conn.errors import DeadlineError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

__all__ = ["in_thread", "pause", "readable", "within"]

# Threads for all mailboxes and mails of a process. Each may have another beside it that resolves a name, so
# that a triggerer has 16 at most.
_THREADS = 7
# Of them, for one server: three that are silent leave room for the others.
_PER_SERVER = 2
# Seconds that a call waits for a thread: 1,000 sensors that open their mailboxes on one server, each in 1 s,
# take 500.
_QUEUE = 600.0

T = TypeVar("T")


async def in_thread(function: Callable[[], T], *, server: Hashable = None) -> T:
    """Call blocking code in a thread and await its result.

    When the awaiting task is cancelled a thread that has begun goes on until its own deadline: every step of
    this package has one.

    :param server: what it waits for, so that one that is slow cannot take all threads; None for any.
    :raises DeadlineError: no thread was free for 10 minutes.
    """
    context = contextvars.copy_context()
    call = _threads().submit(lambda: context.run(function), server)
    done = asyncio.wrap_future(call)
    try:
        await asyncio.wait({done}, timeout=_QUEUE)
        if not done.done() and call.cancel():
            raise DeadlineError(
                f"no thread was free within {_QUEUE:g} s: other mailboxes wait for the server"
            )
        return await done
    finally:
        done.cancel()


async def readable(fileno: int, seconds: float) -> bool:
    """Wait until a socket has something to read, or its end, at most so many seconds; whether it has."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bool] = loop.create_future()

    def settle(*, ready: bool) -> None:
        if not answer.done():
            answer.set_result(ready)

    loop.add_reader(fileno, partial(settle, ready=True))
    timer = loop.call_later(seconds, partial(settle, ready=False))
    try:
        return await answer
    finally:
        timer.cancel()
        loop.remove_reader(fileno)


async def pause(seconds: float) -> None:
    """Let others run for so many seconds."""
    await asyncio.sleep(seconds)


async def within(seconds: float, step: str, what: Awaitable[T]) -> T:
    """Await something that has no deadline of its own. :raises DeadlineError: it was not there in time."""
    try:
        return await asyncio.wait_for(what, seconds)
    except asyncio.TimeoutError as exc:  # on Python 3.10 not the builtin one
        raise DeadlineError(f"{step}: not done within {seconds:g} s") from exc


class _Threads:
    """A few threads: first come, first served, but no more than `_PER_SERVER` for one server at a time."""

    def __init__(self) -> None:
        # Not the loop's own pool: silent servers would hold up everybody else's threads in a triggerer, and
        # with them asyncio's name resolution.
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="email")
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Future[Any], Callable[[], Any], Hashable]] = deque()
        self._busy: Counter[Hashable] = Counter()

    def submit(self, function: Callable[[], T], server: Hashable) -> Future[T]:
        """Call it when its turn comes."""
        future: Future[T] = Future()
        with self._lock:
            self._waiting.append((future, function, server))
            self._start_some()
        return future

    def _start_some(self) -> None:
        """Start what may start; the lock is held."""
        for job in tuple(self._waiting):
            if self._busy.total() >= _THREADS:
                return
            future, _, server = job
            if server is not None and self._busy[server] >= _PER_SERVER and not future.cancelled():
                continue
            self._waiting.remove(job)
            if future.set_running_or_notify_cancel():
                self._busy[server] += 1
                self._pool.submit(self._work, *job)

    def _work(self, future: Future[Any], function: Callable[[], Any], server: Hashable) -> None:
        result, error = None, None
        try:
            result = function()
        except BaseException as exc:  # noqa: BLE001 - it is raised where the result is awaited
            error = exc
        with self._lock:
            self._busy[server] -= 1
            self._busy += Counter()  # forgets the servers that nobody waits for
            self._start_some()
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


@lru_cache(maxsize=1)
def _threads() -> _Threads:
    return _Threads()
