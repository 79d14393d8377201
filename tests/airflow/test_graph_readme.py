"""The README's connections of Microsoft 365, used as they stand there.

A proxy leads the names of Microsoft's hosts to the fakes; nothing but their certificate authority is added.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.errors import AuthenticationError
from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn.model.draft import Draft
from airflow_email_conn.model.query import MailQuery
from tests.airflow.commands import run
from tests.servers.certificates import Authority as CertificateAuthority
from tests.servers.connectproxy import ConnectProxy, running_connect_proxy
from tests.servers.graph.server import GraphServer, running_graph
from tests.servers.microsoft import LOGINS, MicrosoftAuthority
from tests.servers.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
CONNECTIONS: dict[str, dict[str, Any]] = {
    found["login"]: found
    for found in map(json.loads, re.findall(r"AIRFLOW_CONN_MAIL='([^']*\"microsoft365\"[^']*)'", README))
}
ANN = "ann@contoso.com"
GRAPHS = ("graph.microsoft.com", "graph.microsoft.us")
(SNIPPET,) = [
    each for each in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "The first mail" in each
]


@dataclass(frozen=True)
class Microsoft:
    """The fakes.

    :param proxy: the only way to them.
    """

    graph: GraphServer
    authority: MicrosoftAuthority
    proxy: ConnectProxy


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Microsoft]:
    """Microsoft's clouds, in this process."""
    authority = CertificateAuthority(tmp_path_factory.mktemp("microsoft"))
    certificate = authority.issue("microsoft", *GRAPHS, *LOGINS, "localhost", "127.0.0.1")
    users = dict.fromkeys([*CONNECTIONS, ANN], "")
    with (
        running_graph(users, certificate, authority.ca) as graph,
        serving(MicrosoftAuthority(graph, ANN)) as logins,
    ):
        leads = {f"{host}:443": graph.port for host in GRAPHS} | {
            f"{host}:443": logins.port for host in LOGINS
        }
        with running_connect_proxy(leads) as proxy:
            yield Microsoft(graph, logins, proxy)


@pytest.fixture
def microsoft(no_sign_ins: None, site: Microsoft, monkeypatch: pytest.MonkeyPatch) -> Iterator[Microsoft]:
    """The same with empty mailboxes, and the way to it."""
    site.graph.reset()
    site.authority.asked.clear()
    site.proxy.asked.clear()
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HTTPS_PROXY", site.proxy.url)
    yield site
    assert not site.graph.violations


def connect(
    microsoft: Microsoft, monkeypatch: pytest.MonkeyPatch, login: str, **extra: Any
) -> dict[str, Any]:
    """Define `mail` as the README does for a mailbox, with changes; a person signs in."""
    connection = json.loads(json.dumps(CONNECTIONS[login]))
    ours = {"ca_certificates": microsoft.graph.ca.read_text(), "timeout": 5}
    connection["extra"] |= ours | extra
    monkeypatch.setenv("AIRFLOW_CONN_MAIL", json.dumps(connection))
    if connection["extra"]["credential"] == "oauth_device_flow":
        done = run("login", "mail")
        assert done.code == 0, done.err
        assert f"Signed in as {ANN}" in done.err
    return dict(connection["extra"])


@pytest.mark.parametrize(
    ("login", "place", "scopes"),
    [
        (
            "reports@contoso.com",
            "login.microsoftonline.com/contoso.com",
            ["https://graph.microsoft.com/.default"],
        ),
        (
            ANN,
            "login.microsoftonline.com/contoso.com",
            [
                "https://graph.microsoft.com/Mail.ReadWrite",
                "https://graph.microsoft.com/Mail.Send",
                "offline_access",
                "openid",
                "profile",
            ],
        ),
        (
            "orders@contoso.com",
            "login.microsoftonline.com/contoso.com",
            ["Mail.ReadWrite.Shared", "Mail.Send.Shared", "offline_access", "openid", "profile"],
        ),
        (
            "reports@contoso.us",
            "login.microsoftonline.us/contoso.onmicrosoft.us",
            ["https://graph.microsoft.us/.default"],
        ),
    ],
)
def test_from_sign_in_to_the_first_mail(
    microsoft: Microsoft,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    login: str,
    place: str,
    scopes: list[str],
) -> None:
    """The right authority is asked for the right scopes; then a mail goes out and comes in."""
    microsoft.graph.mailbox("orders@contoso.com").shared_with.add(ANN)
    extra = connect(microsoft, monkeypatch, login)
    tested = run("test", "mail", "-o", "json")
    assert tested.code == 0, tested
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    code = SNIPPET.replace("reports@contoso.com", login)
    end = time.monotonic() + 10
    exec(compile(code, "README.md", "exec"), {})
    shown = capsys.readouterr().out
    while "The first mail" not in shown and time.monotonic() < end:
        exec(compile(code, "README.md", "exec"), {})
        shown = capsys.readouterr().out
    assert "The first mail" in shown

    asked = microsoft.authority.asked
    assert {f"{each.host}/{each.tenant}" for each in asked} == {place}
    assert sorted(asked[0].form["scope"].split()) == sorted(scopes)
    assert {each.mailbox for each in microsoft.graph.sent} == {login}
    root = extra.get("graph_url", "https://graph.microsoft.com").removeprefix("https://")
    assert set(microsoft.proxy.asked) == {f"{place.partition('/')[0]}:443", f"{root}:443"}


def test_the_least_to_read(microsoft: Microsoft, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Mail.Read` reads, waits and fetches; what changes the mailbox names the permission that it takes."""
    microsoft.graph.append(ANN, b"Subject: one\r\nMessage-ID: <1@contoso.com>\r\n\r\nText")
    connect(microsoft, monkeypatch, ANN, scopes=["Mail.Read"], outgoing_protocol="none")
    with EmailHook("mail").mailbox() as mailbox:
        here = mailbox.position()
        microsoft.graph.append(ANN, b"Subject: two\r\nMessage-ID: <2@contoso.com>\r\n\r\nText")
        (new,) = mailbox.search(MailQuery(), after=here)
        assert mailbox.fetch(new.ref).text.strip() == "Text"
        for change in (lambda: mailbox.mark_seen(new.ref), lambda: mailbox.delete(new.ref)):
            with pytest.raises(AuthenticationError, match=r"takes the permission Mail\.ReadWrite\."):
                change()


def test_the_least_to_send(microsoft: Microsoft, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`Mail.Send` sends up to 3 MB; the error of a larger mail names the permission that it takes."""
    connect(microsoft, monkeypatch, ANN, incoming_protocol="none")
    assert run("test", "mail").code == 0
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    hook = EmailHook("mail")
    assert hook.send(Draft(to=[ANN], subject="x", text="x")).accepted == (ANN,)
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(3_000_000))
    with pytest.raises(AuthenticationError, match=r"takes the permission Mail\.ReadWrite\."):
        hook.send(Draft(to=[ANN], subject="x", text="x", attachments=[str(large)]))
    assert len(microsoft.graph.sent) == 1
