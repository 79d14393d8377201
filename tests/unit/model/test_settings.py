"""From the fields of a connection to its settings."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn.errors import SettingsError
from airflow_email_conn.model.fields import FIELDS
from airflow_email_conn.model.server import Credential, OAuth, Server
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
SEND_ONLY = MAILBOX | {"incoming_protocol": "none"}


def parse(values: dict[str, Any], **more: Any) -> EmailSettings:
    """The settings."""
    return EmailSettings.parse(values, **({"environ": ENVIRON, "variable": VARIABLES.get} | more))


def problems(values: dict[str, Any], **more: Any) -> tuple[str, ...]:
    """What is wrong with the values."""
    with pytest.raises(SettingsError) as caught:
        parse(values, **more)
    return caught.value.problems


def incoming(values: dict[str, Any], **more: Any) -> Server:
    """The incoming server."""
    server = parse(values, **more).incoming
    assert server
    return server


def outgoing(values: dict[str, Any], **more: Any) -> Server:
    """The outgoing server."""
    server = parse(values, **more).outgoing
    assert server
    return server


def test_a_mailbox_in_three_fields() -> None:
    """Host, user and password are enough for a large provider."""
    credential = Credential("secret", "a@gmail.com", "pw")
    assert parse({"host": "imap.gmail.com", "login": "a@gmail.com", "password": "pw"}) == EmailSettings(
        "standard",
        Server("imap", "imap.gmail.com", 993, credential=credential),
        Server("smtp", "smtp.gmail.com", 587, "starttls", credential=credential),
        "a@gmail.com",
    )


def test_microsoft365() -> None:
    """Both directions are Graph, servers and their security are ignored, and no certificate check is off."""
    scopes = ("https://graph.microsoft.com/.default",)
    hosts = ("graph.microsoft.com",)
    oauth = OAuth("https://login.microsoftonline.com/contoso.com", "app", scopes, hosts=hosts)
    credential = Credential("oauth_client_credentials", "a@example.com", "client-secret", oauth)
    graph = Server(
        "graph", "graph.microsoft.com", 443, credential=credential, url="https://graph.microsoft.com"
    )
    ignored = {
        "incoming_security": "none",
        "incoming_check_server_identity": False,
        "host": "://",
        "port": 99999,
    }
    settings = parse(GRAPH | ignored)
    assert settings == EmailSettings("microsoft365", graph, graph, "a@example.com")
    assert parse(GRAPH | {"incoming_protocol": "none"}).incoming is None
    assert parse(GRAPH | {"outgoing_protocol": "none"}).outgoing is None
    cloud = incoming(GRAPH | {"graph_url": "https://Graph.Microsoft.US:8443/v1.0/"})
    assert (cloud.host, cloud.port, cloud.url) == (
        "graph.microsoft.us",
        8443,
        "https://graph.microsoft.us:8443",
    )


@pytest.mark.parametrize(
    ("protocol", "security", "port"),
    [
        ("imap", "tls", 993),
        ("imap", "starttls", 143),
        ("imap", "none", 143),
        ("pop3", "tls", 995),
        ("pop3", "starttls", 110),
        ("pop3", "none", 110),
    ],
)
@pytest.mark.parametrize("standard", [0, None, "", "0"])
def test_standard_ports_in(protocol: str, security: str, port: int, standard: object) -> None:
    """0 and NULL mean the standard port."""
    values = {"incoming_protocol": protocol, "incoming_security": security, "port": standard}
    assert incoming(MAILBOX | values).port == port


@pytest.mark.parametrize(("security", "port"), [("tls", 465), ("starttls", 587), ("none", 25)])
def test_standard_ports_out(security: str, port: int) -> None:
    """The same for sending."""
    assert outgoing(MAILBOX | {"outgoing_security": security}).port == port


def test_ports_by_hand() -> None:
    """A port, and a macro that overrides it."""
    assert incoming(MAILBOX | {"port": "1143"}).port == 1143
    assert incoming(MAILBOX | {"port": 1143, "incoming_port": "${PORT}"}).port == 1993
    assert incoming(MAILBOX | {"port": 1143, "incoming_port": "${NONE:-}"}).port == 1143
    assert outgoing(MAILBOX | {"outgoing_port": 2525}).port == 2525


@pytest.mark.parametrize(
    ("values", "host", "port"),
    [
        ({"host": "Imap.Gmail.com."}, "smtp.gmail.com", 587),
        ({"host": "smtp.example.com", "incoming_protocol": "none"}, "smtp.example.com", 587),
        ({"host": "smtp.example.com", "incoming_protocol": "none", "port": 2525}, "smtp.example.com", 2525),
        ({"host": "imap.gmail.com", "incoming_protocol": "none", "port": 993}, "smtp.gmail.com", 587),
        ({"outgoing_host": "${NONE:-}", "host": "pop.gmail.com"}, "smtp.gmail.com", 587),
    ],
)
def test_outgoing_host(values: dict[str, Any], host: str, port: int) -> None:
    """A blank outgoing host is the incoming host's partner, or the only host there is."""
    server = outgoing(MAILBOX | {"outgoing_host": ""} | values)
    assert (server.host, server.port) == (host, port)


