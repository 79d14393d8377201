"""Connections by OAuth to the bed, and the sign-in of a person."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from airflow_email_conn.model.settings import EmailSettings
from airflow_email_conn.oauth.keeper import TokenKeeper, Tokens
from airflow_email_conn.token_store import MemoryTokenStore

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_email_conn.model.server import Server
    from airflow_email_conn.oauth.record import TokenRecord
    from airflow_email_conn.token_store import TokenStore
    from tests.servers.authority import Authority
    from tests.servers.bed import Bed

__all__ = ["ALICE", "BOB", "PERSON", "Issuing", "Site", "keep", "settings", "sign_in"]

ALICE, BOB = "alice@example.test", "bob@example.test"
TIMEOUT = 5.0
#: The fields of a person's sign-in; those of an application depend on what it proves itself with.
PERSON = {"credential": "oauth_device_flow", "client_id": "device"}


class Issuing(Protocol):
    """An authority, or a proxy in front of it."""

    @property
    def issuer(self) -> str:
        """Its address."""

    @property
    def ca(self) -> Path:
        """Whom to trust."""


def settings(bed: Bed, authority: Issuing, *, allowed_hosts: tuple[str, ...] = ("*",), **fields: Any) -> EmailSettings:
    """A connection to the bed: IMAP and SMTP as alice, by client credentials with the secret.

    :param fields: of the connection, over these; None takes one away.
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
        **fields,
    }
    values = {key: value for key, value in values.items() if value is not None}
    if values["client_id"] == "daemon" and values["credential"] == "oauth_client_credentials":
        values.setdefault("password", "daemon-secret")
    return EmailSettings.parse(values, environ={}, variable=lambda _: None, allowed_hosts=allowed_hosts)


def sign_in(authority: Authority, keeper: TokenKeeper, login: str = ALICE) -> TokenRecord:
    """Do all of the device flow, the person's part too."""
    code = keeper.begin_sign_in()
    authority.approve(code.user_code, login)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if record := keeper.finish_sign_in(code):
            return record
        time.sleep(code.interval)
    raise AssertionError("the device flow did not end")


def keep(keeper: TokenKeeper, store: TokenStore, **fields: Any) -> None:
    """Put a record into the store, as another process would have left it."""
    from dataclasses import replace

    store.set(keeper.key, replace(keeper.state(), **fields).as_text())
