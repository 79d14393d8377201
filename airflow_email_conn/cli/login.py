"""`login`: a person signs in elsewhere, with a code that is shown here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow_email_conn.cli.connections import directions, iso, keeper_of, settings_by_id
from airflow_email_conn.cli.running import UsageError, command, tell
from airflow_email_conn.errors import AuthenticationError, EmailError

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_email_conn.cli.connections import Direction
    from airflow_email_conn.oauth.device import DeviceCode
    from airflow_email_conn.oauth.keeper import TokenKeeper
    from airflow_email_conn.oauth.record import TokenRecord

__all__ = ["login"]


@command(audited=True)
def login(args: Namespace) -> tuple[list[dict[str, Any]], bool]:
    """Sign in every side of a connection that needs a person, one after the other."""
    sides = _chosen(args.conn_id, args.direction)
    return [_signed_in(keeper, shared) for keeper, shared in _sign_ins(sides)], True


def _chosen(conn_id: str, wanted: str) -> list[Direction]:
    sides = directions(conn_id, settings_by_id(conn_id))
    chosen = [side for side in sides if wanted in {"all", side.name}]
    if not chosen:
        raise UsageError(f"the connection {conn_id!r} has no {wanted} side")
    return chosen


def _sign_ins(sides: list[Direction]) -> list[tuple[TokenKeeper, list[Direction]]]:
    """Each credential that a person signs in for, with the sides that share it; the others are told of."""
    found: dict[str, tuple[TokenKeeper, list[Direction]]] = {}
    for side in sides:
        keeper = keeper_of(side)
        kind = side.server.credential.kind
        if keeper is not None and kind == "oauth_device_flow":
            found.setdefault(keeper.key, (keeper, []))[1].append(side)
        else:
            tell(f"{side.name}: the credential is {kind}; nobody needs to sign in")
    return list(found.values())


def _signed_in(keeper: TokenKeeper, sides: list[Direction]) -> dict[str, Any]:
    names = ", ".join(side.name for side in sides)
    user = sides[0].server.credential.user
    code = keeper.begin_sign_in()
    _show(code, f"{sides[0].conn_id} ({names})", user)
    record = _waited(keeper, code)
    tell(f"Signed in as {record.account or 'somebody whom the authority does not name'}.")
    if record.account and record.account.lower() != user.lower():
        tell(f"The mailbox is {user}: {record.account} needs access to it.")
    # When the refresh token ends, authorities do not say (RFC 6749 5.1 has no field for it).
    tell(f"The access token ends at {iso(record.expires_at)}. It is renewed without you, until the authority")
    tell("ends the sign-in.")
    return {
        "conn_id": sides[0].conn_id,
        "direction": names,
        "user": user,
        "account": record.account or None,
        "signed_in_at": iso(record.signed_in_at),
        "access_token_until": iso(record.expires_at),
    }


def _show(code: DeviceCode, name: str, user: str) -> None:
    tell(f"{name}: to sign in as {user}, open\n\n    {code.verification_uri}\n")
    tell(f"in any browser and enter the code\n\n    {code.user_code}\n")
    if code.verification_uri_complete:
        tell(f"or open\n\n    {code.verification_uri_complete}\n")
    tell(f"The code ends at {iso(code.expires_at)}. Waiting ... (Ctrl-C gives up)")


def _waited(keeper: TokenKeeper, code: DeviceCode) -> TokenRecord:
    """Ask at the authority's interval (RFC 8628 3.5); one that cannot be reached for a while is asked on."""
    while time.time() + code.interval < code.expires_at:
        time.sleep(code.interval)
        try:
            record = keeper.finish_sign_in(code)
        except EmailError as exc:
            if not exc.retryable:
                raise
            tell(f"Still waiting: {exc.message}")
            continue
        if record:
            return record
    raise AuthenticationError("the code has ended before anybody entered it: run the command again")