def test_a_host_that_is_left_out_switches_its_direction_off() -> None:
    """Unless another field of that direction is filled in; defaults that the form saves are not."""
    defaults = {field.key: field.default for field in FIELDS if field.applies != "none"}
    for saved in ({}, defaults):
        assert parse(saved | MAILBOX | {"outgoing_host": None}).outgoing is None
        sending = parse(saved | MAILBOX | {"host": None})
        assert (sending.incoming, sending.from_address) == (None, "a@example.com")
        assert sending.outgoing == parse(MAILBOX).outgoing
    assert parse(MAILBOX | {"outgoing_host": None, "host": "imap.gmail.com"}).outgoing


def test_relay_without_sign_in() -> None:
    """Only to send, with neither user nor secret: nobody signs in."""
    relay = {"outgoing_host": "relay.example.com", "outgoing_security": "none"}
    settings = parse(relay | {"from_address": "a@example.com"})
    assert settings.outgoing == Server("smtp", "relay.example.com", 25, "none")
    assert parse({"host": "relay.example.com", "incoming_protocol": "none"}).outgoing == Server(
        "smtp", "relay.example.com", 587, "starttls"
    )


@pytest.mark.parametrize(
    "values",
    [
        GRAPH,
        DEVICE | {"connection_type": "microsoft365"},
        OAUTH | {"host": "Outlook.Office365.com.", "outgoing_host": None},
        OAUTH | {"host": "outlook.office365.com", "outgoing_host": "relay.example.com"},
        OAUTH | {"host": None, "outgoing_host": "smtp.office365.com"},
    ],
)
def test_tenant_of_the_user(values: dict[str, Any]) -> None:
    """At Microsoft an empty authority is the tenant of the user's domain, in both directions."""
    for server in (
        parse(values | {"authority": None, "login": "a@Contoso.com"}).incoming,
        parse(values | {"authority": None, "login": "a@Contoso.com"}).outgoing,
    ):
        if server:
            assert server.credential.oauth
            assert server.credential.oauth.authority == "https://login.microsoftonline.com/contoso.com"


def test_tenant_for_sending_only() -> None:
    """OAuth at Microsoft only to send, with a password elsewhere to read."""
    values = {"outgoing_host": "smtp.office365.com", "outgoing_credential": "oauth_client_credentials"}
    values |= {"outgoing_user": "a@contoso.com", "outgoing_secret": "s", "client_id": "app"}
    oauth = outgoing(MAILBOX | values).credential.oauth
    scopes = ("https://outlook.office365.com/.default",)
    hosts = ("smtp.office365.com",)
    assert oauth == OAuth("https://login.microsoftonline.com/contoso.com", "app", scopes, hosts=hosts)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Mail.Example.COM.", "mail.example.com"),
        ("mail_server", "mail_server"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "::1"),
        ("2001:DB8::0:1", "2001:db8::1"),
        ("bücher.example", "xn--bcher-kva.example"),
        (" ${MAIL_HOST} ", "mx.example.com"),
        ("${mail_host}", "mx.example.com"),  # a URI lowers the case of its host
    ],
)
def test_host_has_one_spelling(text: str, host: str) -> None:
    """Case, final dot, brackets and IDN."""
    assert incoming(MAILBOX | {"host": text}).host == host


