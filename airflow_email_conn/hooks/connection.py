"""From Airflow's Connection to settings: the only place that sees a Connection."""

from __future__ import annotations

import json
import os
import re
from typing import Any, Final, Protocol

from airflow.sdk.configuration import conf

from airflow_email_conn.errors import SettingsError, clean
from airflow_email_conn.hooks.masking import mask
from airflow_email_conn.hooks.variables import get_variable
from airflow_email_conn.model.fields import BY_KEY, FIELDS
from airflow_email_conn.model.settings import EmailSettings

__all__ = ["ConnectionLike", "settings_of"]

_STANDARD: Final = tuple(field.key for field in FIELDS if not field.extra and field.applies != "none")
_SECRETS: Final = tuple(field.key for field in FIELDS if field.kind == "secret" or "private_key" in field.key)
_NESTED: Final = "__extra__"  # where Airflow's URIs keep an extra that is more than flat text


class ConnectionLike(Protocol):
    """What is read of a connection: both `airflow.sdk.Connection` and `airflow.models.Connection` have it."""

    conn_type: Any
    host: Any
    port: Any
    login: Any

    @property
    def password(self) -> Any:
        """The standard field."""
        ...

    @property
    def extra(self) -> Any:
        """JSON text."""
        ...


def settings_of(connection: ConnectionLike) -> EmailSettings:
    """The settings of a connection; its secrets are masked in Airflow's logs from then on.

    It may ask Airflow for a Variable and tells the supervisor what to mask, both blocking: on an event loop,
    call it in a thread.

    :raises SettingsError: everything that is wrong with the connection.
    """
    values = _values(connection)
    mask(str(values[key]) for key in _SECRETS if values.get(key))
    settings = EmailSettings.parse(
        values,
        environ=os.environ,
        variable=_secret_variable,
        macro_names=_globs("macro_names", ""),
        allowed_hosts=_globs("allowed_hosts", "*"),
    )
    _mask_sign_in(settings)
    return settings


def _values(connection: ConnectionLike) -> dict[str, Any]:
    """Standard fields and extra, in one mapping. :raises SettingsError: wrong type, unreadable extra."""
    if connection.conn_type != "email":
        raise SettingsError(
            f"Connection Type: is {clean(str(connection.conn_type))!r}, whose fields mean something else; "
            "choose Email and fill in the form"
        )
    extra = _extra(connection.extra)
    standard = {key: getattr(connection, key) for key in _STANDARD}
    misplaced = [key for key in standard if extra.get(key) not in (None, "")]
    if misplaced:
        # Not silently one or the other: a password in the extra would win or lose unseen.
        raise SettingsError(
            [f"{BY_KEY[key].title}: stands in the extra; move it to the standard field" for key in misplaced]
        )
    return {**extra, **standard}


def _extra(extra: Any, depth: int = 5) -> dict[str, Any]:
    """The extra, unpacked. Airflow's own `extra_dejson` reads a broken one as an empty one."""
    if isinstance(extra, str):
        try:
            extra = json.loads(extra) if extra.strip() else None
        except (ValueError, RecursionError):
            raise SettingsError("Extra: is not JSON; correct it, or fill in the form") from None
    if extra is None:
        return {}
    if not isinstance(extra, dict) or not depth:
        raise SettingsError("Extra: is not a JSON object; write it as {...}")
    outer = {key: value for key, value in extra.items() if key != _NESTED}
    return {**_extra(extra.get(_NESTED), depth - 1), **outer}


def _globs(option: str, default: str) -> tuple[str, ...]:
    """An option of `[email_conn]`; the default stands in the provider's metadata too, not always loaded."""
    text = conf.get("email_conn", option, fallback=default) or ""
    return tuple(glob for glob in re.split(r"[\s,]+", text) if glob)


def _secret_variable(name: str) -> str | None:
    """The value of a Variable, masked whatever its name; None if there is none."""
    value = get_variable(name)
    if value:
        mask([value])
    return value


def _mask_sign_in(settings: EmailSettings) -> None:
    """Mask what AUTH PLAIN sends (RFC 4616): it holds the password, but neither it nor its base64 form."""
    credentials = [server.credential for server in (settings.incoming, settings.outgoing) if server]
    mask(f"\0{c.user}\0{c.secret}" for c in credentials if c.kind == "secret")
