"""Connections of Microsoft 365: clouds, what is asked for, and every mistake with its field and mend."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_email_conn.errors import SettingsError
from airflow_email_conn.model.server import OAuth, Server
from airflow_email_conn.model.settings import EmailSettings

APPLICATION = {
    "connection_type": "microsoft365",
    "login": "reports@contoso.com",
    "password": "client-secret",
    "credential": "oauth_client_credentials",
    "client_id": "app",
}
PERSON = APPLICATION | {"credential": "oauth_device_flow", "password": None}
US = {"graph_url": "https://graph.microsoft.us"}
PUBLIC = "https://login.microsoftonline.com/contoso.com"
GRAPH = "https://graph.microsoft.com/"
#: How a mend names both OAuth credentials.
EITHER = "oauth_client_credentials (an application) or oauth_device_flow (a person)"


def parse(values: dict[str, Any], **more: Any) -> EmailSettings:
    """The settings."""
    return EmailSettings.parse(
        values, environ={"GRAPH": "graph.microsoft.us"}, variable=lambda _: None, **more
    )


def oauth_of(server: Server | None) -> OAuth | None:
    """How a side signs in; None when it is off."""
    return server.credential.oauth if server else None


def scopes(server: Server | None) -> tuple[str, ...]:
    """What a side asks for."""
    oauth = oauth_of(server)
    return oauth.scopes if oauth else ()


def test_least() -> None:
    """User, client and its secret are enough: the tenant is the domain's, and both sides are one sign-in."""
    settings = parse(APPLICATION)
    assert settings.incoming == settings.outgoing
    assert oauth_of(settings.incoming) == OAuth(
        PUBLIC, "app", (f"{GRAPH}.default",), hosts=("graph.microsoft.com",)
    )


@pytest.mark.parametrize(
    ("host", "login"),
    [
        ("graph.microsoft.com", "login.microsoftonline.com"),
        ("graph.microsoft.us", "login.microsoftonline.us"),
        ("dod-graph.microsoft.us", "login.microsoftonline.us"),
        ("microsoftgraph.chinacloudapi.cn", "login.chinacloudapi.cn"),
        ("graph.example.com", "login.microsoftonline.com"),
    ],
)
def test_national_clouds(host: str, login: str) -> None:
    """A tenant, and what to ask for, are those of Graph's cloud; another issuer is left as it is."""
    cloud = APPLICATION | {"graph_url": f"https://{host}/", "authority": "Contoso.com"}
    wanted = OAuth(f"https://{login}/contoso.com", "app", (f"https://{host}/.default",), hosts=(host,))
    assert oauth_of(parse(cloud).incoming) == wanted
    other = parse(cloud | {"authority": "https://id.example.org/x"}).incoming
    assert oauth_of(other) == OAuth("https://id.example.org/x", "app", hosts=(host,))


@pytest.mark.parametrize("name", ["login.microsoft.com", "login.windows.net"])
def test_older_names_of_authorities(name: str) -> None:
    """They are of the same cloud."""
    oauth = oauth_of(parse(APPLICATION | {"authority": f"https://{name}/t"}).incoming)
    assert oauth
    assert oauth.authority == f"https://{name}/t"


@pytest.mark.parametrize(
    ("url", "root", "port"),
    [
        ("https://graph.microsoft.com", "https://graph.microsoft.com", 443),
        ("HTTPS://Graph.Microsoft.com:443/v1.0/", "https://graph.microsoft.com", 443),
        ("https://localhost:8443/", "https://localhost:8443", 8443),
        ("https://[::1]:8443/v1.0", "https://[::1]:8443", 8443),
        ("https://${GRAPH}", "https://graph.microsoft.us", 443),
    ],
)
def test_service_root(url: str, root: str, port: int) -> None:
    """It is spelled in one way, with or without the version and a port."""
    server = parse(APPLICATION | {"graph_url": url, "authority": "https://id.example.org"}).incoming
    assert server
    assert (server.url, server.port) == (root, port)


OWN = {"outgoing_user": "b@contoso.com"}


@pytest.mark.parametrize(
    ("values", "read", "sent"),
    [
        (APPLICATION, [".default"], [".default"]),
        (PERSON, ["Mail.ReadWrite", "Mail.Send"], ["Mail.ReadWrite", "Mail.Send"]),
        (PERSON | {"outgoing_protocol": "none"}, ["Mail.ReadWrite"], []),
        (PERSON | {"incoming_protocol": "none"}, [], ["Mail.Send"]),
        (PERSON | OWN | {"outgoing_credential": "oauth_device_flow"}, ["Mail.ReadWrite"], ["Mail.Send"]),
        (
            PERSON | OWN | {"outgoing_credential": "oauth_client_credentials", "outgoing_secret": "s"},
            ["Mail.ReadWrite"],
            [".default"],
        ),
    ],
)
def test_default_scopes(values: dict[str, Any], read: list[str], sent: list[str]) -> None:
    """All that an application was granted; of a person no more than what the directions are for."""
    settings = parse(values)
    assert scopes(settings.incoming) == tuple(GRAPH + name for name in read)
    assert scopes(settings.outgoing) == tuple(GRAPH + name for name in sent)


