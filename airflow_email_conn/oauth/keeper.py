"""The tokens of a credential: fetched, shared by all processes through a store, and renewed in time."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_email_conn.errors import AuthenticationError, EmailError, clean
from airflow_email_conn.oauth.authority import Authority
from airflow_email_conn.oauth.device import DeviceCode
from airflow_email_conn.oauth.record import TokenRecord
from airflow_email_conn.oauth.renewal import Renewal
from airflow_email_conn.oauth.shared import SharedRecord

if TYPE_CHECKING:
    from airflow_email_conn.model.server import OAuth, Server
    from airflow_email_conn.token_store import TokenStore

__all__ = ["TokenKeeper", "Tokens"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tokens:
    """Where tokens rest, and what the connection is called in messages.

    :param conn_id: the connection's id.
    """

    store: TokenStore
    conn_id: str = ""

    def of(self, server: Server) -> TokenKeeper:
        """The tokens of one direction. :raises ValueError: it has no OAuth credential."""
        return TokenKeeper(server, self.store, self.conn_id)


class TokenKeeper:
    """The tokens of one credential in one store. Blocking; every call ends within some times the timeout.

    All processes share one record (`SharedRecord`). An application's token is fetched by whoever finds it
    old, a person's is renewed by one process at a time (`Renewal`).

    :raises UnavailableError: of every method: the store, or the authority, cannot be used now.
    """

    def __init__(self, server: Server, store: TokenStore, conn_id: str = "") -> None:
        credential = server.credential
        if credential.oauth is None:
            raise ValueError("the credential is not OAuth")
        self._oauth: OAuth = credential.oauth
        self._authority = Authority(server)
        self._shared = SharedRecord(store, credential, self._oauth)
        how = _how_to_sign_in(credential.user, conn_id)
        self._renewal = Renewal(self._shared, self._authority, server.timeout, how)

    @property
    def key(self) -> str:
        """Under which the record rests in the store."""
        return self._shared.key

    # ------------------------------------------------------------ tokens

    def token(self) -> TokenRecord:
        """A record whose access token can be used now.

        :raises SignInRequiredError, AuthenticationError, SettingsError, NetworkError, ProtocolError:
        """
        record = self._shared.read()
        now = time.time()
        if record and (record.is_fresh(now) or (record.is_usable(now) and record.is_resting(now))):
            return record
        try:
            return self._renewal.by_anybody(record) if self._shared.is_person else self._fetched(record)
        except EmailError as exc:
            if record is None or not record.is_usable(time.time()):
                raise
            _log.warning("The access token cannot be renewed yet, and is used on: %s", exc)
            return record

    def renewed(self, rejected: TokenRecord, claims: str = "") -> TokenRecord:
        """A record with another access token than one that the mail server refused. Raises as `token`.

        :param claims: what the server wants it to claim: a claims challenge, as JSON text; or empty.
        """
        record = self._shared.read()
        if record and record.access_token != rejected.access_token and record.is_usable(time.time()):
            return record  # another process had the same challenge; if this one does not do, there is a next
        if self._shared.is_person:
            return self._renewal.in_turn(rejected.access_token, claims)
        return self._fetched(record, claims)

    def state(self) -> TokenRecord:
        """What is known of the credential; nothing is asked of the authority. Empty when nothing is."""
        return self._shared.read() or TokenRecord()

    def forget(self) -> bool:
        """Forget the tokens, here and at the authority. :returns: whether the authority was told.

        :raises EmailError: the authority could not be told; they are forgotten here.
        """
        record = self._shared.read()
        self._shared.delete()
        token = record.refresh_token if record else ""
        return bool(token) and self._authority.revoke(token)

    def _fetched(self, before: TokenRecord | None, claims: str = "") -> TokenRecord:
        """An application's token, new."""
        empty = TokenRecord(secret_digest=self._shared.secret_digest)
        try:
            record = empty.granted(self._authority.client_token(claims), time.time())
        except EmailError as exc:
            with suppress(EmailError):  # to be read by `status`; the failure itself is worth more
                self._shared.write((before or empty).failed(exc, time.time()))
            raise
        try:
            self._shared.write(record)
        except EmailError as exc:  # the next process fetches one of its own
            _log.warning("The access token is used, but cannot be shared: %s", exc)
        return record

    # ------------------------------------------------------------ signing in

    def begin_sign_in(self) -> DeviceCode:
        """Ask for a code to be shown to a person.

        :raises AuthenticationError, SettingsError, NetworkError, ProtocolError:
        """
        return DeviceCode.of(self._authority.begin_device_flow())

    def finish_sign_in(self, code: DeviceCode) -> TokenRecord | None:
        """Ask once whether the person has signed in, and keep the tokens; None: not yet.

        Ask again after `code.interval`, until `code.expires_at`.

        :raises AuthenticationError: declined, expired, or without a refresh token.
        """
        grant = self._authority.poll_device_flow(code.flow)
        if grant is None:
            return None
        if not grant.refresh_token:
            raise AuthenticationError(
                f"the person signed in, but {self._oauth.authority} gave no refresh token, so that it would"
                " end within the hour: allow the client refresh tokens and the scope offline_access"
            )
        now = time.time()
        record = replace(TokenRecord().granted(grant, now), signed_in_at=now)
        self._shared.write(record)
        return record

    def keep_code(self, code: DeviceCode) -> None:
        """Keep a sign-in that is under way for another process."""
        self._shared.write_code(code)

    def kept_code(self) -> DeviceCode | None:
        """The sign-in that is under way, if one was kept."""
        return self._shared.read_code()

    def drop_code(self) -> None:
        """Forget the sign-in that was under way."""
        self._shared.delete_code()


def _how_to_sign_in(user: str, conn_id: str) -> str:
    name = clean(conn_id) or "<connection id>"
    return (
        f"Sign in as {clean(user)!r}: run `airflow email-conn login {name}`,"
        f" or a DAG with EmailSignInOperator(email_conn_id={name!r})"
    )
