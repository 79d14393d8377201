"""Which failures Airflow must not retry."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowFailException

from airflow_email_conn.errors import DeliveryUnknownError, EmailError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.sdk import BaseSensorOperator

__all__ = ["DeliveryUnknownFailError", "no_useless_pokes", "no_useless_retries"]


class DeliveryUnknownFailError(AirflowFailException, DeliveryUnknownError):
    """A DeliveryUnknownError that fails the task for good wherever it is raised: a retry could send twice."""


@contextmanager
def no_useless_retries() -> Iterator[None]:
    """Let errors that will come again (a wrong password, a missing folder) fail the task at once.

    A wrong password that is tried with every retry locks the account.

    :raises AirflowFailException: for an EmailError that is not `retryable`; the others pass as they are.
    """
    try:
        yield
    except AirflowFailException:
        raise
    except EmailError as exc:
        if exc.retryable:
            raise
        raise AirflowFailException(str(exc)) from exc


@contextmanager
def no_useless_pokes(sensor: BaseSensorOperator) -> Iterator[None]:
    """As `no_useless_retries`, around one look of a sensor, whatever `soft_fail` says.

    :raises AirflowFailException: for an EmailError that is not `retryable`; the others pass as they are.
    """
    try:
        with no_useless_retries():
            yield
    except AirflowFailException:
        # Airflow would turn this into a skip as well: a green DAG with a wrong password.
        sensor.soft_fail = sensor.never_fail = False
        raise
