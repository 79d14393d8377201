"""Connections that sign in by OAuth, to the bed's mail servers and to the fake Microsoft Graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn.hooks.tokens import tokens_of

if TYPE_CHECKING:
    from tests.servers.authority import Authority
    from tests.servers.bed import Bed
    from tests.servers.graph.server import GraphServer

__all__ = ["forget_sign_ins", "oauth_form", "sign_in"]


def oauth_form(
    bed: Bed, issuing: Authority, login: str, *, kind: str, protocol: str = "imap", **extra: Any
) -> dict[str, Any]:
    """The connection of a user's mailbox, both sides by OAuth.

    :param issuing: the authority.
    :param kind: `client_credentials` or `device_flow`.
    """
    person = kind == "device_flow"
    return {
        "conn_type": "email",
        "host": "localhost",
        "port": bed.imaps_port if protocol == "imap" else bed.pop3s_port,
        "login": login,
        "password": None if person else issuing.clients.secret,
        "extra": {
            "incoming_protocol": protocol,
            "credential": f"oauth_{kind}",
            "authority": issuing.issuer,
            "client_id": "device" if person else "daemon",
            "scopes": ["mail"],
            "outgoing_host": "localhost",
            "outgoing_port": bed.submission_port,
            "ca_certificates": str(bed.ca),
            "timeout": 5,
            **extra,
        },
    }


def graph_form(
    graph: GraphServer, issuing: Authority, login: str, *, kind: str = "client_credentials", **extra: Any
) -> dict[str, Any]:
    """The connection of a user's mailbox on Microsoft 365. Parameters as of `oauth_form`."""
    person = kind == "device_flow"
    return {
        "conn_type": "email",
        "login": login,
        "password": None if person else issuing.clients.secret,
        "extra": {
            "connection_type": "microsoft365",
            "graph_url": graph.url,
            "credential": f"oauth_{kind}",
            "client_id": "device" if person else "daemon",
            "authority": issuing.issuer,
            "scopes": ["mail"],
            "ca_certificates": str(issuing.ca),
            "timeout": 5,
            **extra,
        },
    }


def sign_in(authority: Authority, login: str, conn_id: str = "email_default") -> None:
    """Sign a person in, past the CLI and the operator."""
    server = EmailHook(conn_id).settings.incoming
    assert server is not None
    keeper = tokens_of(conn_id).of(server)
    code = keeper.begin_sign_in()
    authority.approve(code.user_code, login)
    assert keeper.finish_sign_in(code)


def forget_sign_ins() -> None:
    """Take what is kept of them out of Airflow's Variables."""
    from airflow.models.variable import Variable  # noqa: PLC0415 - slow to import
    from airflow.utils.session import create_session  # noqa: PLC0415
    from sqlalchemy import delete  # noqa: PLC0415

    with create_session() as session:
        kept = Variable.key.like("email_conn__sign_in__%") | (Variable.key == "email_conn__token_key")
        session.execute(delete(Variable).where(kept))
