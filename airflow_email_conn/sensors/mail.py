"""Waits for mail."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator, BaseSensorOperator, PokeReturnValue
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferralTimeout,
)

from airflow_email_conn.arguments.filters import MailFilterArguments
from airflow_email_conn.errors import EmailError, NetworkError
from airflow_email_conn.hooks.failures import no_useless_pokes
from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn.lookout import end_of
from airflow_email_conn.model.criteria import read_limit
from airflow_email_conn.triggers.mail import EmailTrigger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.sdk import Context

    from airflow_email_conn.backends.position import Position
    from airflow_email_conn.model.message import MailSummary
    from airflow_email_conn.model.query import MailQuery

__all__ = ["EmailSensor"]

_OUTCOMES = ("fail", "skip", "report")
# Seconds that the triggerer may be late with what it has to say at the end of the wait.
_GRACE = 120.0


class EmailSensor(MailFilterArguments, BaseSensorOperator):
    """Waits until mails match, and gives them as a list of dicts (`MailSummary.as_dict`) in order of arrival.

    Looking changes nothing in the mailbox: a mail that was found is found again, until it is moved, marked
    (with `unseen=True`) or left behind by `since`. An error that a later try may heal fails the task as usual
    and Airflow retries it (or set `silent_fail=True` to go on waiting); a wrong password or a folder that
    does not exist fails it at once, with `soft_fail` too, which is for mail that does not come.

    Takes the filters of MailFilterArguments and all of BaseSensorOperator: `poke_interval` and `timeout` in
    seconds, `mode="reschedule"` to free the worker between two looks, `soft_fail`.

    :param deferrable: look once, then let the triggerer wait, for whom the server's own word is enough (IMAP
        IDLE): no worker is held and mail is found within seconds. `mode` does not matter then, and
        `poke_interval` only where a server does not tell of new mail. Microsoft 365 does not: each look asks
        what has come since the last one, and not for all mails as in the other modes. It connects again by
        itself for up to half an hour. From `[operators] default_deferrable` if not given.
    :param idle_refresh: seconds after which the triggerer asks a server that tells of new mail nevertheless.
    :param on_missing: what becomes of the task when no mail has matched in `timeout`: `fail` (without
        retries), the default; `skip`, which `soft_fail` says, too; or `report`: it succeeds with an empty
        list, and an XCom `missing` says what did not come.
    """

    def __init__(
        self,
        *,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        idle_refresh: float = 300.0,
        on_missing: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.deferrable = deferrable
        self.idle_refresh = idle_refresh
        self.on_missing = on_missing or ("skip" if self.soft_fail else "fail")
        if self.on_missing not in _OUTCOMES:
            raise ValueError(f"on_missing: {on_missing!r} is none of {', '.join(_OUTCOMES)}")
        if self.soft_fail and self.on_missing != "skip":
            raise ValueError(f"on_missing={on_missing!r} contradicts soft_fail, which skips; leave one out")
        if idle_refresh <= 0:
            raise ValueError("idle_refresh: a number of seconds above 0")

    # ------------------------------------------------------------ looking in the worker

    def poke(self, context: Context) -> PokeReturnValue:  # noqa: ARG002 - Airflow's signature
        """Look once. :raises AirflowFailException: it will never work like this."""
        mails, _ = self._look()
        return PokeReturnValue(is_done=bool(mails), xcom_value=[mail.as_dict() for mail in mails])

    def _look(self) -> tuple[list[MailSummary], Position | None]:
        """The mails, and where the folder ended before, if somebody is to go on from there."""
        with no_useless_pokes(self):
            query = self.query
            with EmailHook(self.email_conn_id).mailbox() as mailbox:
                position = end_of(mailbox, query, self.folder) if self.deferrable else None
                mails = self.found(mailbox)
                position = position and position.short_of(mailbox.undecided)
        self.log.info("Found %d mails in %r that match: %s", len(mails), self.folder, _in_words(query))
        return mails, position

    def execute(self, context: Context) -> Any:
        """The mails, or what `on_missing` says. :raises TaskDeferred: the triggerer waits on."""
        if self.deferrable:
            with self._never_failing():
                return self._look_and_defer()
        started = datetime.now(timezone.utc)
        if self.reschedule:
            started = context["ti"].get_first_reschedule_date(context) or started
        try:
            return super().execute(context)
        except AirflowSensorTimeout:
            return self._missing(context, started)

    # ------------------------------------------------------------ waiting in the triggerer

    def _look_and_defer(self) -> list[dict[str, Any]]:
        started = datetime.now(timezone.utc)
        position = None
        try:
            # Not left to the triggerer: many sensors find their mail at once.
            mails, position = self._look()
        except EmailError:
            if not self.silent_fail:
                raise
            self.log.exception("Could not look; the triggerer goes on")
        else:
            if mails:
                return [mail.as_dict() for mail in mails]
        return self._defer(started, position)

    def _defer(self, started: datetime, position: Position | None) -> NoReturn:
        until = started + timedelta(seconds=self.timeout)
        trigger = EmailTrigger(
            email_conn_id=self.email_conn_id,
            until=until.isoformat(),
            folder=self.folder,
            query=self.query.as_dict(),
            limit=read_limit("limit", self.limit),
            newest_first=self.switch("newest_first"),
            position=position.as_dict() if position else None,
            poll_interval=self.poke_interval,
            idle_refresh=self.idle_refresh,
            **({"patience": self.timeout} if self.silent_fail else {}),
        )
        left = (until - datetime.now(timezone.utc)).total_seconds()
        self.defer(
            trigger=trigger,
            method_name="execute_complete",
            timeout=timedelta(seconds=max(0.0, left) + _GRACE),
        )

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after the wait. BaseSensorOperator's own would skip with `soft_fail` whatever went wrong."""
        with self._never_failing():
            try:
                return BaseOperator.resume_execution(self, next_method, next_kwargs, context)
            except TaskDeferralTimeout:
                return self._last_look(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> list[dict[str, Any]]:
        """What the triggerer saw. :param event: see EmailTrigger."""
        status = event["status"]
        if status == "found":
            mails: list[dict[str, Any]] = event["mails"]
            self.log.info("The triggerer found %d mails", len(mails))
            return mails
        if status == "missing" or (event["retryable"] and self.silent_fail):
            # Not by defer(kwargs=...), which `dag.test()` of Airflow 3.3.2 loses.
            until = datetime.fromisoformat(event["until"])
            return self._missing(context, until - timedelta(seconds=self.timeout))
        if event["retryable"]:
            raise NetworkError(event["message"], event["server_text"])
        raise AirflowFailException(str(EmailError(event["message"], event["server_text"])))

    def _last_look(self, context: Context) -> list[dict[str, Any]]:
        """No triggerer has said anything in time: none ran, or the last one died."""
        mails, _ = self._look()
        if mails:
            return [mail.as_dict() for mail in mails]
        return self._missing(context, datetime.now(timezone.utc) - timedelta(seconds=self.timeout))

    @contextmanager
    def _never_failing(self) -> Iterator[None]:
        """As BaseSensorOperator does it around a poke: with `never_fail`, an error is a skip."""
        try:
            yield
        except (AirflowFailException, AirflowSensorTimeout, AirflowSkipException):
            raise
        except Exception as exc:
            if self.never_fail:
                raise AirflowSkipException("Skipping due to never_fail is set to True.") from exc
            raise

    # ------------------------------------------------------------ no mail

    def _missing(self, context: Context, started: datetime) -> list[dict[str, Any]]:
        """End as `on_missing` says."""
        report = self._report(started)
        self.log.warning("%s", report["text"])
        if self.on_missing == "report":
            context["ti"].xcom_push(key="missing", value=report)
            return []
        if self.on_missing == "skip":
            raise AirflowSkipException(report["text"])
        raise AirflowSensorTimeout(report["text"])

    def _report(self, started: datetime) -> dict[str, Any]:
        """What did not come, in JSON and in one line."""
        until = datetime.now(timezone.utc)
        query = self.query
        period = f"from {started:%F %T} to {until:%F %T} UTC"
        return {
            "text": f"No mail came to {self.folder!r} {period}: {_in_words(query)}",
            "email_conn_id": self.email_conn_id,
            "folder": self.folder,
            "filters": query.as_dict(),
            "since": started.isoformat(),
            "until": until.isoformat(),
        }


def _in_words(query: MailQuery) -> str:
    """What is asked, in one line that is not too long."""
    words = ", ".join(f"{name}={value!r}" for name, value in query.as_dict().items()) or "any mail"
    return words if len(words) <= 500 else words[:500] + "..."
