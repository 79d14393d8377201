"""What is wrong with a connection: every mistake, its field and its mend."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_email_conn.errors import SettingsError
from airflow_email_conn.model.settings import EmailSettings

ENVIRON = {"MAIL_HOST": "mx.example.com", "MAIL_USER": "robot", "PORT": "1993", "SHOUT": "Zq7 value"}
VARIABLES = {"mail_secret": "from-variable", "empty": "", "masked": "***"}
KEY_AND_CERTIFICATE = (
    "-----BEGIN PRIVATE KEY-----\nSECRETKEY\n-----END PRIVATE KEY-----\n"
    "-----BEGIN CERTIFICATE-----\nQ0VSVA==\n-----END CERTIFICATE-----\n"
)

MAILBOX = {"host": "mx.example.com", "login": "a@example.com", "password": "pass-word"}
MAILBOX |= {"outgoing_host": "out.example.com"}
OAUTH = {"host": "mx.example.com", "login": "a@example.com", "outgoing_host": "out.example.com"}
OAUTH |= {"credential": "oauth_client_credentials", "authority": "contoso.com", "client_id": "app"}
OAUTH |= {"password": "client-secret"}
GRAPH = OAUTH | {"host": None, "outgoing_host": None, "connection_type": "microsoft365"}
DEVICE = OAUTH | {"credential": "oauth_device_flow", "password": None}
RELAY = {"outgoing_host": "relay.example.com", "outgoing_security": "none", "from_address": "a@example.com"}

#: How a mend names both OAuth credentials.
EITHER = "oauth_client_credentials (an application) or oauth_device_flow (a person)"


def parse(values: dict[str, Any], **more: Any) -> EmailSettings:
    """The settings."""
    return EmailSettings.parse(values, **({"environ": ENVIRON, "variable": VARIABLES.get} | more))


def problems(values: dict[str, Any], **more: Any) -> tuple[str, ...]:
    """What is wrong with the values."""
    with pytest.raises(SettingsError) as caught:
        parse(values, **more)
    return caught.value.problems


WRONG: list[tuple[dict[str, Any], str, str]] = [
    # values, key of the field that the only problem names, words of the mend
    (MAILBOX | {"port": -1}, "port", "1 to 65535"),
    (MAILBOX | {"port": 65536}, "port", "1 to 65535"),
    (MAILBOX | {"port": "abc"}, "port", "1 to 65535"),
    (MAILBOX | {"port": 1.5}, "port", "1 to 65535"),
    (MAILBOX | {"port": True}, "port", "1 to 65535"),
    (MAILBOX | {"incoming_port": "${SHOUT}"}, "incoming_port", "1 to 65535"),
    (MAILBOX | {"outgoing_port": "5_87"}, "outgoing_port", "1 to 65535"),
    (MAILBOX | {"outgoing_port": 587.0}, "outgoing_port", "1 to 65535"),
    (MAILBOX | {"host": "", "outgoing_host": ""}, "host", "enter the name"),
    (MAILBOX | {"host": "", "port": 25}, "host", "only to send"),
    (MAILBOX | {"host": "", "incoming_port": "${PORT}"}, "host", "only to send"),
    (MAILBOX | {"host": "", "incoming_protocol": "pop3"}, "host", "only to send"),
    (MAILBOX | {"host": "imaps://mx.example.com"}, "host", "without imaps://"),
    (MAILBOX | {"host": "Zq7://mx.example.com"}, "host", "without what stands before it"),
    (MAILBOX | {"host": "mx.example.com:993"}, "host", "port in its own field"),
    (MAILBOX | {"host": "[::1]:993"}, "host", "port in its own field"),
    (MAILBOX | {"host": "mx.example.com/INBOX"}, "host", "host name alone"),
    (MAILBOX | {"host": "a@mx.example.com"}, "host", "host name alone"),
    (MAILBOX | {"host": "mx example.com"}, "host", "one host name"),
    (MAILBOX | {"host": "mx..example.com"}, "host", "mail.example.com"),
    (MAILBOX | {"host": "-mx.example.com"}, "host", "mail.example.com"),
    (MAILBOX | {"host": "300.1.1.1"}, "host", "mail.example.com"),
    (MAILBOX | {"host": "a" * 64 + ".b"}, "host", "mail.example.com"),
    (MAILBOX | {"host": "ü" * 64}, "host", "mail.example.com"),
    (MAILBOX | {"host": "${NOPE}"}, "host", "${NOPE:-default}"),
    (MAILBOX | {"host": "a\0b"}, "host", "remove it"),
    (MAILBOX | {"host": "${SHOUT}"}, "host", "one host name"),
    (MAILBOX | {"outgoing_host": "", "outgoing_user": "b"}, "outgoing_host", "enter the SMTP server"),
    (MAILBOX | {"outgoing_host": "", "outgoing_security": "tls"}, "outgoing_host", "empty the other"),
    (MAILBOX | {"outgoing_host": "", "from_address": "b@c.de"}, "outgoing_host", "empty the other"),
    (MAILBOX | {"outgoing_port": 465}, "outgoing_security", "choose TLS"),
    (MAILBOX | {"outgoing_port": "587", "outgoing_security": "tls"}, "outgoing_security", "choose STARTTLS"),
    (MAILBOX | {"incoming_port": 993, "incoming_security": "none"}, "incoming_security", "choose TLS"),
    (MAILBOX | {"port": 110, "incoming_protocol": "pop3"}, "incoming_security", "choose STARTTLS"),
    (RELAY | {"login": "a"}, "password", "enter it"),
    (RELAY | {"password": "pass-word"}, "login", "enter the user"),
    (RELAY | {"credential_variable": "mail_secret"}, "login", "enter the user"),
    (RELAY | {"client_id": "app"}, "credential", "choose OAuth"),
    (MAILBOX | {"client_id": "app"}, "credential", "choose OAuth"),
    (MAILBOX | {"outgoing_client_id": "app"}, "credential", "choose OAuth"),
    (MAILBOX | {"login": "a\r\nb"}, "login", "remove it"),
    (MAILBOX | {"login": None}, "login", "enter the user"),
    (MAILBOX | {"login": "a" * 10_001}, "login", "shorten"),
    (MAILBOX | {"login": 10**5000}, "login", "shorten"),
    (MAILBOX | {"login": {"a": 1}}, "login", "quotes"),
    (MAILBOX | {"password": ""}, "password", "Airflow Variable"),
    (MAILBOX | {"password": "***"}, "password", "enter the secret itself"),
    (MAILBOX | {"password": "pass\nword"}, "password", "remove it"),
    (MAILBOX | {"password": 1.5}, "password", "quotes"),
    (MAILBOX | {"outgoing_secret": " *** "}, "outgoing_secret", "enter the secret itself"),
    (MAILBOX | {"credential_variable": "nope"}, "credential_variable", "no Airflow Variable nope; create"),
    (MAILBOX | {"credential_variable": "empty"}, "credential_variable", "give it a value"),
    (MAILBOX | {"credential_variable": "masked"}, "credential_variable", "enter the secret itself"),
    (MAILBOX | {"credential": "oauth"}, "credential", "oauth_device_flow"),
    (MAILBOX | {"connection_type": "exchange"}, "connection_type", "microsoft365"),
    (MAILBOX | {"incoming_protocol": "smtp"}, "incoming_protocol", "imap, pop3, none"),
    (MAILBOX | {"incoming_security": "ssl"}, "incoming_security", "starttls"),
    (
        MAILBOX | {"incoming_check_server_identity": "maybe"},
        "incoming_check_server_identity",
        "true or false",
    ),
    (MAILBOX | {"incoming_protocol": "none", "outgoing_protocol": "none"}, "incoming_protocol", "switch one"),
    (MAILBOX | {"outgoing_credential": "secret", "outgoing_secret": "x"}, "outgoing_user", "same"),
    (MAILBOX | {"outgoing_credential": "secret", "outgoing_user": "x"}, "outgoing_secret", "enter it"),
    (MAILBOX | {"timeout": 0}, "timeout", "1 to 3600"),
    (MAILBOX | {"timeout": 3601}, "timeout", "1 to 3600"),
    (MAILBOX | {"timeout": "nan"}, "timeout", "1 to 3600"),
    (MAILBOX | {"timeout": float("inf")}, "timeout", "1 to 3600"),
    (MAILBOX | {"timeout": 10**400}, "timeout", "1 to 3600"),
    (MAILBOX | {"timeout": True}, "timeout", "1 to 3600"),
    (MAILBOX | {"timeout": "1_0"}, "timeout", "1 to 3600"),
    (MAILBOX | {"ca_certificates": 5}, "ca_certificates", "BEGIN"),
    (MAILBOX | {"ca_certificates": "-----BEGIN CERTIFICATE-----\n\0"}, "ca_certificates", "remove it"),
    (MAILBOX | {"from_address": "robot"}, "from_address", "Name <a@example.com>"),
    (MAILBOX | {"from_address": "a@b.c, d@e.f"}, "from_address", "not one address"),
    (MAILBOX | {"from_address": "a@b.c\r\nBcc: d@e.f"}, "from_address", "remove it"),
    (MAILBOX | {"outgoing_usr": "x"}, "outgoing_usr", "outgoing_user"),
    (MAILBOX | {"extra__email__timeout": 5}, "extra__email__timeout", "timeout"),
    (MAILBOX | {"qqqqqqqqqqq": 5}, "qqqqqqqqqqq", "remove it"),
    (MAILBOX | {"use_ssl": True}, "use_ssl", "its place is incoming_security or outgoing_security"),
    (MAILBOX | {"from_email": "b@c.de"}, "from_email", "its place is from_address"),
    (MAILBOX | {"imap_host": "mx"}, "imap_host", "its place is host"),
    (OAUTH | {"authority": None}, "authority", "tenant"),
    (OAUTH | {"authority": "http://id.example.org"}, "authority", "https://"),
    (OAUTH | {"authority": "login.microsoftonline.com/x"}, "authority", "https://"),
    (OAUTH | {"authority": "https://a@id.example.org"}, "authority", "host/path"),
    (OAUTH | {"authority": "https://id.example.org/?a=b"}, "authority", "host/path"),
    (OAUTH | {"authority": "https://[id"}, "authority", "host/path"),
    (OAUTH | {"authority": "https://id.example.org:99999"}, "authority", "host/path"),
    (OAUTH | {"authority": "https://"}, "authority", "mail.example.com"),
    (OAUTH | {"client_id": None}, "client_id", "registered"),
    (OAUTH | {"login": None}, "login", "enter the user"),
    (OAUTH | {"password": None}, "password", "client certificate"),
    (OAUTH | {"incoming_security": "none"}, "incoming_security", "TLS"),
    (OAUTH | {"scopes": [1]}, "scopes", "one per line"),
    (OAUTH | {"client_assertion_file": "/f"}, "client_assertion_file", "keep one of them"),
    (DEVICE | {"host": "imap.gmail.com"}, "credential", "app password"),
    (OAUTH | {"scopes": "[" * 9000}, "scopes", "one per line"),
    (OAUTH | {"scopes": ["a" * 9000, "b" * 9000]}, "scopes", "shorten"),
    (OAUTH | {"outgoing_authority": "http://x"}, "outgoing_authority", "https://"),
    (
        OAUTH | {"client_certificate_private_key": KEY_AND_CERTIFICATE},
        "client_certificate_private_key",
        "keep one of them",
    ),
    (
        OAUTH | {"password": None, "client_certificate_private_key": "-----BEGIN CERTIFICATE-----\nx"},
        "client_certificate_private_key",
        "BEGIN PRIVATE KEY",
    ),
    (
        OAUTH | {"password": None, "client_certificate_private_key": KEY_AND_CERTIFICATE[:70]},
        "client_certificate_private_key",
        "below the private key",
    ),
    (
        OAUTH
        | {
            "password": None,
            "client_certificate_private_key": KEY_AND_CERTIFICATE.replace("BEGIN P", "BEGIN ENCRYPTED P"),
        },
        "client_certificate_password",
        "encrypted",
    ),
    (DEVICE | {"authority": None}, "authority", "tenant"),
    (GRAPH | {"authority": None, "login": "robot"}, "authority", "tenant"),
    (GRAPH | {"authority": None, "login": "a@outlook.com"}, "authority", "tenant"),
    (GRAPH | {"authority": None, "login": "a@b_c"}, "authority", "tenant"),
    (GRAPH | {"authority": None, "graph_url": "https://graph.microsoft.us"}, "authority", "tenant"),
    (GRAPH | {"credential": "secret"}, "credential", EITHER),
    (GRAPH | {"credential": None}, "credential", EITHER),
    (GRAPH | {"credential": "none"}, "credential", EITHER),
    (GRAPH | {"outgoing_credential": "none"}, "outgoing_credential", EITHER),
    (MAILBOX | {"host": "outlook.office365.com"}, "credential", EITHER),
    (MAILBOX | {"host": "Outlook.Office365.com.", "incoming_protocol": "pop3"}, "credential", EITHER),
    (MAILBOX | {"host": "outlook.office365.com", "outgoing_host": None}, "credential", EITHER),
    ({"host": "outlook.office365.com", "login": "a@contoso.com"}, "credential", EITHER),
    (GRAPH | {"graph_url": "http://graph.microsoft.com"}, "graph_url", "https://"),
]


@pytest.mark.parametrize(("values", "key", "mend"), WRONG)
def test_wrong(values: dict[str, Any], key: str, mend: str) -> None:
    """Each mistake gives exactly one problem, which names the field and the mend and holds no value."""
    (problem,) = problems(values)
    assert f"({key})" in problem or problem.startswith(f"{key}: ")
    assert mend in problem
    assert "; " in problem
    for secret in ("pass-word", "client-secret", "SECRETKEY", "pass\nword", ENVIRON["SHOUT"], "Zq7"):
        assert secret not in problem


@pytest.mark.parametrize(
    "values",
    [
        {"host": None, "outgoing_host": "smtp.office365.com"},
        {"outgoing_host": "smtp.office365.com"},
        {"host": "smtp.office365.com", "outgoing_host": None, "incoming_protocol": "none"},
        {"host": "outlook.office365.com.example.com"},
    ],
)
def test_passwords_near_exchange_online(values: dict[str, Any]) -> None:
    """Some tenants still let them send, and other hosts decide for themselves."""
    settings = parse(MAILBOX | values)
    assert settings.outgoing
    assert settings.outgoing.credential.secret == "pass-word"


def test_all_problems_at_once() -> None:
    """One message for a whole bad form."""
    values = {
        "host": "imap://x",
        "port": "x",
        "incoming_security": "ssl",
        "outgoing_port": "y",
        "timeout": -1,
    }
    values |= {"from_address": "?", "outgoin_host": "z", "outgoing_host": "a b"}
    found = problems(values)
    for key in (*values, "login", "password"):
        assert sum(f"({key})" in problem or problem.startswith(f"{key}:") for problem in found) == 1
    assert len(found) == len(values) + 2


def test_many_unknown_keys_are_counted() -> None:
    """A foreign extra does not flood the log; empty unknown keys mean nothing."""
    found = problems(MAILBOX | {f"qq{i}": 1 for i in range(50)} | {"leftover": None, "other": ""})
    assert len(found) == 21
    assert found[-1].startswith("30 more")
