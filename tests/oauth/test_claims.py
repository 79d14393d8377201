"""Claims challenges of Graph, answered by the real authority; and tokens that outlive no session."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from airflow_email_conn.client import open_mailbox, send
from airflow_email_conn.errors import AuthenticationError
from airflow_email_conn.model.draft import Draft
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.oauth.keeper import Tokens
from airflow_email_conn.token_store import MemoryTokenStore
from tests.oauth.connections import ALICE, PERSON, graph_settings, keeper_of, sign_in

if TYPE_CHECKING:
    from tests.servers.authority import Authority
    from tests.servers.authorityfaults import FaultyAuthority
    from tests.servers.graph.server import GraphServer

_CLAIMS = '{"access_token": {"nbf": {"essential": true, "value": "1700000000"}}}'


@pytest.mark.parametrize("way", ["application", "person"])
def test_claims_reach_the_authority(
    graph_at_authority: GraphServer, faulty_authority: FaultyAuthority, way: str
) -> None:
    """MSAL asks with them, and another token comes back."""
    more = PERSON if way == "person" else {}
    keeper = keeper_of(
        graph_settings(graph_at_authority, faulty_authority.issuer, **more).incoming, MemoryTokenStore()
    )
    first = sign_in(faulty_authority.authority, keeper) if way == "person" else keeper.token()
    second = keeper.renewed(first, _CLAIMS)
    assert second.access_token != first.access_token
    forms = [request.form for request in faulty_authority.requests if request.step == "token"]
    assert json.loads(forms[-1]["claims"]) == json.loads(_CLAIMS)
    assert "claims" not in forms[0]


@pytest.mark.parametrize("way", ["application", "person"])
def test_challenge(graph_at_authority: GraphServer, authority: Authority, way: str) -> None:
    """In the middle of a session: one more token, and nobody notices."""
    graph, store = graph_at_authority, MemoryTokenStore()
    settings = graph_settings(graph, authority.issuer, **(PERSON if way == "person" else {}))
    tokens = Tokens(store, "mail")
    if way == "person":
        sign_in(authority, keeper_of(settings.incoming, store))
    graph.append(ALICE, b"Subject: x\r\nMessage-ID: <x@example.test>\r\n\r\ny")
    with open_mailbox(settings, tokens=tokens) as mailbox:
        assert len(list(mailbox.search(MailQuery()))) == 1
        time.sleep(1.1)
        graph.site.tokens.challenged[""] = float(int(time.time()))  # tokens say when in whole seconds
        assert len(list(mailbox.search(MailQuery()))) == 1
    counts = authority.counts()
    assert (counts.refresh_token if way == "person" else counts.client_credentials - 1) == 1


@pytest.mark.parametrize("way", ["application", "person"])
def test_sends(graph_at_authority: GraphServer, authority: Authority, way: str) -> None:
    """By both credentials, with tokens of the authority."""
    store = MemoryTokenStore()
    settings = graph_settings(graph_at_authority, authority.issuer, **(PERSON if way == "person" else {}))
    if way == "person":
        sign_in(authority, keeper_of(settings.outgoing, store))
    receipt = send(settings, Draft(to=ALICE, subject="x"), tokens=Tokens(store, "mail"))
    assert receipt.accepted == (ALICE,)
    assert len(graph_at_authority.messages(ALICE)) == 1


def test_refused_for_good(graph_at_authority: GraphServer, authority: Authority) -> None:
    """A token for something else: one renewal, then the error."""
    settings = graph_settings(graph_at_authority, authority.issuer, scopes="other")
    with pytest.raises(AuthenticationError, match="access token is not taken"):
        open_mailbox(settings)
    assert authority.counts().client_credentials == 2
