"""What Exchange Online allows at a time, and which requests may be sent again."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from airflow_email_conn.backoff import pause_before
from airflow_email_conn.errors import ConnectError, NetworkError, TLSError, UnavailableError
from airflow_email_conn.lifeline import on_cut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_email_conn.errors import EmailError

__all__ = ["Tries", "in_flight", "pause"]

# Requests at the same time for one application and one mailbox; a fifth one is answered by 429
# (Microsoft Graph: "Throttling limits", Outlook service limits).
_AT_A_TIME: Final = 4
_PATIENCE: Final = 4.0  # times the timeout, for one of the four to end
_TRIES: Final = 4
_LONGEST: Final = 8.0  # seconds between two tries, beside what the server asks for
# Seconds that a server may ask for and still get them here, while a thread stands still. Who asks for more is
# tried again by whoever called: Airflow, or the triggerer, where waiting costs nothing.
_LONGEST_WAIT: Final = 20.0
# Seconds for which a throttled request is sent again, however often: other processes use the mailbox too, and
# come to an end. Of 8 tasks at once, two failed after four tries.
_QUEUEING: Final = 60.0


class _Slots:
    """At most so many at a time, of this process."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken = 0

    def take(self, seconds: float, where: str) -> None:
        """Wait for one. :raises UnavailableError: none within `seconds`. :raises NetworkError: cut."""
        is_cut = threading.Event()
        on_cut(lambda: self._wake(is_cut))
        with self._changed:
            if not self._changed.wait_for(lambda: is_cut.is_set() or self._taken < _AT_A_TIME, seconds):
                raise UnavailableError(
                    f"{where}: {_AT_A_TIME} requests for this mailbox are under way in this process, and do"
                    " not come to an end"
                )
            if is_cut.is_set():
                raise NetworkError(f"the wait for {where} was broken off")
            self._taken += 1

    def give_back(self) -> None:
        """Let the next one have it."""
        with self._changed:
            self._taken -= 1
            self._changed.notify()

    def _wake(self, is_cut: threading.Event) -> None:
        is_cut.set()
        # Not in the thread that cuts: it may hold the lock itself, and never blocks.
        threading.Thread(target=self._tell, daemon=True).start()

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()


# By process too: a forked one must not take over slots that threads of its parent held.
_slots: dict[tuple[int, str], _Slots] = {}
_lock = threading.Lock()


@contextmanager
def in_flight(root: str, timeout: float, where: str) -> Iterator[None]:
    """Around a request: at most four at a time go to one mailbox from this process.

    Other processes have their own four; what is too much for all of them together is answered by 429.

    :param root: of the mailbox.
    :param timeout: seconds of the connection.
    :param where: host and port, for messages.
    :raises UnavailableError: those before do not come to an end. NetworkError: the wait was cut.
    """
    with _lock:
        slots = _slots.setdefault((os.getpid(), root.lower()), _Slots())
    slots.take(_PATIENCE * timeout, where)
    try:
        yield
    finally:
        slots.give_back()


class Tries:
    """How often one request is sent again, and after which failures.

    What changes nothing, or the same when it is done twice, is sent again after 429, 503, 504 and the like,
    and after a broken connection. A POST only when nothing can have been accepted: it came to no connection,
    or was throttled. All but the throttled are sent four times at most.
    """

    def __init__(self, *, is_repeatable: bool) -> None:
        self._is_repeatable = is_repeatable
        self._failures = 0
        self._end = time.monotonic() + _QUEUEING

    def pause(self, failure: EmailError, *, is_throttled: bool) -> None:
        """Wait until it is time to try again.

        :param is_throttled: the server said that it did not begin with it (429).
        :raises EmailError: the failure, where it is not to be tried again here.
        """
        self._failures += 1
        asked = getattr(failure, "retry_after", None) or 0.0
        seconds = pause_before(self._failures, failure, longest=_LONGEST)
        is_last = time.monotonic() + seconds > self._end if is_throttled else self._failures >= _TRIES
        if is_last or asked > _LONGEST_WAIT or not self._may_heal(failure, is_throttled):
            raise failure
        pause(seconds)

    def _may_heal(self, failure: EmailError, is_throttled: bool) -> bool:
        if isinstance(failure, ConnectError) or is_throttled:
            return True
        return self._is_repeatable and failure.retryable and not isinstance(failure, TLSError)


def pause(seconds: float) -> None:
    """Wait, in a way that can be cut. :raises NetworkError: it was."""
    is_cut = threading.Event()
    on_cut(is_cut.set)
    if is_cut.wait(seconds):
        raise NetworkError("the pause before another try was broken off")
