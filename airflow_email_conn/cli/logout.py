"""`logout`: forget the tokens of a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_email_conn.cli.connections import directions, keeper_of, settings_by_id
from airflow_email_conn.cli.running import command, tell
from airflow_email_conn.errors import EmailError
from airflow_email_conn.oauth.record import TokenRecord

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_email_conn.oauth.keeper import TokenKeeper

__all__ = ["logout"]


@command(audited=True)
def logout(args: Namespace) -> tuple[list[dict[str, Any]], bool]:
    """Forget what every side has; wrong only when an authority should have been told, and could not be."""
    keepers: dict[str, tuple[TokenKeeper, list[str]]] = {}
    for side in directions(args.conn_id, settings_by_id(args.conn_id)):
        keeper = keeper_of(side)
        if keeper is None:
            tell(f"{side.name}: the credential is {side.server.credential.kind}; there is nothing to forget")
        else:
            keepers.setdefault(keeper.key, (keeper, []))[1].append(side.name)
    rows = [_forgotten(args.conn_id, keeper, names) for keeper, names in keepers.values()]
    return rows, not any(row["error"] for row in rows)


def _forgotten(conn_id: str, keeper: TokenKeeper, names: list[str]) -> dict[str, Any]:
    had, revoked, error = TokenRecord(), False, None
    try:
        had = keeper.state()
        revoked = keeper.forget()
    except EmailError as exc:
        # Of the authority, or of the store: only if that took the deletion are the tokens gone.
        error = exc.message
    return {
        "conn_id": conn_id,
        "direction": ", ".join(names),
        "account": had.account or None,
        "forgotten": bool(had.access_token or had.refresh_token) and _is_empty(keeper),
        "revoked": revoked,
        "error": error,
    }


def _is_empty(keeper: TokenKeeper) -> bool:
    try:
        left = keeper.state()
    except EmailError:  # nobody knows
        return False
    return not (left.access_token or left.refresh_token)
