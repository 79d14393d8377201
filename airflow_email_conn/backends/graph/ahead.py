"""What comes next is on its way while the caller has what came before: some at a time, in order."""

from __future__ import annotations

import queue
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, TypeVar

from airflow_email_conn.errors import EmailError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from airflow_email_conn.backends.graph.session import GraphSession

__all__ = ["ahead"]

# Exchange answers four requests of a mailbox at a time: one is left for the caller.
_AT_A_TIME: Final = 3

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def ahead(
    session: GraphSession, items: Iterable[_Item], work: Callable[[GraphSession, _Item], _Result]
) -> Iterator[tuple[_Item, _Result | EmailError]]:
    """Each item with what `work` makes of it, or with its error; results wait, three at most.

    :param items: taken in the caller's thread, so that they may come from the same mailbox.
    :param work: called in other threads, each with a session of its own.
    """
    waiting: deque[tuple[_Item, Future[_Result | EmailError]]] = deque()
    sessions = _Sessions(session)

    def run(item: _Item) -> _Result | EmailError:
        with sessions.one() as own:
            try:
                return work(own, item)
            except EmailError as exc:
                return exc

    pool = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="graph")
    try:
        for item in items:
            waiting.append((item, pool.submit(run, item)))
            if len(waiting) > _AT_A_TIME:
                first, result = waiting.popleft()
                yield first, result.result()
        for last, result in waiting:
            yield last, result.result()
    finally:  # whoever leaves early does not wait for what is under way
        pool.shutdown(wait=False, cancel_futures=True)
        sessions.close()


class _Sessions:
    """One for each thread at work; once closed, each is closed when its work is done."""

    def __init__(self, session: GraphSession) -> None:
        self._idle: queue.SimpleQueue[GraphSession] = queue.SimpleQueue()
        self._is_closed = threading.Event()
        for _ in range(_AT_A_TIME):
            self._idle.put(session.beside())

    @contextmanager
    def one(self) -> Iterator[GraphSession]:
        """One that nobody else uses."""
        own = self._idle.get()
        try:
            yield own
        finally:
            self._idle.put(own)
            if self._is_closed.is_set():
                self.close()

    def close(self) -> None:
        """Close those that are idle, and later the others."""
        self._is_closed.set()
        with suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()
