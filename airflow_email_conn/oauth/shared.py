"""The record of one credential in the token store, where all processes find it."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from airflow_email_conn.errors import EmailError, UnavailableError
from airflow_email_conn.oauth.device import DeviceCode
from airflow_email_conn.oauth.lease import Lease
from airflow_email_conn.oauth.record import TokenRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_email_conn.model.server import Credential, OAuth
    from airflow_email_conn.token_store import TokenStore

__all__ = ["SharedRecord"]

# Without `token` or `secret`: by such a name Airflow's masker takes in each text that it reads, forgets none,
# and compiles all of them again for every new one (3 ms each).
_PREFIX: Final = "email_conn__sign_in__"


class SharedRecord:
    """What a store has of one credential: the record, a sign-in that is under way, and the lease to renew.

    The record is found by what the credential is (kind, authority, client, scopes; of a person also the
    mailbox and the servers), not by the connection's name, which the connection test does not know. So nobody
    gets a person's token shown to another server by a connection that leads there.

    :raises UnavailableError: of every method: the store cannot be used now.
    """

    def __init__(self, store: TokenStore, credential: Credential, oauth: OAuth) -> None:
        self._store = store
        #: A person's has a refresh token; an application's is renewed with what the connection holds.
        self.is_person = credential.kind == "oauth_device_flow"
        #: Tells whether a token was fetched with what the connection holds now; of a person empty.
        self.secret_digest = (
            "" if self.is_person else _digest(credential.secret, oauth.certificate, oauth.assertion_file)
        )
        #: Under which the record rests in the store.
        self.key = _PREFIX + _digest(
            credential.kind,
            oauth.authority,
            oauth.client_id,
            *sorted(oauth.scopes),
            *([credential.user.lower(), *oauth.hosts] if self.is_person else []),
        )

    def read(self) -> TokenRecord | None:
        """The record, if there is one of what the connection holds now."""
        with self._stored():
            record = TokenRecord.from_text(self._store.get(self.key))
        if record and not self.is_person and record.secret_digest != self.secret_digest:
            return None  # a wrong secret must not hide behind a token that a right one got
        return record

    def write(self, record: TokenRecord) -> None:
        """Keep a record in the place of the one before."""
        with self._stored():
            self._store.set(self.key, record.as_text())

    def delete(self) -> None:
        """Forget the record, and a sign-in that is under way."""
        with self._stored():
            self._store.delete(self.key)
            self._store.delete(self._code_key)

    # ------------------------------------------------------------ a sign-in under way

    def read_code(self) -> DeviceCode | None:
        """The sign-in that is under way, if one was kept."""
        with self._stored():
            text = self._store.get(self._code_key)
        try:
            return DeviceCode.from_text(text) if text else None
        except (ValueError, KeyError, TypeError):
            return None

    def write_code(self, code: DeviceCode) -> None:
        """Keep a sign-in that is under way for another process."""
        with self._stored():
            self._store.set(self._code_key, code.as_text())

    def delete_code(self) -> None:
        """Forget the sign-in that was under way."""
        with self._stored():
            self._store.delete(self._code_key)

    @property
    def _code_key(self) -> str:
        return f"{self.key}__code"

    # ------------------------------------------------------------ the lease

    @contextmanager
    def lease(self, seconds: float) -> Iterator[bool]:
        """The right to renew, given back in the end. :returns: whether we have it.

        :param seconds: see `Lease`.
        """
        with Lease(self._store, f"{self.key}__lease", seconds) as lease:
            with self._stored():
                is_ours = lease.take()
            yield is_ours

    @contextmanager
    def _stored(self) -> Iterator[None]:
        """Around the store, which may raise anything: what it says is not shown, it may hold the value."""
        try:
            yield
        except EmailError:
            raise
        except Exception as exc:  # noqa: BLE001 - any store may be chosen
            raise UnavailableError(f"the token store cannot be used now: {type(exc).__name__}") from None


def _digest(*parts: str) -> str:
    """Tells values apart and shows none; each with its length, so that no two lists are one text."""
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
