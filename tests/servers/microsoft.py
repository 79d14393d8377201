"""The authorities of Microsoft's clouds, as far as MSAL asks them; a proxy leads to them by their own names.

Every tenant and client is known. Tokens are good at the fake Graph, for what was asked for.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from tests.servers.base import HOST

if TYPE_CHECKING:
    from tests.servers.graph.server import GraphServer

__all__ = ["LOGINS", "MicrosoftAuthority"]

#: Their hosts.
LOGINS = ("login.microsoftonline.com", "login.microsoftonline.us", "login.chinacloudapi.cn")
_CODE = "FQ7T-KMWZ"


@dataclass(frozen=True)
class Asked:
    """A request for a token or a code.

    :param host: of the authority.
    """

    host: str
    tenant: str
    form: dict[str, str]


class MicrosoftAuthority(ThreadingHTTPServer):
    """Answers over https with the certificate of a fake Graph.

    :param person: who enters the code of a device flow, at once.
    """

    daemon_threads = True

    def __init__(self, graph: GraphServer, person: str) -> None:
        """Begin to listen."""
        self.graph, self.person = graph, person
        #: In order.
        self.asked: list[Asked] = []
        super().__init__((HOST, 0), _Handler)
        self.socket = graph.certificate.server_context().wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing."""


class _Handler(BaseHTTPRequestHandler):
    server: MicrosoftAuthority
    timeout = 10

    def do_GET(self) -> None:
        """Tell of itself (OpenID Connect Discovery 1.0)."""
        _, tenant, *_ = self.path.split("/")
        root = f"https://{self._host}/{tenant}"
        self._answer(
            {
                "issuer": f"https://{self._host}/7f8c2a34-0000-4000-8000-000000000000/v2.0",
                "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
                "token_endpoint": f"{root}/oauth2/v2.0/token",
                "device_authorization_endpoint": f"{root}/oauth2/v2.0/devicecode",
            }
        )

    def do_POST(self) -> None:
        """Give a token or a code."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        _, tenant, *_, endpoint = self.path.split("/")
        self.server.asked.append(Asked(self._host, tenant, form))
        self._answer(self._code() if endpoint == "devicecode" else self._token(form))

    def _code(self) -> dict[str, Any]:
        return {
            "user_code": _CODE,
            "device_code": "a-device-code",
            "verification_uri": f"https://{self._host}/device",
            "expires_in": 900,
            "interval": 1,
        }

    def _token(self, form: dict[str, str]) -> dict[str, Any]:
        if form["grant_type"] == "client_credentials":
            token = self.server.graph.token()
            return {"token_type": "Bearer", "expires_in": 3599, "access_token": token}
        # The scopes are those of the code (RFC 8628 3.4), or of a refresh.
        scopes = form.get("scope") or self.server.asked[0].form["scope"]
        permissions = {scope.rpartition("/")[2] for scope in scopes.split()}
        return {
            "token_type": "Bearer",
            "expires_in": 3599,
            "access_token": self.server.graph.token(self.server.person, permissions),
            "refresh_token": "a-refresh-token",
            "id_token": _unsigned({"aud": form["client_id"], "preferred_username": self.server.person}),
        }

    @property
    def _host(self) -> str:
        return str(self.headers["Host"])

    def _answer(self, answer: dict[str, Any]) -> None:
        text = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


def _unsigned(claims: dict[str, Any]) -> str:
    """A JWT; whoever got it from the authority itself needs no signature (OpenID Connect Core 3.1.3.7)."""
    parts: tuple[dict[str, Any], ...] = (
        {"alg": "none"},
        {"iss": "x", "sub": "x", "iat": 0, "exp": 4_000_000_000, **claims},
        {},
    )
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts
    )
