"""`status`: how the credentials of connections are, as far as is known here; no server is asked."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_email_conn.cli.connections import all_ids, directions, iso, keeper_of, settings_by_id
from airflow_email_conn.cli.running import UsageError, command, tell
from airflow_email_conn.errors import EmailError, clean

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_email_conn.cli.connections import Direction
    from airflow_email_conn.model.server import OAuth
    from airflow_email_conn.oauth.record import TokenRecord

__all__ = ["status"]

_CERTIFICATE: Final = re.compile(
    r"-----BEGIN CERTIFICATE-----.{0,20000}?-----END CERTIFICATE-----", re.DOTALL
)
_WRONG: Final = frozenset(
    {"not signed in", "dead", "certificate expired", "expired", "failed", "invalid", "unknown"}
)


@command()
def status(args: Namespace) -> tuple[list[dict[str, Any]], bool]:
    """One row for each direction; all is well while none needs a person."""
    if args.conn_id:
        rows = _of_connection(args.conn_id)
    else:
        ids = all_ids()
        if not ids:
            tell("there is no connection of type email in Airflow's database or the environment")
        rows = [row for conn_id in ids for row in _of_any(conn_id)]
    return rows, not any(row["state"] in _WRONG for row in rows)


def _of_any(conn_id: str) -> list[dict[str, Any]]:
    """Of one of all: it may be gone meanwhile, or be another in the environment than in the database."""
    try:
        return _of_connection(conn_id)
    except (UsageError, AirflowNotFoundException) as exc:
        return [_row(conn_id, state="invalid", error=clean(str(exc)))]


def _of_connection(conn_id: str) -> list[dict[str, Any]]:
    """:raises UsageError, AirflowNotFoundException: as `settings_by_id`."""
    try:
        return [_of_direction(side) for side in directions(conn_id, settings_by_id(conn_id))]
    except (UsageError, AirflowNotFoundException):
        raise
    except EmailError as exc:
        error = exc.message
    except Exception as exc:  # noqa: BLE001 - another Fernet key, a secrets backend
        error = f"cannot be read ({type(exc).__name__})"  # its text may hold a secret
    return [_row(conn_id, state="invalid", error=error)]


def _of_direction(side: Direction) -> dict[str, Any]:
    """The states: no sign-in, password, alive, no token yet; and those of `_WRONG`."""
    credential = side.server.credential
    told = {"direction": side.name, "credential": credential.kind, "user": credential.user or None}
    keeper = keeper_of(side)
    if keeper is None or credential.oauth is None:
        state = "no sign-in" if credential.kind == "none" else "password"
        return _row(side.conn_id, **told, state=state)
    try:
        record = keeper.state()
    except EmailError as exc:  # the store
        return _row(side.conn_id, **told, state="unknown", error=exc.message)
    ends = _certificate_end(credential.oauth)
    now = time.time()
    return _row(
        side.conn_id,
        **told,
        state=_state(record, ends, now, is_person=credential.kind == "oauth_device_flow"),
        account=record.account or None,
        access_token_until=iso(record.expires_at),
        signed_in_at=iso(record.signed_in_at),
        refresh_token_days=round((now - record.refreshed_at) / 86400, 1) if record.refreshed_at else None,
        certificate_until=iso(ends),
        error=record.error or None,
        error_at=iso(record.failed_at) if record.error else None,
    )


def _row(conn_id: str, **told: Any) -> dict[str, Any]:
    """Every row has every column: tables need it, and so do scripts."""
    columns = (
        "direction",
        "credential",
        "user",
        "state",
        "account",
        "access_token_until",
        "signed_in_at",
        "refresh_token_days",
        "certificate_until",
        "error",
        "error_at",
    )
    return {"conn_id": conn_id, **{name: told.get(name) for name in columns}}


def _state(record: TokenRecord, certificate_end: float, now: float, *, is_person: bool) -> str:
    if is_person and not record.refresh_token:
        return "not signed in"
    if record.is_dead:
        return "dead"
    if certificate_end and certificate_end < now:
        return "certificate expired"
    if record.error and not record.is_usable(now):
        return "expired" if record.access_token else "failed"
    # One that has ended is renewed at the next use.
    return "alive" if record.access_token else "no token yet"


def _certificate_end(oauth: OAuth) -> float:
    """When the client certificate ends, the first of a chain; 0 when there is none that can be read."""
    pem = _CERTIFICATE.search(oauth.certificate)
    if pem is None:
        return 0.0
    from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415 - rarely needed

    try:
        return load_pem_x509_certificate(pem[0].encode()).not_valid_after_utc.timestamp()
    except ValueError:
        return 0.0
