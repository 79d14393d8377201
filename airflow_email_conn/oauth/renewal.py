"""A person's access token renewed by the refresh token: by one process at a time, and in good time."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from airflow_email_conn.errors import EmailError, NetworkError, SignInRequiredError, UnavailableError
from airflow_email_conn.lifeline import on_cut, uncut

if TYPE_CHECKING:
    from airflow_email_conn.oauth.authority import Authority
    from airflow_email_conn.oauth.record import TokenRecord
    from airflow_email_conn.oauth.shared import SharedRecord

__all__ = ["Renewal"]

_log = logging.getLogger(__name__)

_POLL: Final = 0.5  # seconds between two looks whether another process has renewed
# A renewal makes two requests at most, each within the timeout; then it writes.
_LEASE_ROOM: Final = 30.0
_PATIENCE: Final = 20.0  # seconds beyond a lease, in which it is our turn even if its holder was killed
_TRIES: Final = 5  # to keep a refresh token, within 8 seconds


class Renewal:
    """Redeems a person's refresh token.

    It may be used up by that, and an authority that sees an old one again ends the sign-in (RFC 9700 4.14.2).
    So one process does it at a time, under a lease, and keeps what came of it before anybody uses it.

    :param timeout: seconds for each request.
    :param sign_in: tells who has to sign in, and how.
    """

    def __init__(self, shared: SharedRecord, authority: Authority, timeout: float, sign_in: str) -> None:
        self._shared = shared
        self._authority = authority
        self._lease_seconds = 2 * timeout + _LEASE_ROOM
        self._sign_in = sign_in

    def by_anybody(self, record: TokenRecord | None) -> TokenRecord:
        """In good time: when another process is at it, the old token does meanwhile.

        :param record: as it was just now.
        :raises SignInRequiredError, UnavailableError, NetworkError, ProtocolError:
        """
        known = self._signed_in(record)
        if not known.is_usable(time.time()):
            return self.in_turn(known.access_token)
        with self._shared.lease(self._lease_seconds) as is_ours:
            return self._renew(known.access_token) if is_ours else known

    def in_turn(self, old: str, claims: str = "") -> TokenRecord:
        """When there is no way without: wait until it is our turn, or another process has done it.

        :param old: the access token that does not do.
        :param claims: a claims challenge, as JSON text; or empty.
        :raises SignInRequiredError, UnavailableError, NetworkError, ProtocolError:
        """
        is_cut = threading.Event()
        end = time.monotonic() + self._lease_seconds + _PATIENCE
        while True:
            record = self._signed_in(self._shared.read())
            if record.access_token != old and record.is_usable(time.time()):
                return record
            with self._shared.lease(self._lease_seconds) as is_ours:
                if is_ours:
                    return self._renew(old, claims)
            if time.monotonic() > end:
                raise UnavailableError(
                    "the access token has to be renewed: other processes are at it, and do not come to an"
                    " end, or the token store is too slow"
                )
            on_cut(is_cut.set)
            if is_cut.wait(_POLL):
                raise NetworkError("the wait for an access token was broken off")

    def _renew(self, old: str, claims: str = "") -> TokenRecord:
        """Under the lease."""
        record = self._signed_in(self._shared.read())
        if record.access_token != old and record.is_usable(time.time()):
            return record  # by whoever had the lease before
        # A trigger may be cancelled meanwhile; the answer must be kept nevertheless: the old refresh token
        # may be worth nothing by then.
        with uncut():
            try:
                grant = self._authority.refresh(record.refresh_token, claims)
            except EmailError as exc:
                self._replace(record, record.failed(exc, time.time()))
                if isinstance(exc, SignInRequiredError):
                    raise self._sign_in_error(exc.message, exc.server_text) from exc
                raise
            return self._replace(record, record.granted(grant, time.time()))

    def _replace(self, before: TokenRecord, after: TokenRecord) -> TokenRecord:
        """Keep what came of a renewal, unless somebody has signed in anew meanwhile, or out.

        Tried several times: with the next refresh token the sign-in would be lost.

        :returns: what is in the store then.
        """
        insisting = Retrying(
            retry=retry_if_exception_type(UnavailableError),
            wait=wait_exponential(0.5),
            stop=stop_after_attempt(_TRIES),
            reraise=True,
        )
        try:
            return insisting(self._replaced, before, after)
        except UnavailableError:
            _log.exception("The renewed sign-in cannot be kept, and may have to be made anew")
            return after

    def _replaced(self, before: TokenRecord, after: TokenRecord) -> TokenRecord:
        now = self._shared.read()
        if now is None or now.refresh_token not in {before.refresh_token, after.refresh_token}:
            return self._signed_in(now)
        self._shared.write(after)
        return after

    def _signed_in(self, record: TokenRecord | None) -> TokenRecord:
        """The record, if it can be renewed. :raises SignInRequiredError:"""
        if record is None or not record.refresh_token:
            raise self._sign_in_error("nobody has signed in yet")
        if record.is_dead and not record.is_usable(time.time()):
            raise self._sign_in_error(record.error)
        return record

    def _sign_in_error(self, why: str, server_text: str = "") -> SignInRequiredError:
        return SignInRequiredError(f"{why}. {self._sign_in}", server_text)
