"""Access tokens: those that the fake hands out itself, and those of an authority that it asks."""

from __future__ import annotations

import base64
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.servers.graph.behaviours import Behaviour
from tests.servers.graph.errors import GraphError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

__all__ = ["ALL_PERMISSIONS", "Token", "Tokens"]

ALL_PERMISSIONS = frozenset({"Mail.ReadWrite", "Mail.Send"})
_CLAIMS = '{"access_token":{"nbf":{"essential":true,"value":"%d"}}}'


@dataclass(frozen=True)
class Token:
    """What a token is good for.

    :param login: whose; None for an application's, which opens every mailbox.
    :param issued_at, expires_at: as time.time.
    """

    login: str | None
    permissions: Collection[str] = ALL_PERMISSIONS
    issued_at: float = 0.0
    expires_at: float = float("inf")

    def may(self, permission: str) -> bool:
        """Whether it has a permission; writing includes reading."""
        given = {name.removesuffix(".All").removesuffix(".Shared") for name in self.permissions}
        return permission in given or (permission == "Mail.Read" and "Mail.ReadWrite" in given)


class Tokens:
    """All tokens that are good here.

    :param ask: tells of a token that was not handed out here: None when it is not good.
    """

    def __init__(self, ask: Callable[[str], Token | None] | None = None) -> None:
        self._ask = ask
        self._issued: dict[str, Token] = {}
        #: Tokens older than this meet a claims challenge, as time.time; by login, or "" for everybody.
        self.challenged: dict[str, float] = {}

    def issue(self, login: str | None, permissions: Collection[str], seconds: float) -> str:
        """Hand out a token."""
        text = f"fake.{secrets.token_urlsafe(24)}"
        now = time.time()
        self._issued[text] = Token(login, frozenset(permissions), now, now + seconds)
        return text

    def check(self, headers: Mapping[str, str], off: Collection[Behaviour]) -> Token:
        """The token of a request.

        :raises GraphError: 401.
        """
        scheme, _, text = headers.get("authorization", "").partition(" ")
        token = self._issued.get(text) or (self._ask(text) if self._ask and text else None)
        if token is None or scheme.lower() != "bearer":
            if Behaviour.TOKEN_NEEDED in off:
                return Token(None)
            raise _refused("Access token is empty." if not text else "Access token validation failure.")
        if token.expires_at <= time.time() and Behaviour.TOKEN_ENDS not in off:
            raise _refused("Lifetime validation failed, the token is expired.")
        self._challenge(token, off)
        return token

    def _challenge(self, token: Token, off: Collection[Behaviour]) -> None:
        since = max(self.challenged.get(token.login or "", 0.0), self.challenged.get("", 0.0))
        if token.issued_at < since and Behaviour.CLAIMS_CHALLENGE not in off:
            claims = base64.b64encode((_CLAIMS % since).encode()).decode()
            raise _refused("Continuous access evaluation resulted in a challenge.", claims)


def _refused(message: str, claims: str = "") -> GraphError:
    challenge = 'Bearer realm="", authorization_uri="https://login.example.test/common/oauth2/authorize"'
    if claims:
        challenge += f', error="insufficient_claims", claims="{claims}"'
    else:
        challenge += ', error="invalid_token"'
    return GraphError(401, "InvalidAuthenticationToken", message, {"WWW-Authenticate": challenge})
