"""The form: sections, values, secrets, and Airflow's Test button."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.model.fields import BY_KEY, FIELDS
from airflow_email_conn.model.settings import EmailSettings
from tests.browser.form import SECTIONS, ConnectionList

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.apiserver import ApiServer
    from tests.servers.embedded import EmbeddedServers

ROBOT = "robot@example.test"
PEM = (
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nUFJJVkFURUtFWQ==\n-----END ENCRYPTED PRIVATE KEY-----\n"
    "-----BEGIN CERTIFICATE-----\nQ0VSVA==\n-----END CERTIFICATE-----\n"
)
#: Every secret that the form has.
SECRETS = {
    "password": "mailbox-pw-1",
    "outgoing_secret": "sending-pw-2",
    "client_certificate_private_key": PEM,
    "client_certificate_password": "key-pw-3",
}
FILLED: dict[str, Any] = {
    "host": "imap.example.com",
    "login": "a@example.com",
    "port": 1993,
    "incoming_security": "starttls",
    "incoming_check_server_identity": False,
    "outgoing_host": "smtp.example.com",
    "outgoing_port": "2525",
    "outgoing_credential": "secret",
    "outgoing_user": "b@example.com",
    "authority": "contoso.com",
    "scopes": ["https://outlook.office365.com/.default", "offline_access"],
    "timeout": 20,
    **SECRETS,
}


def in_form_order(values: dict[str, Any]) -> list[tuple[str, Any]]:
    """The values as a person meets their fields, from top to bottom."""
    return [(field.key, values[field.key]) for field in FIELDS if field.key in values]


def as_shown(markdown: str) -> str:
    """The text of a help, without the marks of links and code."""
    return re.sub(r"\[(.*?)\]\(.*?\)", r"\1", markdown).replace("`", "")


def embedded_mailbox(embedded: EmbeddedServers) -> dict[str, Any]:
    """The robot's mailbox on the embedded servers."""
    return {
        "host": "localhost",
        "port": embedded.imaps_port,
        "login": ROBOT,
        "password": embedded.users[ROBOT],
        "outgoing_host": "localhost",
        "outgoing_port": embedded.submission_port,
        "ca_certificates": str(embedded.ca),
    }


@pytest.fixture(scope="module")
def full(page: Page, airflow: ApiServer) -> str:
    """A stored connection with every secret; its id. Tests may change it."""
    ConnectionList(page, airflow.url).store("full", **FILLED)
    return "full"


def test_every_section_shows_its_labels_and_help(connections: ConnectionList) -> None:
    """In the order of the table, with links as links."""
    form = connections.add("sections")
    for field in FIELDS:
        if not field.extra and field.applies != "none":
            assert form.page.get_by_text(field.label, exact=True).is_visible()
            assert form.control(field.key).get_attribute("placeholder") == (field.placeholder or None)
    for section in SECTIONS:
        shown = form.open(section).inner_text()
        position = -1
        for field in FIELDS:
            if field.section == section:
                assert field.label in shown[position + 1 :]
                assert as_shown(field.help) in shown
                position = shown.index(field.label, position + 1)
    link = form.open(BY_KEY["client_id"].section).get_by_role("link", name="registered")
    assert "learn.microsoft.com" in (link.get_attribute("href") or "")


def test_saved_values_are_what_the_parser_takes(connections: ConnectionList, airflow: ApiServer) -> None:
    """Of every kind of field, and the defaults of those that were not touched."""
    form = connections.add("values")
    for key, value in in_form_order(FILLED):
        form.fill(key, "\n".join(value) if isinstance(value, list) else value)
    form.save()
    stored = airflow.stored("values")
    wanted = {field.key: field.default for field in FIELDS if field.applies != "none"} | FILLED
    assert {key: stored[key] for key in wanted} == wanted
    assert stored.keys() == wanted.keys()
    parsed = EmailSettings.parse(stored, environ={}, variable={}.get)
    assert parsed == EmailSettings.parse(FILLED, environ={}, variable={}.get)


@pytest.mark.parametrize(
    "changes", [{}, {"description": "For reports."}, {"timeout": 40, "host": "imap2.example.com"}], ids=str
)
def test_edit_keeps_every_secret(
    connections: ConnectionList, airflow: ApiServer, full: str, changes: dict[str, Any]
) -> None:
    """Saved again with nothing changed, Airflow's own field, and two of ours."""
    before = airflow.stored(full)
    form = connections.edit(full)
    for key, value in changes.items():
        form.fill(key, value)
    form.save()
    changed = {key: value for key, value in changes.items() if key != "description"}
    assert airflow.stored(full) == before | changed
    assert {key: before[key] for key in SECRETS} == SECRETS


def test_a_secret_can_be_replaced(connections: ConnectionList, airflow: ApiServer, full: str) -> None:
    """One of them; the others stay."""
    form = connections.edit(full)
    form.fill("outgoing_secret", "new-pw-4")
    form.save()
    stored = airflow.stored(full)
    assert {key: stored[key] for key in SECRETS} == SECRETS | {"outgoing_secret": "new-pw-4"}


def test_secrets_are_never_shown(
    connections: ConnectionList, airflow: ApiServer, page: Page, full: str
) -> None:
    """Neither in the page, in any section, nor in what the API answers."""
    answers = [page.request.get(f"{airflow.url}/api/v2/connections{path}") for path in (f"/{full}", "")]
    shown = [answer.text() for answer in answers]
    assert all(answer.ok for answer in answers)
    assert answers[0].json()["password"] == "***"
    form = connections.edit(full)
    for section in (*SECTIONS, "Extra Fields JSON"):
        form.open(section)
        values = "[...document.querySelectorAll('input,textarea')].map(e => e.value).join('\\n')"
        shown += [page.content(), page.evaluate(values)]
    for text in shown:
        for secret in ("mailbox-pw-1", "sending-pw-2", "new-pw-4", "UFJJVkFURUtFWQ", "key-pw-3"):
            assert secret not in text


def test_green(connections: ConnectionList, embedded: EmbeddedServers) -> None:
    """Airflow's Test button, on a mailbox that works."""
    connections.store("green", **embedded_mailbox(embedded))
    green, message = connections.test("green")
    assert green, message
    assert message.count("OK") == 2


def test_red(connections: ConnectionList, embedded: EmbeddedServers) -> None:
    """A wrong password: which direction, which step, in one line without the password."""
    connections.store("red", **embedded_mailbox(embedded) | {"password": "wrong-password"})
    green, message = connections.test("red")
    assert not green
    assert message.startswith(f"Incoming (imap localhost port {embedded.imaps_port}, security tls) FAILED")
    assert message.count("'sign in'") == 2
    assert "\n" not in message
    assert "wrong-password" not in message


def test_an_empty_port_cannot_be_tested(connections: ConnectionList, airflow: ApiServer) -> None:
    """Airflow 3.3.2 compares the 0 that its UI sends with the NULL that it stored, before it asks any hook.

    When this fails, Airflow has mended it: the placeholder of the port need not ask for 0 any more.
    """
    form = connections.add("noport")
    form.fill("host", "localhost")
    form.save()
    assert airflow.stored("noport")["port"] is None
    assert connections.test("noport") == (False, "Bad Request")
