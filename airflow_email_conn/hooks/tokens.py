"""Where OAuth tokens rest in Airflow: in Variables, or in the store that airflow.cfg names."""

from __future__ import annotations

import json
import logging
import time
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk.configuration import conf
from cryptography.fernet import Fernet, InvalidToken

from airflow_email_conn.errors import SettingsError, clean
from airflow_email_conn.hooks.masking import mask_token
from airflow_email_conn.hooks.variables import delete_variable, get_variable, set_variable
from airflow_email_conn.token_store import ComparesAndSets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_email_conn.model.settings import EmailSettings
    from airflow_email_conn.oauth.keeper import Tokens
    from airflow_email_conn.token_store import TokenStore

__all__ = ["VariableTokenStore", "tokens_for", "tokens_of"]

log = logging.getLogger(__name__)

_DEFAULT: Final = "airflow_email_conn.hooks.tokens.VariableTokenStore"
_KEY: Final = "email_conn__token_key"
_KEY_DESCRIPTION: Final = "Encrypts the OAuth sign-ins of email connections (email_conn__sign_in__...)"
_DESCRIPTION: Final = "OAuth sign-in of an email connection; `airflow email-conn logout` removes it"
_SETTLE: Final = 1.5  # seconds that writing a Variable takes at most
_SECRET: Final = frozenset({"access_token", "refresh_token", "device_code"})
# Of a process: Airflow's masker compiles all of its texts again for each new one, 3 ms for a token, and never
# forgets one. A task sees one or two, a triggerer a new one every hour.
_MOST_MASKED: Final = 20


def tokens_for(settings: EmailSettings, conn_id: str) -> Tokens | None:
    """As `tokens_of`, for a connection that uses OAuth; None for others, which need not load it."""
    servers = [server for server in (settings.incoming, settings.outgoing) if server]
    return tokens_of(conn_id) if any(server.credential.oauth for server in servers) else None


def tokens_of(conn_id: str) -> Tokens:
    """The tokens of a connection, in the store that `[email_conn] token_store` names.

    :param conn_id: for messages; empty where it is not known.
    :raises SettingsError: there is no such store.
    """
    from airflow_email_conn.oauth.keeper import Tokens  # noqa: PLC0415 - only OAuth needs it

    path = conf.get("email_conn", "token_store", fallback="") or _DEFAULT
    return Tokens(_store(path, conf.get("email_conn", "token_store_kwargs", fallback="") or "{}"), conn_id)


class VariableTokenStore:
    """Airflow's Variables: the same for tasks, triggers, the API server and the CLI.

    Encrypted once more than by Airflow, whose supervisor writes into its log at DEBUG what a task writes into
    a Variable, and whose UI shows it. The key is a Variable too, `email_conn__token_key`, masked by its name,
    and made by whoever writes first: `airflow email-conn login` does so past the supervisor.

    Airflow cannot compare and set Variables.
    """

    def __init__(self) -> None:
        self._cipher: Fernet | None = None  # of the key as it was last read

    def get(self, key: str) -> str | None:
        """See `TokenStore.get`; None also for what was written with a key that is gone."""
        sealed = get_variable(key)
        if sealed is None:
            return None
        for known in (self._cipher, self._read_key()):
            if known is not None:
                with suppress(InvalidToken):
                    return known.decrypt(sealed.encode()).decode()
        log.warning("The Variable %r was written with another key, and is taken for none", key)
        return None

    def set(self, key: str, value: str) -> None:
        """See `TokenStore.set`. :raises SettingsError: what is written cannot be read."""
        sealed = self._cipher_to_write().encrypt(value.encode()).decode()
        before = get_variable(key)
        set_variable(key, sealed, _DESCRIPTION)
        # Unless it is as before, another process has written meanwhile, which is as it should be.
        if before is not None and get_variable(key) == before:
            raise SettingsError(
                f"the Variable {key!r} comes from a secrets backend or the environment, which hides what is"
                " written into Airflow's: remove it there"
            )

    def delete(self, key: str) -> None:
        """See `TokenStore.delete`."""
        delete_variable(key)

    def _cipher_to_write(self) -> Fernet:
        """The key's, which is made where there is none."""
        cipher = self._read_key()
        if cipher is None:
            set_variable(_KEY, Fernet.generate_key().decode(), _KEY_DESCRIPTION)
            time.sleep(_SETTLE)  # of several that made one at once, all take the last
            cipher = self._read_key()
        if cipher is None:
            raise SettingsError(f"the Variable {_KEY!r}: what was just written is not there")
        return cipher

    def _read_key(self) -> Fernet | None:
        """:raises SettingsError: it is no key."""
        text = get_variable(_KEY)
        try:
            self._cipher = Fernet(text.encode()) if text else None
        except ValueError:
            raise SettingsError(
                f"the Variable {_KEY!r}: is not a key of Fernet; delete it, and sign in again"
            ) from None
        return self._cipher


# ------------------------------------------------------------ the store of airflow.cfg


@lru_cache(maxsize=4)  # one that holds its texts in memory must be the same for every call
def _store(path: str, arguments: str) -> TokenStore:
    """:param arguments: a JSON object, never shown: it may hold a password."""
    module, _, name = path.strip().rpartition(".")
    try:
        kind = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as exc:
        raise SettingsError(
            f"[email_conn] token_store: {clean(path)!r} cannot be loaded ({type(exc).__name__})"
        ) from exc
    try:
        given = json.loads(arguments)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise SettingsError("[email_conn] token_store_kwargs: is not a JSON object; write it as {...}")
    try:
        store: Any = kind(**given)
    except Exception as exc:  # noqa: BLE001 - anybody's class
        raise SettingsError(
            f"[email_conn] token_store_kwargs: {clean(path)} does not take them ({type(exc).__name__})"
        ) from None
    if not all(callable(getattr(store, method, None)) for method in ("get", "set", "delete")):
        raise SettingsError(f"[email_conn] token_store: {clean(path)} lacks get, set or delete")
    return _MaskedComparing(store) if isinstance(store, ComparesAndSets) else _Masked(store)


class _Masked:
    """A store whose tokens are masked in Airflow's logs from when they are read or written."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def get(self, key: str) -> str | None:
        """See `TokenStore.get`."""
        value: str | None = self._store.get(key)
        _mask_tokens(value)
        return value

    def set(self, key: str, value: str) -> None:
        """See `TokenStore.set`."""
        _mask_tokens(value)
        self._store.set(key, value)

    def delete(self, key: str) -> None:
        """See `TokenStore.delete`."""
        self._store.delete(key)


class _MaskedComparing(_Masked):
    def compare_and_set(self, key: str, expected: str | None, value: str) -> bool:
        """See `ComparesAndSets.compare_and_set`."""
        _mask_tokens(value)
        return bool(self._store.compare_and_set(key, expected, value))


def _mask_tokens(text: str | None) -> None:
    try:
        found: Any = json.loads(text or "null")
    except (ValueError, RecursionError):
        return
    for secret in _secrets(found):
        _mask_once(secret)


def _secrets(found: Any) -> Iterator[str]:
    """The tokens in a record, and the device code in a sign-in that is under way."""
    if not isinstance(found, dict):
        return
    for name, value in found.items():
        if name in _SECRET and isinstance(value, str) and value:
            yield value
        yield from _secrets(value)


_masked: set[int] = set()


def _mask_once(secret: str) -> None:
    if hash(secret) in _masked or len(_masked) >= _MOST_MASKED:
        return
    _masked.add(hash(secret))
    mask_token(secret)
