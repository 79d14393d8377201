"""The fake Graph as its users reach it: signed in, with tokens that MSAL gets from the test authority."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from airflow_email_conn.client import open_mailbox, open_sender
from airflow_email_conn.oauth.keeper import Tokens
from airflow_email_conn.token_store import MemoryTokenStore
from tests.oauth.connections import PERSON, graph_settings, keeper_of, sign_in

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow_email_conn.backends.base import Mailbox, Sender
    from airflow_email_conn.model.settings import EmailSettings
    from tests.servers.authority import Authority
    from tests.servers.graph.server import GraphServer

__all__ = ["CREDENTIALS", "SignedIn", "signed_in"]

#: Both credentials of Microsoft 365, as a connection names them after `oauth_`.
CREDENTIALS: Final = ("client_credentials", "device_flow")


@dataclass(frozen=True)
class SignedIn:
    """The connection of the fake's first user, and its tokens.

    :param graph: takes tokens of the authority.
    """

    graph: GraphServer
    settings: EmailSettings
    tokens: Tokens

    @property
    def users(self) -> Collection[str]:
        """Addresses; the first is the connection's."""
        return self.graph.users

    def mailbox(self) -> Mailbox:
        """Open the mailbox."""
        return open_mailbox(self.settings, tokens=self.tokens)

    def sender(self) -> Sender:
        """Open the sender."""
        return open_sender(self.settings, tokens=self.tokens)


def signed_in(graph: GraphServer, authority: Authority, credential: str) -> SignedIn:
    """Sign in, for as long as the token lives.

    :param credential: one of `CREDENTIALS`.
    """
    is_person = credential == "device_flow"
    settings = graph_settings(graph, authority.issuer, **(PERSON if is_person else {}))
    store = MemoryTokenStore()
    if is_person:
        sign_in(authority, keeper_of(settings.incoming, store))
    return SignedIn(graph, settings, Tokens(store, "mail"))
