"""Five connections, filled in from the form alone: what has to be touched, and what comes of it.

A change of the form that makes one of them longer fails here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_email_conn.model.server import Credential, OAuth, Server
from airflow_email_conn.model.settings import EmailSettings

if TYPE_CHECKING:
    from tests.browser.apiserver import ApiServer
    from tests.browser.form import ConnectionList
    from tests.servers.authority import Authority
    from tests.servers.bed import Bed
    from tests.servers.embedded import EmbeddedServers
    from tests.servers.graph.server import GraphServer

GMAIL = Credential("secret", "me@gmail.com", "abcd efgh ijkl mnop")
APP = "11111111-2222-3333-4444-555555555555"
TENANT = "https://login.microsoftonline.com/contoso.com"
CONTOSO = OAuth(
    TENANT,
    APP,
    ("https://outlook.office365.com/.default",),
    hosts=("outlook.office365.com", "smtp.office365.com"),
)
SERVICE = Credential("oauth_client_credentials", "reports@contoso.com", "client~secret", CONTOSO)
PERSON = Credential(
    "oauth_device_flow",
    "reports@contoso.com",
    "",
    OAuth(
        TENANT,
        APP,
        ("https://graph.microsoft.com/Mail.ReadWrite", "https://graph.microsoft.com/Mail.Send"),
        hosts=("graph.microsoft.com",),
    ),
)
GRAPH = Server("graph", "graph.microsoft.com", 443, credential=PERSON, url="https://graph.microsoft.com")
POP = Credential("secret", "reports@example.com", "pass-word")


@dataclass(frozen=True)
class Recipe:
    """What a newcomer enters.

    :param steps: field and value, in the order of the form.
    :param touched: number of fields, with Connection ID and Type.
    :param opened: number of sections opened.
    :param settings: what it means.
    """

    steps: dict[str, Any]
    touched: int
    opened: int
    settings: EmailSettings = field(repr=False)


RECIPES = {
    "gmail": Recipe(
        {"host": "imap.gmail.com", "login": GMAIL.user, "password": GMAIL.secret, "port": 0},
        6,
        0,
        EmailSettings(
            "standard",
            Server("imap", "imap.gmail.com", 993, credential=GMAIL),
            Server("smtp", "smtp.gmail.com", 587, "starttls", credential=GMAIL),
            GMAIL.user,
        ),
    ),
    "exchange_online": Recipe(
        {
            "host": "outlook.office365.com",
            "login": SERVICE.user,
            "password": SERVICE.secret,
            "port": 0,
            "credential": "oauth_client_credentials",
            "client_id": APP,
        },
        8,
        1,
        EmailSettings(
            "standard",
            Server("imap", "outlook.office365.com", 993, credential=SERVICE),
            Server("smtp", "smtp.office365.com", 587, "starttls", credential=SERVICE),
            SERVICE.user,
        ),
    ),
    "microsoft365": Recipe(
        {
            "login": PERSON.user,
            "port": 0,
            "connection_type": "microsoft365",
            "credential": "oauth_device_flow",
            "client_id": APP,
        },
        7,
        1,
        EmailSettings("microsoft365", GRAPH, GRAPH, PERSON.user),
    ),
    "relay": Recipe(
        {
            "port": 0,
            "outgoing_host": "relay.corp.example",
            "outgoing_security": "none",
            "from_address": "Airflow <airflow@corp.example>",
        },
        6,
        1,
        EmailSettings(
            "standard",
            None,
            Server("smtp", "relay.corp.example", 25, "none"),
            "Airflow <airflow@corp.example>",
        ),
    ),
    "pop3_macros": Recipe(
        {
            "host": "${POP_HOST}",
            "login": "${POP_USER}",
            "password": POP.secret,
            "port": 0,
            "incoming_protocol": "pop3",
            "incoming_port": "${POP_PORT}",
            "outgoing_host": "localhost",
        },
        9,
        2,
        EmailSettings(
            "standard",
            Server("pop3", "pop.example.com", 1995, credential=POP),
            Server("smtp", "localhost", 587, "starttls", credential=POP),
            POP.user,
        ),
    ),
}


def saved(connections: ConnectionList, airflow: ApiServer, name: str) -> EmailSettings:
    """Fill in a recipe, count, save, and read what was stored."""
    form = connections.add(name)
    for key, value in RECIPES[name].steps.items():
        form.fill(key, value)
    form.save()
    assert (len(form.touched), len(form.opened)) == (RECIPES[name].touched, RECIPES[name].opened)
    return EmailSettings.parse(airflow.stored(name), environ=airflow.environ, variable={}.get)


def test_exchange_online(connections: ConnectionList, airflow: ApiServer) -> None:
    """It is stored rightly; the authority is Microsoft's, and not asked here."""
    assert saved(connections, airflow, "exchange_online") == RECIPES["exchange_online"].settings


