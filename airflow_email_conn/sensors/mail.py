"""Waits for mail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from airflow_email_conn.arguments.filters import MailFilterArguments
from airflow_email_conn.hooks.failures import no_useless_pokes
from airflow_email_conn.hooks.mail import EmailHook

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["EmailSensor"]


class EmailSensor(MailFilterArguments, BaseSensorOperator):
    """Waits until mails match, and gives them as a list of dicts (`MailSummary.as_dict`) in order of arrival.

    Looking changes nothing in the mailbox: a mail that was found is found again, until it is moved, marked
    (with `unseen=True`) or left behind by `since`. An error that a later try may heal fails the task as usual
    and Airflow retries it (or set `silent_fail=True` to go on waiting); a wrong password or a folder that
    does not exist fails it at once, with `soft_fail` too, which is for mail that does not come.

    Takes the filters of MailFilterArguments and all of BaseSensorOperator: `poke_interval` and `timeout` in
    seconds, `mode="reschedule"` to free the worker between two looks, `soft_fail`.
    """

    def poke(self, context: Context) -> PokeReturnValue:  # noqa: ARG002 - Airflow's signature
        """Look once. :raises AirflowFailException: it will never work like this."""
        with no_useless_pokes(self):
            query = self.query
            with EmailHook(self.email_conn_id).mailbox() as mailbox:
                mails = self.found(mailbox)
        self.log.info("Found %d mails in %r that match %s", len(mails), self.folder, _described(query))
        return PokeReturnValue(is_done=bool(mails), xcom_value=[mail.as_dict() for mail in mails])


def _described(query: object) -> str:
    text = repr(query)
    return text if len(text) <= 500 else text[:500] + "..."
