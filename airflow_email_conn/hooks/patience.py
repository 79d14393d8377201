"""Trying again what may heal, a few times and not for long: Airflow's own retries take over from there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_before_delay

from airflow_email_conn.backoff import pause_before
from airflow_email_conn.errors import EmailError

if TYPE_CHECKING:
    from tenacity import RetryCallState

__all__ = ["patient"]

_TRIES: Final = 4
_LONGEST: Final = 8.0  # seconds between two tries, beside what a server asks for


def patient(logger: Any, what: str, *, seconds: float) -> Retrying:
    """A policy: call it with a function and its arguments.

    Tries four times at most, and only after errors that are `retryable`: a wrong password locks the account.
    Whatever the last try raises is raised. A server that asks to be left alone for longer than there is time
    is not asked again.

    :param logger: told of each failure; any with `warning`.
    :param what: did not happen, such as `Not sent`.
    :param seconds: no new try begins later than this. Each takes as long as its steps may.
    """

    def tell(state: RetryCallState) -> None:
        if state.outcome and state.next_action:
            failure, pause = state.outcome.exception(), state.next_action.sleep
            logger.warning("%s, next try in %.0f s: %s", what, pause, failure)

    return Retrying(
        retry=retry_if_exception(_may_heal),
        wait=_pause,
        stop=stop_after_attempt(_TRIES) | stop_before_delay(seconds),
        before_sleep=tell,
        reraise=True,
    )


def _may_heal(error: BaseException) -> bool:
    return isinstance(error, EmailError) and error.retryable


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, EmailError):  # not tried again; tenacity asks nevertheless
        return 0.0
    return pause_before(state.attempt_number, error, longest=_LONGEST)
