"""Connections by OAuth to the bed and to the fake Graph, and the sign-in of a person."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from airflow_email_conn.model.settings import EmailSettings
from airflow_email_conn.oauth.keeper import Tokens

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_email_conn.model.server import Server
    from airflow_email_conn.oauth.keeper import TokenKeeper
    from airflow_email_conn.oauth.record import TokenRecord
    from airflow_email_conn.token_store import TokenStore
    from tests.servers.authority import Authority
    from tests.servers.bed import Bed
    from tests.servers.graph.server import GraphServer

__all__ = [
    "ALICE",
    "BOB",
    "PERSON",
    "Issuing",
    "fields_of",
    "graph_settings",
    "keeper_of",
    "put",
    "settings",
    "sign_in",
]

ALICE, BOB = "alice@example.test", "bob@example.test"
#: The fields of a person's sign-in.
PERSON = {"credential": "oauth_device_flow", "client_id": "device"}
TIMEOUT = 10.0


class Issuing(Protocol):
    """An authority, or a proxy in front of it."""

    issuer: str
    ca: Path


def fields_of(bed: Bed, authority: Issuing, **fields: Any) -> dict[str, Any]:
    """Fields of a connection to the bed: IMAP and SMTP as alice, by client credentials with the secret.

    :param fields: in the place of these; None takes one away.
    """
    values: dict[str, Any] = {
        "host": "localhost",
        "incoming_port": bed.imaps_port,
        "outgoing_host": "localhost",
        "outgoing_port": bed.smtps_port,
        "outgoing_security": "tls",
        "login": ALICE,
        "credential": "oauth_client_credentials",
        "client_id": "daemon",
        "authority": authority.issuer,
        "scopes": "mail",
        "ca_certificates": authority.ca.read_text(),
        "timeout": TIMEOUT,
    }
    if {**values, **fields}["client_id"] == "daemon":
        values["password"] = "daemon-secret"
    values.update(fields)
    return {key: value for key, value in values.items() if value is not None}


def settings(
    bed: Bed, authority: Issuing, *, allowed_hosts: tuple[str, ...] = ("*",), **fields: Any
) -> EmailSettings:
    """A connection; see `fields_of`."""
    given = fields_of(bed, authority, **fields)
    return EmailSettings.parse(given, environ={}, variable=lambda _: None, allowed_hosts=allowed_hosts)


def graph_settings(graph: GraphServer, issuer: str, **fields: Any) -> EmailSettings:
    """A connection to the fake Graph as alice, by client credentials with the secret.

    :param issuer: of the authority, or of a proxy in front of it.
    :param fields: in the place of these.
    """
    values = {
        "connection_type": "microsoft365",
        "graph_url": graph.url,
        "login": ALICE,
        "credential": "oauth_client_credentials",
        "client_id": "daemon",
        "authority": issuer,
        "scopes": "mail",
        "ca_certificates": graph.ca.read_text(),
        "timeout": TIMEOUT,
        **fields,
    }
    if values["client_id"] == "daemon":
        values["password"] = "daemon-secret"
    return EmailSettings.parse(values, environ={}, variable=lambda _: None)


def keeper_of(server: Server | None, store: TokenStore) -> TokenKeeper:
    """The keeper of one direction of the connection `mail`."""
    assert server is not None
    return Tokens(store, "mail").of(server)


def sign_in(authority: Authority, keeper: TokenKeeper, login: str = ALICE) -> TokenRecord:
    """Do all of the device flow, the person's part too."""
    code = keeper.begin_sign_in()
    authority.approve(code.user_code, login)
    record = keeper.finish_sign_in(code)
    assert record is not None
    return record


def put(
    keeper: TokenKeeper, store: TokenStore, access_token: str, seconds: float = 3000, **more: Any
) -> None:
    """Change the record, as another process would: a token, and the seconds that it seems to have left."""
    now = time.time()
    record = replace(
        keeper.state(), access_token=access_token, issued_at=now - 600, expires_at=now + seconds, **more
    )
    store.set(keeper.key, record.as_text())
