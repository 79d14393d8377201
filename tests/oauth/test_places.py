"""Where the authority is asked: an issuer without a path, through a proxy, Microsoft's, and nowhere else."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from airflow_email_conn.errors import ConnectError, SettingsError
from airflow_email_conn.model.settings import EmailSettings
from airflow_email_conn.token_store import MemoryTokenStore
from tests.oauth.connections import keeper_of, settings
from tests.servers.base import HOST
from tests.servers.certificates import Authority as CertificateAuthority
from tests.servers.connectproxy import running_connect_proxy
from tests.servers.serving import serving

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.servers.authority import Authority
    from tests.servers.bed import Bed
    from tests.servers.certificates import Certificate

MICROSOFT = "login.microsoftonline.com"
TENANT = f"https://{MICROSOFT}/contoso.com"


class Site(ThreadingHTTPServer):
    """Answers by a table, over https.

    :param documents: what is answered, as JSON, by path.
    """

    daemon_threads = True

    def __init__(self, certificate: Certificate, documents: Mapping[str, object]) -> None:
        """Begin to listen."""
        self.documents = dict(documents)
        #: Path and form of each request, in order.
        self.requests: list[tuple[str, dict[str, str]]] = []
        super().__init__((HOST, 0), _Handler)
        self.socket = certificate.server_context().wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing."""


class _Handler(BaseHTTPRequestHandler):
    server: Site
    timeout = 10

    def do_GET(self) -> None:
        """Answer by the table."""
        self._answer()

    def do_POST(self) -> None:
        """Answer by the table."""
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        self.server.requests.append((self.path, form))
        found = self.server.documents.get(self.path)
        text = json.dumps(found or {"error": "nothing here"}).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine is set to."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


# ------------------------------------------------------------ an issuer without a path


@pytest.mark.parametrize("end", ["", "/"])
def test_issuer_without_a_path(bed: Bed, authority: Authority, end: str) -> None:
    """MSAL insists on one; Auth0 has none, and ends its own name with a slash."""
    with serving(Site(authority.certificate, {})) as site:
        issuer = f"https://localhost:{site.port}"
        site.documents["/.well-known/openid-configuration"] = {
            "issuer": issuer + end,
            "authorization_endpoint": f"{authority.issuer}/auth",
            "token_endpoint": f"{authority.issuer}/token",
        }
        place = SimpleNamespace(issuer=issuer + end, ca=authority.ca)
        keeper = keeper_of(settings(bed, place).incoming, MemoryTokenStore())
        assert keeper.token().access_token
        assert [path for path, _ in site.requests] == ["/.well-known/openid-configuration"]
    assert authority.counts().client_credentials == 1


# ------------------------------------------------------------ proxies


def test_proxy_of_the_environment(bed: Bed, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """All goes through HTTPS_PROXY, unless NO_PROXY names the host."""
    place = f"localhost:{authority.port}"
    with running_connect_proxy({place: authority.port}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        assert keeper_of(settings(bed, authority).incoming, MemoryTokenStore()).token().access_token
        assert set(proxy.asked) == {place}
        proxy.asked.clear()
        monkeypatch.setenv("NO_PROXY", "elsewhere.test,localhost")
        assert keeper_of(settings(bed, authority).incoming, MemoryTokenStore()).token().access_token
        assert proxy.asked == []
    assert authority.counts().client_credentials == 2


def test_proxy_that_leads_nowhere(bed: Bed, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says that it is the proxy; nothing goes past it."""
    with running_connect_proxy({}) as proxy, monkeypatch.context() as environment:
        environment.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(ConnectError, match="the proxy of the environment does not lead to localhost"):
            keeper_of(settings(bed, authority).incoming, MemoryTokenStore()).token()
    assert authority.counts().discovery == 0


@pytest.mark.parametrize(
    "value", ["socks5://user:hidden@127.0.0.1:1", "ftp://user:hidden@127.0.0.1", "http://user:hidden@x:y"]
)
def test_proxy_that_cannot_be_used(
    bed: Bed, authority: Authority, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """An error of ours that names the variables, without the password in them."""
    monkeypatch.setenv("HTTPS_PROXY", value)
    with pytest.raises(SettingsError, match="HTTPS_PROXY") as caught:
        keeper_of(settings(bed, authority).incoming, MemoryTokenStore()).token()
    assert "hidden" not in f"{caught.value} {caught.value!r}"


# ------------------------------------------------------------ Microsoft


def test_microsoft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenant's name is enough; no other host and path is asked, whatever the environment says."""
    authority = CertificateAuthority(tmp_path)
    token = f"{TENANT}/oauth2/v2.0/token"
    documents = {
        "/contoso.com/v2.0/.well-known/openid-configuration": {
            "issuer": f"https://{MICROSOFT}/7f8c2a34-0000-4000-8000-000000000000/v2.0",
            "authorization_endpoint": f"{TENANT}/oauth2/v2.0/authorize",
            "token_endpoint": token,
        },
        "/contoso.com/oauth2/v2.0/token": {
            "token_type": "Bearer",
            "expires_in": 3599,
            "access_token": "an-access-token",
        },
    }
    fields = {
        "host": "outlook.office365.com",
        "login": "shared@contoso.com",
        "credential": "oauth_client_credentials",
        "client_id": "11111111-2222-3333-4444-555555555555",
        "password": "a-client-secret",
        "authority": "contoso.com",
        "ca_certificates": authority.ca.read_text(),
        "timeout": 5,
    }
    monkeypatch.setenv("MSAL_FORCE_REGION", "westeurope")
    monkeypatch.setenv("REGION_NAME", "westeurope")
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("no certificate")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(rubbish))
    site = Site(authority.issue("microsoft", MICROSOFT), documents)
    with serving(site), running_connect_proxy({f"{MICROSOFT}:443": site.port}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        used = EmailSettings.parse(fields, environ={}, variable=lambda _: None)
        record = keeper_of(used.incoming, MemoryTokenStore()).token()
        assert record.access_token == "an-access-token"
        assert set(proxy.asked) == {f"{MICROSOFT}:443"}
    assert [path.partition("?")[0] for path, _ in site.requests] == list(documents)
    form = site.requests[-1][1]
    assert form["grant_type"] == "client_credentials"
    assert form["client_secret"] == fields["password"]
    assert form["scope"] == "https://outlook.office365.com/.default"