def test_outgoing_credential() -> None:
    """`same` takes what is blank from the main one; any other takes nothing."""
    same = outgoing(MAILBOX | {"outgoing_user": "b"}).credential
    assert same == Credential("secret", "b", "pass-word")
    own = {"outgoing_credential": "secret", "outgoing_user": "b", "outgoing_secret": "x"}
    assert outgoing(MAILBOX | own).credential == Credential("secret", "b", "x")
    assert outgoing(MAILBOX | {"outgoing_credential": "none"}).credential == Credential()
    relay = parse(MAILBOX | {"outgoing_credential": "none", "incoming_protocol": "none", "password": None})
    assert relay.from_address == "a@example.com"


def test_passwords_and_client_secrets_stay_apart() -> None:
    """A mailbox password never goes to an OAuth authority, nor a client secret to another one or a server."""
    oauth = {"outgoing_credential": "oauth_client_credentials", "outgoing_user": "a@example.com"}
    oauth |= {"authority": "contoso.com", "client_id": "app"}
    (problem,) = problems(MAILBOX | oauth)
    assert "outgoing_secret" in problem
    (problem,) = problems(OAUTH | {"outgoing_credential": "secret", "outgoing_user": "a"})
    assert "outgoing_secret" in problem
    for other in ({"outgoing_authority": "https://id.example.org"}, {"outgoing_client_id": "other"}):
        (problem,) = problems(OAUTH | other)
        assert "outgoing_secret" in problem
        assert outgoing(OAUTH | other | {"outgoing_secret": "own"}).credential.secret == "own"
    assert incoming(DEVICE | {"password": "pass-word"}).credential.secret == ""


def test_sending_takes_what_is_not_different() -> None:
    """Client ID and scopes are shared, scopes only with the same authority."""
    values = OAUTH | {"scopes": ["s"], "outgoing_secret": "own"}
    assert outgoing(values).credential.oauth == incoming(values).credential.oauth
    other = outgoing(values | {"outgoing_authority": "https://id.example.org/"}).credential.oauth
    assert other == OAuth("https://id.example.org", "app", (), hosts=("out.example.com",))


EXCHANGE = {"login": "a@contoso.com", "client_id": "app", "host": "outlook.office365.com"}
PERSON = EXCHANGE | {"credential": "oauth_device_flow"}
APPLICATION = EXCHANGE | {"credential": "oauth_client_credentials", "password": "s"}
_PERSONAL = "https://outlook.office.com/"


@pytest.mark.parametrize(
    ("values", "read", "sent"),
    [
        (APPLICATION, ["https://outlook.office365.com/.default"], ["https://outlook.office365.com/.default"]),
        (PERSON, [f"{_PERSONAL}IMAP.AccessAsUser.All", f"{_PERSONAL}SMTP.Send"], None),
        (
            PERSON | {"incoming_protocol": "pop3", "outgoing_protocol": "none"},
            [f"{_PERSONAL}POP.AccessAsUser.All"],
            [],
        ),
        (
            PERSON | {"outgoing_credential": "oauth_device_flow", "outgoing_user": "b@contoso.com"},
            [f"{_PERSONAL}IMAP.AccessAsUser.All"],
            [f"{_PERSONAL}SMTP.Send"],
        ),
        (
            APPLICATION | {"host": "outlook.office365.us", "authority": "https://login.microsoftonline.us/t"},
            ["https://outlook.office365.us/.default"],
            ["https://outlook.office365.us/.default"],
        ),
        (
            PERSON
            | {
                "host": "mx.example.org",
                "authority": "https://id.example.org/x",
                "outgoing_host": "o.example",
            },
            [],
            [],
        ),
        (GRAPH, ["https://graph.microsoft.com/.default"], None),
        (PERSON | {"scopes": ["mine"]}, ["mine"], None),
    ],
)
def test_default_scopes(values: dict[str, Any], read: list[str], sent: list[str] | None) -> None:
    """Microsoft's by host, flow and what is used; directions that share a sign-in share the scopes (None)."""
    settings = parse(values)

    def scopes(server: Server | None) -> list[str]:
        oauth = server.credential.oauth if server else None
        return list(oauth.scopes) if oauth else []

    assert scopes(settings.incoming) == read
    assert scopes(settings.outgoing) == (read if sent is None else sent)


