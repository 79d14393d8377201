"""The tokens of a credential: fetched, shared by all processes through a store, and renewed in time."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from airflow_email_conn.errors import (
    AuthenticationError,
    EmailError,
    NetworkError,
    SignInRequiredError,
    UnavailableError,
    clean,
)
from airflow_email_conn.lifeline import on_cut, uncut
from airflow_email_conn.oauth.authority import Authority
from airflow_email_conn.oauth.device import DeviceCode
from airflow_email_conn.oauth.lease import Lease
from airflow_email_conn.oauth.record import TokenRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_email_conn.model.server import Credential, OAuth, Server
    from airflow_email_conn.oauth.authority import Grant
    from airflow_email_conn.token_store import TokenStore

__all__ = ["TokenKeeper", "Tokens"]

_log = logging.getLogger(__name__)

# Without `token` or `secret`: by such a name Airflow's masker takes in each text that it reads, forgets none,
# and compiles all of them again for every new one (3 ms each).
_PREFIX: Final = "email_conn__sign_in__"
_POLL: Final = 0.5  # seconds between two looks whether another process has renewed
# A renewal makes two requests at most, each within the timeout; then it writes.
_LEASE_ROOM: Final = 30.0
_PATIENCE: Final = 20.0  # seconds beyond a lease, in which it is our turn even if its holder was killed
_TRIES: Final = 5  # to keep a refresh token, within 8 seconds
_REST: Final = 30.0  # seconds after a failure in which a token that can be used is used


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

    All processes share one record. An application's token is fetched by whoever finds it old. A person's
    refresh token may be used up by each renewal, and an authority that sees an old one again ends the
    sign-in; so one process renews at a time, under a lease, and well before the token ends: the others go on
    with it.

    The record is found by what the credential is (kind, authority, client, scopes; of a person also the
    mailbox and the servers), not by the connection's name, which the connection test does not know. So nobody
    gets a person's token shown to another server by a connection that leads there.

    :raises UnavailableError: of every method: the store, or the authority, cannot be used now.
    """

    def __init__(self, server: Server, store: TokenStore, conn_id: str = "") -> None:
        if server.credential.oauth is None:
            raise ValueError("the credential is not OAuth")
        self._authority = Authority(server)
        self._credential: Credential = server.credential
        self._oauth: OAuth = server.credential.oauth
        self._timeout = server.timeout
        self._store = store
        self._conn_id = conn_id
        self._digest = _digest(
            self._credential.kind,
            self._oauth.authority,
            self._oauth.client_id,
            *sorted(self._oauth.scopes),
            *([self._credential.user.lower(), *self._oauth.hosts] if self._is_person else []),
        )

    @property
    def key(self) -> str:
        """Under which the record rests in the store."""
        return f"{_PREFIX}{self._digest}"

    @property
    def code_key(self) -> str:
        """Under which a sign-in that is under way may rest in the store."""
        return f"{_PREFIX}{self._digest}__code"

    # ------------------------------------------------------------ tokens

    def token(self) -> TokenRecord:
        """A record whose access token can be used now.

        :raises SignInRequiredError, AuthenticationError, SettingsError, NetworkError, ProtocolError:
        """
        record = self._read()
        now = time.time()
        if record and (record.is_fresh(now) or (record.is_usable(now) and record.is_resting(now))):
            return record
        try:
            return self._renewed_by_anybody(record) if self._is_person else self._fetched(record)
        except EmailError as exc:
            if record is None or not record.is_usable(time.time()):
                raise
            _log.warning("The access token cannot be renewed yet, and is used on: %s", exc)
            return record

    def renewed(self, rejected: TokenRecord, claims: str = "") -> TokenRecord:
        """A record with another access token than one that the mail server refused. Raises as `token`.

        :param claims: what the server wants it to claim: a claims challenge, as JSON text; or empty.
        """
        record = self._read()
        if record and record.access_token != rejected.access_token and record.is_usable(time.time()):
            return record  # another process had the same challenge; if this one does not do, there is a next
        if self._is_person:
            return self._renewed_in_turn(rejected.access_token, claims)
        return self._fetched(record, claims)

    def state(self) -> TokenRecord:
        """What is known of the credential; nothing is asked of the authority. Empty when nothing is."""
        return self._read() or TokenRecord()

    def forget(self) -> bool:
        """Forget the tokens, here and at the authority. :returns: whether the authority was told.

        :raises EmailError: the authority could not be told; they are forgotten here.
        """
        record = self._read()
        with self._stored():
            self._store.delete(self.key)
            self._store.delete(self.code_key)
        token = record.refresh_token if record else ""
        return bool(token) and self._authority.revoke(token)

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
        record = replace(self._record(grant, None), signed_in_at=time.time())
        self._write(record)
        return record

    def keep_code(self, code: DeviceCode) -> None:
        """Keep a sign-in that is under way for another process."""
        with self._stored():
            self._store.set(self.code_key, code.as_text())

    def kept_code(self) -> DeviceCode | None:
        """The sign-in that is under way, if one was kept."""
        with self._stored():
            text = self._store.get(self.code_key)
        try:
            return DeviceCode.from_text(text) if text else None
        except (ValueError, KeyError, TypeError):
            return None

    def drop_code(self) -> None:
        """Forget the sign-in that was under way."""
        with self._stored():
            self._store.delete(self.code_key)

    # ------------------------------------------------------------ an application

    def _fetched(self, before: TokenRecord | None, claims: str = "") -> TokenRecord:
        try:
            record = self._record(self._authority.client_token(claims), None)
        except EmailError as exc:
            known = before or TokenRecord(secret_digest=self._secret_digest)
            with suppress(EmailError):  # to be read by `status`; the failure itself is worth more
                self._write(_failed(known, exc))
            raise
        try:
            self._write(record)
        except EmailError as exc:  # the next process fetches one of its own
            _log.warning("The access token is used, but cannot be shared: %s", exc)
        return record

    # ------------------------------------------------------------ a person

    def _renewed_by_anybody(self, record: TokenRecord | None) -> TokenRecord:
        """In good time: when another process is at it, the old token does meanwhile."""
        known = self._signed_in(record)
        if not known.is_usable(time.time()):
            return self._renewed_in_turn(known.access_token)
        with self._lease() as lease:
            return self._renew(known.access_token) if self._taken(lease) else known

    def _renewed_in_turn(self, old: str, claims: str = "") -> TokenRecord:
        """When there is no way without: wait until it is our turn, or another process has done it.

        :param old: the access token that does not do.
        :param claims: see `renewed`.
        """
        is_cut = threading.Event()
        end = time.monotonic() + self._lease_seconds + _PATIENCE
        while True:
            record = self._signed_in(self._read())
            if record.access_token != old and record.is_usable(time.time()):
                return record
            with self._lease() as lease:
                if self._taken(lease):
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
        record = self._signed_in(self._read())
        if record.access_token != old and record.is_usable(time.time()):
            return record  # by whoever had the lease before
        # A trigger may be cancelled meanwhile; the answer must be kept nevertheless: the old refresh token
        # may be worth nothing by then.
        with uncut():
            try:
                grant = self._authority.refresh(record.refresh_token, claims)
            except EmailError as exc:
                self._replace(record, _failed(record, exc))
                if isinstance(exc, SignInRequiredError):
                    raise self._sign_in_error(exc.message, exc.server_text) from exc
                raise
            return self._replace(record, self._record(grant, record))

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
        now = self._read()
        if now is None or now.refresh_token not in {before.refresh_token, after.refresh_token}:
            return self._signed_in(now)
        self._write(after)
        return after

    def _signed_in(self, record: TokenRecord | None) -> TokenRecord:
        """The record, if it can be renewed. :raises SignInRequiredError:"""
        if record is None or not record.refresh_token:
            raise self._sign_in_error("nobody has signed in yet")
        if record.is_dead and not record.is_usable(time.time()):
            raise self._sign_in_error(record.error)
        return record

    def _sign_in_error(self, why: str, server_text: str = "") -> SignInRequiredError:
        name = clean(self._conn_id) or "<connection id>"
        return SignInRequiredError(
            f"{why}. Sign in as {clean(self._credential.user)!r}: run `airflow email-conn login {name}`,"
            f" or a DAG with EmailSignInOperator(email_conn_id={name!r})",
            server_text,
        )

    @property
    def _lease_seconds(self) -> float:
        return 2 * self._timeout + _LEASE_ROOM

    def _lease(self) -> Lease:
        return Lease(self._store, f"{_PREFIX}{self._digest}__lease", self._lease_seconds)

    def _taken(self, lease: Lease) -> bool:
        with self._stored():
            return lease.take()

    # ------------------------------------------------------------ the record

    @property
    def _is_person(self) -> bool:
        return self._credential.kind == "oauth_device_flow"

    @property
    def _secret_digest(self) -> str:
        """Tells whether a token was fetched with what the connection holds now."""
        oauth = self._oauth
        return _digest(self._credential.secret, oauth.certificate, oauth.assertion_file)

    def _record(self, grant: Grant, before: TokenRecord | None) -> TokenRecord:
        now = time.time()
        known = before or TokenRecord()
        return TokenRecord(
            access_token=grant.access_token,
            issued_at=now,
            expires_at=now + grant.expires_in,
            refresh_token=grant.refresh_token or known.refresh_token,
            refreshed_at=now if grant.refresh_token else known.refreshed_at,
            signed_in_at=known.signed_in_at,
            account=grant.account or known.account,
            secret_digest="" if self._is_person else self._secret_digest,
        )

    def _read(self) -> TokenRecord | None:
        with self._stored():
            record = TokenRecord.from_text(self._store.get(self.key))
        if record and not self._is_person and record.secret_digest != self._secret_digest:
            return None  # a wrong secret must not hide behind a token that a right one got
        return record

    def _write(self, record: TokenRecord) -> None:
        with self._stored():
            self._store.set(self.key, record.as_text())

    @contextmanager
    def _stored(self) -> Iterator[None]:
        """Around the store, which may raise anything: what it says is not shown, it may hold the value."""
        try:
            yield
        except EmailError:
            raise
        except Exception as exc:  # noqa: BLE001 - any store may be chosen
            raise UnavailableError(f"the token store cannot be used now: {type(exc).__name__}") from None


def _failed(record: TokenRecord, failure: EmailError) -> TokenRecord:
    """A record after a renewal that failed."""
    now = time.time()
    rest = max(_REST, getattr(failure, "retry_after", None) or 0.0)
    is_dead = isinstance(failure, SignInRequiredError)
    return replace(record, error=failure.message, failed_at=now, retry_at=now + rest, is_dead=is_dead)


def _digest(*parts: str) -> str:
    """Tells values apart and shows none; each with its length, so that no two lists are one text."""
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
