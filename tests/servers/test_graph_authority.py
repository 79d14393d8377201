"""The fake Graph takes tokens of the test authority."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from tests.servers.certificates import client_context

if TYPE_CHECKING:
    from tests.servers.authority import Authority
    from tests.servers.graph.server import GraphServer

ALICE, BOB = "alice@example.test", "bob@example.test"


@pytest.mark.parametrize(
    ("login", "scope", "seconds", "statuses"),
    [
        (ALICE, "mail", 60, (200, 403)),
        (None, "mail", 60, (200, 200)),
        (None, "other", 60, (401, 401)),
        (None, "mail", -60, (401, 401)),
    ],
)
def test_tokens_of_the_authority(
    graph_at_authority: GraphServer,
    authority: Authority,
    login: str | None,
    scope: str,
    seconds: int,
    statuses: tuple[int, int],
) -> None:
    """A person's opens that person's mailbox, an application's all; others none."""
    headers = {"Authorization": f"Bearer {authority.token(login, scope, seconds)}"}
    with httpx.Client(verify=client_context(graph_at_authority.ca), headers=headers) as client:
        found = [
            client.get(f"{graph_at_authority.url}/v1.0/users/{user}/mailFolders/inbox").status_code
            for user in (ALICE, BOB)
        ]
    assert tuple(found) == statuses
