"""Five connections, filled in from the form alone: what has to be touched, and what comes of it.

A change of the form that makes one of them longer fails here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.model.server import Credential, OAuth, Server
from airflow_email_conn.model.settings import EmailSettings

if TYPE_CHECKING:
    from tests.browser.apiserver import ApiServer
    from tests.browser.form import ConnectionList
    from tests.servers.bed import Bed
    from tests.servers.embedded import EmbeddedServers

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
    OAuth(TENANT, APP, ("https://graph.microsoft.com/.default",), hosts=("graph.microsoft.com",)),
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
    :param answer: of the Test button, where this version cannot sign in so; else empty.
    """

    steps: dict[str, Any]
    touched: int
    opened: int
    settings: EmailSettings = field(repr=False)
    answer: str = ""


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
        "the protocol 'graph' is not available in this version: see connection_type",
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


@pytest.mark.parametrize("name", ["microsoft365"])
def test_recipes_of_later_versions(connections: ConnectionList, airflow: ApiServer, name: str) -> None:
    """They are stored rightly, and the Test button says in one line that this version cannot use them."""
    assert saved(connections, airflow, name) == RECIPES[name].settings
    green, message = connections.test(name)
    assert not green
    assert f"well filled in, but {RECIPES[name].answer}" in message
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