def test_assertion_file() -> None:
    """It stands in for the client secret; the hosts that the deployment allows go with the client."""
    values = OAUTH | {"password": None, "client_assertion_file": "/run/${USER_NAME:-me}.jwt"}
    globs = ("*.example.com", "login.microsoftonline.com")
    credential = parse(values, allowed_hosts=globs).incoming.credential
    assert credential.oauth.assertion_file == "/run/me.jwt"
    assert credential.oauth.allowed_hosts == globs
    assert credential.secret == ""


def test_variable() -> None:
    """A Variable wins over the field, is asked by its expanded name, and only where it is needed."""
    assert incoming(MAILBOX | {"credential_variable": "mail_secret"}).credential.secret == "from-variable"
    asked: list[str] = []
    values = {"credential_variable": "x${PORT}", "outgoing_credential_variable": "y"}
    parse(MAILBOX | values | {"outgoing_credential": "none"}, variable=lambda name: asked.append(name) or "v")
    parse(DEVICE | values, variable=lambda name: asked.append(name) or "v")
    assert asked == ["x1993"]


def test_certificate() -> None:
    """It stands in for the client secret, with whatever line ends, and nothing shows it."""
    values = OAUTH | {"password": None, "client_certificate_private_key": KEY_AND_CERTIFICATE}
    settings = parse(values)
    assert settings.incoming
    assert settings.incoming.credential.oauth
    assert settings.incoming.credential.oauth.certificate == KEY_AND_CERTIFICATE
    crlf = KEY_AND_CERTIFICATE.replace("\n", "\r\n")
    assert parse(values | {"client_certificate_private_key": crlf}) == settings
    assert "SECRETKEY" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("/etc/${MAIL_USER}.pem", "/etc/robot.pem"),
        ("-----BEGIN CERTIFICATE-----\r\n${X}\r\n", "-----BEGIN CERTIFICATE-----\n${X}\n"),
    ],
)
def test_ca_certificates(text: str, meaning: str) -> None:
    """A path, with macros, or PEM text, without."""
    assert incoming(MAILBOX | {"ca_certificates": text}).ca_certificates == meaning
    assert incoming(GRAPH | {"ca_certificates": text}).ca_certificates == meaning


@pytest.mark.parametrize(
    "scopes",
    [
        ["a/b", "c"],
        ("a/b", "c"),
        '["a/b", "c"]',
        "a/b c",
        "a/b,c",
        " a/b\r\nc\n",
        ["a/b c"],
        "${NONE:-a/b c}",
    ],
)
def test_scopes(scopes: object) -> None:
    """As a list, as JSON, or as text."""
    oauth = incoming(GRAPH | {"scopes": scopes}).credential.oauth
    assert oauth
    assert oauth.scopes == ("a/b", "c")


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("Robot <r@example.com>", "Robot <r@example.com>"),
        ('"Doe, J." <r@example.com>', '"Doe, J." <r@example.com>'),
        ("${MAIL_USER}@example.com", "robot@example.com"),
        (None, "a@example.com"),
    ],
)
def test_from_address(given: str | None, address: str) -> None:
    """One address, with or without a name; else the outgoing user."""
    assert parse(MAILBOX | {"from_address": given}).from_address == address
    assert parse(MAILBOX | {"outgoing_user": "robot"}).from_address == ""


