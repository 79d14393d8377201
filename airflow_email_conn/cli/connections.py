"""The email connections that a command works on, their directions, and their tokens."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from airflow.models.connection import Connection
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_email_conn.cli.running import UsageError
from airflow_email_conn.errors import clean
from airflow_email_conn.hooks.connection import settings_of
from airflow_email_conn.hooks.tokens import tokens_of

if TYPE_CHECKING:
    from airflow_email_conn.model.server import Server
    from airflow_email_conn.model.settings import EmailSettings
    from airflow_email_conn.oauth.keeper import TokenKeeper

__all__ = ["Direction", "all_ids", "directions", "iso", "keeper_of", "settings_by_id"]

_TYPE: Final = "email"
_ENVIRONMENT: Final = "AIRFLOW_CONN_"


@dataclass(frozen=True, slots=True)
class Direction:
    """One side of a connection.

    :param name: `incoming` or `outgoing`.
    """

    conn_id: str
    name: str
    server: Server


def settings_by_id(conn_id: str) -> EmailSettings:
    """A connection's settings, wherever Airflow finds it.

    :raises UsageError: there is none of the id, or it is of another type.
    :raises SettingsError: what is wrong with it.
    """
    connection = Connection.get_connection_from_secrets(conn_id)
    if connection.conn_type != _TYPE:
        raise UsageError(
            f"the connection {conn_id!r} is of type {clean(str(connection.conn_type))!r}, not email"
        )
    return settings_of(connection)


def all_ids() -> list[str]:
    """The ids of all email connections in Airflow's database and in the environment.

    Secrets backends cannot be asked what they hold.
    """
    with create_session() as session:
        stored = session.scalars(select(Connection.conn_id).where(Connection.conn_type == _TYPE)).all()
    named = [key.removeprefix(_ENVIRONMENT).lower() for key in os.environ if key.startswith(_ENVIRONMENT)]
    return sorted({*(str(each) for each in stored), *(each for each in named if _is_email(each))})


def _is_email(conn_id: str) -> bool:
    try:
        return bool(Connection.get_connection_from_secrets(conn_id).conn_type == _TYPE)
    except Exception:  # noqa: BLE001 - another connection that cannot be read is not for us to tell of
        return False


def directions(conn_id: str, settings: EmailSettings) -> list[Direction]:
    """The sides that a connection has."""
    sides = (("incoming", settings.incoming), ("outgoing", settings.outgoing))
    return [Direction(conn_id, name, server) for name, server in sides if server]


def keeper_of(side: Direction) -> TokenKeeper | None:
    """The tokens of a side, None where it does not sign in by OAuth. :raises SettingsError: no such store."""
    return tokens_of(side.conn_id).of(side.server) if side.server.credential.oauth else None


def iso(moment: float) -> str | None:
    """A time of time.time in ISO 8601, UTC, to the second; None for 0, which stands for never."""
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None
