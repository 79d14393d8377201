"""From Airflow's Connection to settings: the only place that sees a Connection, or Variables for it."""

from __future__ import annotations

import base64
import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any, Final, Protocol

from airflow.sdk.configuration import conf
from airflow.sdk.log import mask_secret

from airflow_email_conn.errors import SettingsError, clean
from airflow_email_conn.model.fields import BY_KEY, FIELDS
from airflow_email_conn.model.settings import EmailSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


__all__ = ["ConnectionLike", "settings_of"]

_STANDARD: Final = tuple(field.key for field in FIELDS if not field.extra and field.applies != "none")
_SECRETS: Final = tuple(field.key for field in FIELDS if field.kind == "secret" or "private_key" in field.key)
# The body of a private key: 400 lines, where RSA of 16384 bits takes 200.
_KEY: Final = re.compile(r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----(.{0,26000}?)-----END ", re.DOTALL)
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
    _mask(str(values[key]) for key in _SECRETS if values.get(key))
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
    value = _variable(name)
    if value:
        _mask([value])
    return value


def _variable(name: str) -> str | None:
    # Tasks, triggers and DAG parsing talk to the supervisor; the API server and the CLI have the database.
    if hasattr(sys.modules.get("airflow.sdk.execution_time.task_runner"), "SUPERVISOR_COMMS"):
        from airflow.sdk import Variable  # noqa: PLC0415

        found = Variable.get(name, default=None)
    else:
        from airflow.models.variable import Variable as StoredVariable  # noqa: PLC0415

        found = StoredVariable.get(name, default_var=None)
    return None if found is None else str(found)


def _mask_sign_in(settings: EmailSettings) -> None:
    """Mask what AUTH PLAIN sends (RFC 4616): it holds the password, but neither it nor its base64 form."""
    credentials = [server.credential for server in (settings.incoming, settings.outgoing) if server]
    _mask(f"\0{c.user}\0{c.secret}" for c in credentials if c.kind == "secret")


def _mask(secrets: Iterable[str]) -> None:
    """Register secrets and their base64 forms with the maskers of Airflow."""
    plain = [part for secret in secrets for part in (secret, *_key_lines(secret))]
    masked: list[Any] = [
        *plain,
        *(base64.b64encode(s.encode(errors="replace")).decode() for s in plain),
    ]
    if not masked:
        return
    mask_secret(masked)
    # The API server and the CLI log through a second masker, which is loaded there.
    core = sys.modules.get("airflow._shared.secrets_masker")
    if core is not None:
        core.mask_secret(masked)


def _key_lines(secret: str) -> Iterator[str]:
    """The lines of a private key: logs show them with other line ends than the form, or as a repr."""
    for body in _KEY.findall(secret):
        yield from (line for line in body.split() if len(line) >= 16)