def test_allowed_hosts() -> None:
    """Globs bound every host, in whatever spelling."""
    assert incoming(MAILBOX, allowed_hosts=["*.EXAMPLE.com."])
    assert incoming(MAILBOX | {"host": "bücher.example"}, allowed_hosts=["*.example.com", "bücher.*"])
    assert incoming(MAILBOX | {"host": "::1"}, allowed_hosts=["*.example.com", "[::1]"])
    for values in (MAILBOX, OAUTH, GRAPH, MAILBOX | {"host": "imap.gmail.com", "outgoing_host": None}):
        found = problems(values, allowed_hosts=["other.example"])
        assert found
        assert all("allowed_hosts" in problem for problem in found)
    (found,) = problems(OAUTH, allowed_hosts=["*.example.com"])
    assert "(authority)" in found
    assert len(problems(MAILBOX, allowed_hosts=[])) == 2


@pytest.mark.parametrize(
    "values",
    [
        MAILBOX | {"incoming_protocol": "none", "incoming_port": "x", "incoming_security": "?"},
        MAILBOX | {"outgoing_protocol": "none", "outgoing_port": "x", "from_address": "?"},
        MAILBOX
        | {"authority": "http://x", "client_certificate_private_key": "x", "scopes": 7, "graph_url": 1},
        MAILBOX | {"outgoing_credential": "none", "outgoing_credential_variable": "nope"},
        DEVICE | {"client_certificate_private_key": "x", "credential_variable": "nope"},
        {
            "host": "mx.example.com",
            "credential": "none",
            "outgoing_protocol": "none",
            "login": "a",
            "password": "b",
        },
    ],
)
def test_fields_that_do_not_apply_are_ignored(values: dict[str, Any]) -> None:
    """The form saves them all."""
    parse(values)


# ---------------------------------------------------------------- properties

EQUAL: dict[str, list[Any]] = {
    "port": [1143, "1143", " 1143 "],
    "timeout": [20, 20.0, "20", "20.0"],
    "incoming_check_server_identity": [False, "false", "False", "no", "off", 0, "0"],
    "incoming_security": ["starttls", "STARTTLS", " starttls"],
    "outgoing_security": [None, "", "null", "starttls"],
    "connection_type": [None, "", "standard"],
    "from_address": [None, "", "a@example.com"],
    "outgoing_port": [None, "", "null", "587", 587],
    "incoming_port": [None, "", "null"],
    "outgoing_user": [None, "", "a@example.com"],
    "outgoing_secret": [None, "", "12345", 12345],
    "password": ["12345", 12345],
    "host": ["mx.example.com", "MX.example.com.", "${MAIL_HOST}", "${mail_host}"],
    "scopes": [None, "", [], "[]"],
    "ca_certificates": [None, "", " "],
}


@given(st.fixed_dictionaries({}, optional={key: st.sampled_from(values) for key, values in EQUAL.items()}))
def test_encodings_mean_the_same(chosen: dict[str, Any]) -> None:
    """String, native, empty and null give equal settings."""
    plain = {key: EQUAL[key][0] for key in chosen}
    base = MAILBOX | {"password": "12345"}
    assert parse(base | chosen) == parse(base | plain)
    assert parse(base | json.loads(json.dumps(chosen))) == parse(base | plain)


SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
SCALAR |= st.sampled_from(
    ["***", "${A", "${X}", "[", "https://[", "a@b", "\ud800", "-----BEGIN PRIVATE KEY-----"]
)
SCALAR |= st.sampled_from([value for field in FIELDS for value, _ in field.choices])
ANY = st.recursive(SCALAR, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=4)


@given(
    st.dictionaries(st.sampled_from([field.key for field in FIELDS]) | st.text(max_size=20), ANY),
    st.sampled_from([{}, MAILBOX, OAUTH, GRAPH, DEVICE, SEND_ONLY]),
)
def test_only_settings_errors(values: dict[str, Any], base: dict[str, Any]) -> None:
    """Whatever JSON the extra holds."""
    try:
        settings = parse(base | values)
    except SettingsError:
        return
    assert "pass-word" not in repr(settings)
    assert "client-secret" not in repr(settings)
