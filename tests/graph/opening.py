"""Sessions and senders on the fake Graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_email_conn.backends.graph.sender import GraphSender
from airflow_email_conn.backends.graph.session import GraphSession
from airflow_email_conn.model.server import Credential, Server
from tests.servers.graph.tokens import ALL_PERMISSIONS

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.servers.graph.server import GraphServer

__all__ = ["MAILBOX", "Renewals", "open_sender", "open_session", "setting"]

MAILBOX = "robot@example.test"


class Renewals:
    """Gives another token each time, and keeps what it was asked for.

    :param person: whose tokens; None for an application's.
    """

    def __init__(
        self,
        graph: GraphServer,
        person: str | None = None,
        permissions: Collection[str] = ALL_PERMISSIONS,
        seconds: float = 3600,
    ) -> None:
        self._graph, self._person, self._permissions, self._seconds = graph, person, permissions, seconds
        self.asked: list[str] = []

    def __call__(self, claims: str) -> Credential:
        """See `Renew`."""
        self.asked.append(claims)
        token = self._graph.token(self._person, self._permissions, self._seconds)
        return Credential("bearer", MAILBOX, token)


def setting(graph: GraphServer, token: str = "", *, user: str = MAILBOX, **more: Any) -> Server:
    """The settings of a mailbox. :param token: an application's with all permissions when empty."""
    credential = Credential("bearer", user, token or graph.token())
    values: dict[str, Any] = {
        "protocol": "graph",
        "host": "localhost",
        "port": graph.port,
        "credential": credential,
        "timeout": 5.0,
        "ca_certificates": str(graph.ca),
        "url": graph.url,
    }
    return Server(**(values | more))


def open_session(
    graph: GraphServer, token: str = "", *, renew: Renewals | None = None, **more: Any
) -> GraphSession:
    """An open session."""
    return GraphSession.open(setting(graph, token, **more), lambda _: None, renew or Renewals(graph))


def open_sender(
    graph: GraphServer, token: str = "", *, renew: Renewals | None = None, **more: Any
) -> GraphSender:
    """An open sender."""
    server = setting(graph, token, **more)
    return GraphSender.open(server, from_address=MAILBOX, renew=renew or Renewals(graph))