def test_microsoft365(
    connections: ConnectionList,
    airflow: ApiServer,
    graph_at_authority: GraphServer,
    authority: Authority,
    bed: Bed,
) -> None:
    """A person has to sign in first, says the Test button; as an application it is green.

    The fake is in the place of Graph, and the test authority in that of Microsoft's.
    """
    assert saved(connections, airflow, "microsoft365") == RECIPES["microsoft365"].settings
    green, message = connections.test("microsoft365")
    assert not green
    assert "nobody has signed in" in message
    assert "airflow email-conn login" in message
    assert "\n" not in message
    form = connections.edit("microsoft365")
    form.fill("login", next(iter(bed.users)))
    form.fill("password", authority.clients.secret)
    form.fill("credential", "oauth_client_credentials")
    form.fill("client_id", "daemon")
    form.fill("authority", authority.issuer)
    form.fill("scopes", "mail")
    form.fill("graph_url", graph_at_authority.url)
    form.fill("ca_certificates", bed.ca)
    form.save()
    green, message = connections.test("microsoft365")
    assert green, message
    where = f"(Microsoft Graph, localhost port {graph_at_authority.port})"
    assert f"Incoming {where} OK: token, connect, mailbox" in message
    assert f"Outgoing {where} OK: token, connect, mailbox" in message
    assert not graph_at_authority.sent


def test_microsoft365_with_a_password(connections: ConnectionList, airflow: ApiServer) -> None:
    """What most will try first: one line names the field, and the choices that work."""
    connections.store("password365", connection_type="microsoft365", login=GMAIL.user, password="x", port=0)
    green, message = connections.test("password365")
    assert not green
    assert (
        "Sign-in: Credential (credential): Microsoft 365 signs in with OAuth; choose oauth_client" in message
    )
    assert "\n" not in message


def test_gmail(connections: ConnectionList, airflow: ApiServer, embedded: EmbeddedServers) -> None:
    """Green, with the embedded servers in the place of Google's."""
    assert saved(connections, airflow, "gmail") == RECIPES["gmail"].settings
    robot = "robot@example.test"
    form = connections.edit("gmail")
    form.fill("host", "localhost")
    form.fill("login", robot)
    form.fill("password", embedded.users[robot])
    form.fill("port", embedded.imaps_port)
    form.fill("outgoing_host", "localhost")
    form.fill("outgoing_port", embedded.submission_port)
    form.fill("ca_certificates", embedded.ca)
    form.save()
    green, message = connections.test("gmail")
    assert green, message


def test_pop3(connections: ConnectionList, airflow: ApiServer, bed: Bed) -> None:
    """Green, with Dovecot and Postfix in the place of the company's."""
    assert saved(connections, airflow, "pop3_macros") == RECIPES["pop3_macros"].settings
    robot = next(iter(bed.users))
    form = connections.edit("pop3_macros")
    form.fill("host", "localhost")
    form.fill("login", robot)
    form.fill("password", bed.users[robot])
    form.fill("incoming_port", bed.pop3s_port)
    form.fill("outgoing_port", bed.submission_port)
    form.fill("ca_certificates", bed.ca)
    form.save()
    green, message = connections.test("pop3_macros")
    assert green, message
    assert f"Incoming (pop3 localhost port {bed.pop3s_port}, security tls) OK" in message


def test_relay(connections: ConnectionList, airflow: ApiServer, embedded: EmbeddedServers) -> None:
    """Green, with the embedded server in the place of the relay."""
    assert saved(connections, airflow, "relay") == RECIPES["relay"].settings
    form = connections.edit("relay")
    form.fill("outgoing_host", "localhost")
    form.fill("outgoing_port", embedded.smtp_port)
    form.save()
    green, message = connections.test("relay")
    assert green, message
    assert "no sign-in" in message
    assert "only sends" in message
