"""Tokens of the test authority at the fake: it asks the authority about each (RFC 7662), as Dovecot does.

Once for each token that is good: Graph believes a token until it ends, too, whatever was withdrawn meanwhile.
"""

from __future__ import annotations

import base64
import json
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING

from tests.servers.certificates import client_context
from tests.servers.graph.tokens import Token
from tests.servers.oauthclients import DOVECOT_SECRET

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.authority import Authority

__all__ = ["asking"]

_TIMEOUT = 10
_CLIENT = base64.b64encode(f"dovecot:{DOVECOT_SECRET}".encode()).decode("ascii")


def asking(authority: Authority) -> Callable[[str], Token | None]:
    """What ``running_graph`` asks about tokens; a token needs the scope ``mail``."""
    trust = client_context(authority.ca)
    good: dict[str, Token] = {}

    def ask(text: str) -> Token | None:
        if text in good:
            return good[text]
        request = urllib.request.Request(
            f"{authority.issuer}/token/introspection",
            urllib.parse.urlencode({"token": text}).encode(),
            {"Authorization": f"Basic {_CLIENT}"},
        )
        with urllib.request.urlopen(request, timeout=_TIMEOUT, context=trust) as response:
            answer = json.load(response)
        if not answer.get("active") or "mail" not in str(answer.get("scope", "")).split():
            return None
        login = answer.get("email") if answer.get("app_access", "none") == "none" else None
        good[text] = Token(login, issued_at=float(answer["iat"]), expires_at=float(answer["exp"]))
        return good[text]

    return ask
