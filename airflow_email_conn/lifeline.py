"""Ends what a thread waits for on the network, from outside: tasks of an event loop may be cancelled."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextvars import Token
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["Lifeline", "on_cut", "uncut"]


class Lifeline:
    """Holds the one connection that is opened under it, wherever in the layers below.

    with lifeline:  # in a thread
        mailbox = open_mailbox(settings)
    lifeline.cut()  # from any other, at any time: what the first one waits for ends, now and later
    """

    __slots__ = ("_end", "_is_cut", "_lock", "_token")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._end: Callable[[], None] | None = None
        self._is_cut = False
        self._token: Token[Lifeline | None]

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        _current.reset(self._token)

    def hold(self, end: Callable[[], None]) -> None:
        """Call `end` when it is cut, which may have happened; it takes the place of the one before."""
        with self._lock:
            self._end = end
            if self._is_cut:
                end()

    def cut(self) -> None:
        """End what is held, for good."""
        with self._lock:
            self._is_cut = True
            if self._end:
                self._end()


_current: ContextVar[Lifeline | None] = ContextVar("lifeline", default=None)


def on_cut(end: Callable[[], None]) -> None:
    """Have `end` called, from another thread, when the lifeline around this call is cut, if there is one.

    :param end: never blocks, never raises.
    """
    lifeline = _current.get()
    if lifeline is not None:
        lifeline.hold(end)


@contextmanager
def uncut() -> Iterator[None]:
    """Around what must come to its end, within its own time, though the lifeline around it is cut."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)
