"""Lets a person sign in by OAuth, from Airflow's UI."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn

from airflow.providers.standard.operators.hitl import HITLOperator

from airflow_email_conn.errors import (
    CapabilityError,
    DeadlineError,
    EmailError,
    SettingsError,
    SignInRequiredError,
)
from airflow_email_conn.hooks.failures import no_useless_retries
from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn.hooks.tokens import tokens_of
from airflow_email_conn.model.criteria import read_bool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_email_conn.oauth.device import DeviceCode
    from airflow_email_conn.oauth.keeper import TokenKeeper
    from airflow_email_conn.oauth.record import TokenRecord

__all__ = ["EmailSignInOperator"]

_DONE: Final = "I have signed in"
_ROOM: Final = 30.0  # seconds before the code ends: whoever signed in without a word is found out then
_WORKING: Final = 30.0  # seconds that a worker asks the authority for, once it was told that all is done


class EmailSignInOperator(HITLOperator):
    """Shows the link and the code of an OAuth sign-in (RFC 8628) as a required action in Airflow's UI.

    While it waits (state Awaiting Input) it takes no worker. When somebody says that it is done, or the code
    is about to end, it asks the authority, and keeps the tokens for all who use the connection. Does nothing
    where a sign-in is alive.

    Gives a dict: mailbox to who signed in, as the authority calls them.

    :param direction: `incoming` or `outgoing`; empty for each that needs it.
    :param force: sign in anew, whatever there is.
    :param kwargs: also those of HITLOperator that tell people and choose them: notifiers, assigned_users,
        response_timeout (the code's life at most).
    """

    template_fields: Sequence[str] = ("email_conn_id", "direction", "force", *HITLOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {"body": "md"}

    def __init__(
        self,
        *,
        email_conn_id: str = EmailHook.default_conn_name,
        direction: str = "",
        force: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(subject="Sign in to a mailbox", options=[_DONE], **kwargs)
        self.email_conn_id = email_conn_id
        self.direction = direction
        self.force = force

    def execute(self, context: Context) -> dict[str, str]:
        """Ask for codes and show them. :raises AirflowFailException: nobody can sign in this way."""
        with no_useless_retries():
            keepers = self._keepers()
            codes = {name: _code(keeper) for name, keeper in keepers.items() if self._wants(keeper)}
            if not codes:
                self.log.info("A sign-in is alive: nothing to do")
                return {name: keeper.state().account for name, keeper in keepers.items()}
        self.subject = f"Sign in to {', '.join(codes)} (connection {self.email_conn_id})"
        self.body = "\n\n".join(_told(name, code) for name, code in codes.items())
        return self._wait(context, codes)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, str]:
        """Ask the authority. :raises DeadlineError: nobody has signed in."""
        is_late = event.get("error_type") == "timeout"
        if not is_late:
            super().execute_complete(context, event)
        with no_useless_retries():
            keepers = self._keepers()
            codes = {name: code for name, keeper in keepers.items() if (code := keeper.kept_code())}
            seconds = 0.0 if is_late else _WORKING
            waiting = {
                name: code
                for name, code in codes.items()
                if not self._finished(name, keepers[name], code, seconds)
            }
            if waiting and not is_late and _left(waiting) > 0:
                self.log.warning(
                    "The authority knows of no sign-in yet to %s: asking again", ", ".join(waiting)
                )
                self._wait(context, waiting)
            if waiting:
                for name in waiting:
                    keepers[name].drop_code()
                raise DeadlineError(
                    f"nobody has signed in to {', '.join(waiting)} in time; run the task again for a new code"
                )
            return {name: _signed_in(keeper).account for name, keeper in keepers.items()}

    # ------------------------------------------------------------ steps

    def _keepers(self) -> dict[str, TokenKeeper]:
        """Of each mailbox that a person signs in to. :raises SettingsError, CapabilityError: none."""
        settings = EmailHook(self.email_conn_id).settings
        sides = {"incoming": settings.incoming, "outgoing": settings.outgoing}
        if self.direction and self.direction not in sides:
            raise SettingsError("direction: incoming, outgoing, or empty for both")
        servers = [server for side, server in sides.items() if server and self.direction in {"", side}]
        tokens = tokens_of(self.email_conn_id)
        people = [server for server in servers if server.credential.kind == "oauth_device_flow"]
        keepers = {(keeper := tokens.of(server)).key: (server, keeper) for server in people}
        if not keepers:
            raise CapabilityError(
                f"the connection {self.email_conn_id!r} has no {self.direction or 'incoming or outgoing'}"
                " side that a person signs in to: choose the credential oauth_device_flow"
            )
        if len(keepers) == 1:
            return {server.credential.user: keeper for server, keeper in keepers.values()}
        return {
            f"{server.credential.user} by {server.protocol}": keeper for server, keeper in keepers.values()
        }

    def _wants(self, keeper: TokenKeeper) -> bool:
        if read_bool("force", self.force):
            return True
        try:
            keeper.token()
        except SignInRequiredError:
            return True
        return False

    def _wait(self, context: Context, codes: dict[str, DeviceCode]) -> NoReturn:
        """Leave the worker until somebody answers."""
        wanted = self.response_timeout
        life = timedelta(seconds=max(1.0, _left(codes)))
        self.response_timeout = min(wanted, life) if wanted else life
        super().execute(context)
        raise RuntimeError("Airflow did not suspend the task")

    def _finished(self, name: str, keeper: TokenKeeper, code: DeviceCode, seconds: float) -> bool:
        """Ask, for so many seconds at most, whether the person is done. :raises EmailError: declined."""
        end = time.monotonic() + seconds
        while True:
            try:
                record = keeper.finish_sign_in(code)
            except EmailError as exc:
                if not exc.retryable:
                    keeper.drop_code()
                    raise
                record = None  # it is only busy
            if record is not None:
                keeper.drop_code()
                self.log.info("Signed in to %s: %s", name, record.account or "the authority does not say who")
                return True
            if time.monotonic() + code.interval > end:
                return False
            time.sleep(code.interval)


def _code(keeper: TokenKeeper) -> DeviceCode:
    """A code to show: that of another run, if one is waiting already, so that neither is in vain."""
    code = keeper.kept_code()
    if code is None or code.expires_at - time.time() < 2 * _ROOM:
        code = keeper.begin_sign_in()
        keeper.keep_code(code)  # nowhere else: it is as good as a password
    return code


def _left(codes: dict[str, DeviceCode]) -> float:
    """Seconds for which it makes sense to wait for people."""
    return min(code.expires_at for code in codes.values()) - time.time() - _ROOM


def _told(name: str, code: DeviceCode) -> str:
    """What a person is to do, in Markdown."""
    link = code.verification_uri_complete or code.verification_uri
    ends = datetime.fromtimestamp(code.expires_at, timezone.utc)
    return (
        f"Open <{link}> and sign in as someone who may use the mailbox **{name}**. The code is"
        f" `{code.user_code}`, until {ends:%H:%M} UTC. Then come back here: **{_DONE}**."
    )


def _signed_in(keeper: TokenKeeper) -> TokenRecord:
    """The record. :raises SignInRequiredError: the sign-in was not kept, or has ended since."""
    return keeper.token()
