"""A server of the standard library, answering in a thread of its own."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from socketserver import BaseServer

__all__ = ["serving"]

S = TypeVar("S", bound="BaseServer")


@contextlib.contextmanager
def serving(server: S) -> Iterator[S]:
    """Let it answer until the end of the block, and close it."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