def test_scopes_of_others() -> None:
    """Those of another cloud begin with its address; those that are entered stay as they are."""
    cloud = parse(PERSON | US | {"authority": "contoso.us"})
    assert scopes(cloud.outgoing) == (f"{US['graph_url']}/Mail.ReadWrite", f"{US['graph_url']}/Mail.Send")
    shared = parse(PERSON | {"scopes": "Mail.ReadWrite.Shared Mail.Send.Shared"})
    assert scopes(shared.incoming) == ("Mail.ReadWrite.Shared", "Mail.Send.Shared")


WRONG: list[tuple[dict[str, Any], str, str]] = [
    # changes, key of the field that the only problem names, words of the mend
    ({"credential": "none"}, "credential", EITHER),
    ({"credential": "secret"}, "credential", EITHER),
    ({"credential": None, "client_id": None}, "credential", EITHER),
    ({"outgoing_credential": "none"}, "outgoing_credential", EITHER),
    ({"outgoing_credential": "secret", "outgoing_secret": "s"}, "outgoing_credential", EITHER),
    ({"incoming_protocol": "none", "credential": "secret"}, "credential", EITHER),
    ({"client_id": None}, "client_id", "id of the application"),
    ({"password": None}, "password", "client certificate"),
    ({"login": None, "authority": "contoso.com"}, "login", "enter the user"),
    ({"login": "reports"}, "authority", "tenant"),
    ({"graph_url": "graph.microsoft.com"}, "graph_url", "https://"),
    ({"graph_url": "http://graph.microsoft.com", "authority": "t"}, "graph_url", "https://"),
    ({"graph_url": f"{GRAPH}v1.0/me"}, "graph_url", "service root"),
    ({"graph_url": f"{GRAPH}beta"}, "graph_url", "service root"),
    ({"graph_url": f"{GRAPH}../v1.0"}, "graph_url", "service root"),
    ({"graph_url": f"{GRAPH}/v1.0"}, "graph_url", "service root"),
    ({"graph_url": f"{GRAPH}?x=1"}, "graph_url", "https://host/path"),
    ({"graph_url": f"{GRAPH}#x"}, "graph_url", "https://host/path"),
    ({"graph_url": "https://a:b@graph.microsoft.com"}, "graph_url", "https://host/path"),
    ({"graph_url": "https://graph.microsoft.com:x"}, "graph_url", "https://host/path"),
    ({"graph_url": "https://graph.microsoft.com\\@evil.example"}, "graph_url", "as https://host/path"),
    (US, "authority", "tenant"),
    (US | {"authority": PUBLIC}, "authority", "https://login.microsoftonline.us/<tenant>"),
    ({"authority": "https://login.microsoftonline.us/t"}, "authority", "https://login.microsoftonline.com/"),
    ({"authority": "http://login.microsoftonline.com/t"}, "authority", "https://"),
    (
        US | {"authority": "t", "outgoing_authority": PUBLIC, "outgoing_secret": "s"} | OWN,
        "outgoing_authority",
        "https://login.microsoftonline.us/<tenant>",
    ),
]


@pytest.mark.parametrize(("changes", "key", "mend"), WRONG)
def test_wrong(changes: dict[str, Any], key: str, mend: str) -> None:
    """Each mistake gives exactly one problem, which names the field and the mend and holds no secret."""
    if key == "graph_url":
        changes = {"authority": "contoso.com"} | changes
    with pytest.raises(SettingsError) as caught:
        parse(APPLICATION | changes)
    (problem,) = caught.value.problems
    assert f"({key})" in problem
    assert mend in problem
    assert "client-secret" not in problem


def test_hosts_of_the_deployment() -> None:
    """`allowed_hosts` bounds Graph and the authority, each by its own field."""
    with pytest.raises(SettingsError) as caught:
        parse(APPLICATION, allowed_hosts=["*.example.com"])
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["Sign-in", "Sign-in"]
    for key in ("graph_url", "authority"):
        assert sum(f"({key})" in problem for problem in caught.value.problems) == 1
    parse(APPLICATION, allowed_hosts=["graph.microsoft.com", "login.microsoftonline.com"])
