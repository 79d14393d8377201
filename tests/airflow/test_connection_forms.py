"""One mailbox, stored in every way that Airflow knows, gives the same settings."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from airflow._shared import secrets_masker as core_masker
from airflow.models.connection import Connection as StoredConnection
from airflow.sdk import Connection
from airflow.sdk._shared import secrets_masker as sdk_masker
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from airflow_email_conn.errors import SettingsError
from airflow_email_conn.hooks.connection import settings_of
from airflow_email_conn.model.fields import FIELDS
from airflow_email_conn.model.server import Credential, OAuth, Server
from airflow_email_conn.model.settings import EmailSettings

if TYPE_CHECKING:
    from pathlib import Path

USER, SECRET, OUT_SECRET = "robot+in@example.com", "pass:w@rd/%?ü", "0123456"
STANDARD: dict[str, Any] = {"host": "${MAIL_FORM_HOST}", "port": 1993, "login": USER, "password": SECRET}
EXTRA: dict[str, Any] = {
    "incoming_check_server_identity": False,
    "outgoing_host": "out.example.com",
    "outgoing_port": "2525",
    "outgoing_credential": "oauth_client_credentials",
    "outgoing_user": USER,
    "outgoing_secret": OUT_SECRET,
    "authority": "contoso.onmicrosoft.com",
    "client_id": "00000000-0000-0000-0000-000000000001",
    "scopes": ["https://outlook.office365.com/.default", "b"],
    "from_address": "Robot <robot@example.com>",
    "timeout": 20,
}
EXPECTED = EmailSettings(
    "standard",
    Server(
        "imap",
        "mx.example.com",
        1993,
        check_server_identity=False,
        credential=Credential("secret", USER, SECRET),
        timeout=20,
    ),
    Server(
        "smtp",
        "out.example.com",
        2525,
        "starttls",
        credential=Credential(
            "oauth_client_credentials",
            USER,
            OUT_SECRET,
            OAuth(
                "https://login.microsoftonline.com/contoso.onmicrosoft.com",
                "00000000-0000-0000-0000-000000000001",
                ("https://outlook.office365.com/.default", "b"),
                hosts=("out.example.com",),
            ),
        ),
        timeout=20,
    ),
    "Robot <robot@example.com>",
    20,
)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_FORM_HOST", "mx.example.com")


def stored(**values: Any) -> StoredConnection:
    """The connection as the API server has it."""
    return StoredConnection(conn_id="mail", conn_type="email", **STANDARD, **values)


def form() -> dict[str, Any]:
    """What the form saves: every field, defaults filled in, the others null."""
    return {field.key: field.default for field in FIELDS if field.extra} | EXTRA


def texts() -> dict[str, str]:
    """Every value as text, as in a URI that a person wrote."""
    values = {k: v if isinstance(v, str) else json.dumps(v) for k, v in EXTRA.items()}
    return values | {"incoming_port": "", "outgoing_scopes": "null"}


def by_environment(monkeypatch: pytest.MonkeyPatch, text: str) -> Connection:
    """The connection as a task gets it from an environment variable."""
    monkeypatch.setenv("AIRFLOW_CONN_MAIL", text)
    return Connection.get("mail")


@pytest.mark.parametrize("extra", [EXTRA, texts(), form()], ids=["json", "texts", "form"])
@pytest.mark.parametrize("model", [Connection, StoredConnection])
@pytest.mark.parametrize("how", ["direct", "uri", "json"])
def test_every_way(extra: dict[str, Any], model: type[Any], how: str) -> None:
    """Directly, through Airflow's URI and through its JSON, in both classes that Airflow has."""
    connection = model(conn_id="mail", conn_type="email", extra=json.dumps(extra), **STANDARD)
    if how == "uri":
        connection = model(conn_id="mail", uri=connection.get_uri())
    elif how == "json":
        connection = model.from_json(connection.as_json(), conn_id="mail")
    assert settings_of(connection) == EXPECTED


def test_environment_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """URI and JSON in the environment."""
    uri = stored(extra=json.dumps(texts())).get_uri()
    assert "__extra__" not in uri
    assert settings_of(by_environment(monkeypatch, uri)) == EXPECTED
    text = json.dumps({"conn_type": "email", **STANDARD, "port": "1993", "extra": form()})
    assert settings_of(by_environment(monkeypatch, text)) == EXPECTED


def test_database(tmp_path: Path) -> None:
    """Encrypted into a database and back."""
    engine = create_engine(f"sqlite:///{tmp_path / 'airflow.db'}")
    table = StoredConnection.__table__
    StoredConnection.metadata.create_all(engine, tables=[table, table.metadata.tables["team"]])
    with Session(engine) as session:
        session.add(stored(extra=json.dumps(form())))
        session.commit()
    with Session(engine) as session:
        (connection,) = session.scalars(select(StoredConnection)).all()
        assert settings_of(connection) == EXPECTED
    engine.dispose()


def test_nested_extra() -> None:
    """An extra inside the extra, as a careless copy of a URI leaves it."""
    nested = json.dumps({"__extra__": json.dumps({"__extra__": EXTRA}), "timeout": 20})
    assert settings_of(stored(extra=nested)) == EXPECTED


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"__extra__": "[1]"}', "not a JSON object"),
        ('{"password": "x"}', "move it to the standard field"),
        ('{"extra__email__timeout": 5}', "its place is timeout"),
    ],
)
def test_bad_extra(extra: str, words: str) -> None:
    """A broken extra is an error, not an empty one."""
    connection = Connection(conn_id="mail", conn_type="email", extra=extra, **STANDARD)
    with pytest.raises(SettingsError, match=words):
        settings_of(connection)


def test_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """`[email_conn]` of Airflow's configuration counts."""
    connection = stored(extra=json.dumps(EXTRA))
    hosts = "MX.example.com, *.example.com\nlogin.microsoftonline.com"
    monkeypatch.setenv("AIRFLOW__EMAIL_CONN__ALLOWED_HOSTS", hosts)
    bounded = settings_of(connection)
    assert bounded.incoming == EXPECTED.incoming
    assert bounded.outgoing.credential.oauth.allowed_hosts == tuple(hosts.replace(",", " ").split())
    monkeypatch.setenv("AIRFLOW__EMAIL_CONN__ALLOWED_HOSTS", "")
    with pytest.raises(SettingsError, match="allowed_hosts"):
        settings_of(connection)
    monkeypatch.delenv("AIRFLOW__EMAIL_CONN__ALLOWED_HOSTS")
    monkeypatch.setenv("MY_CONN_HOST", "mx.example.com")
    guarded = stored(extra=json.dumps(EXTRA))
    guarded.host = "${MY_CONN_HOST}"
    with pytest.raises(SettingsError, match="macro_names"):
        settings_of(guarded)
    monkeypatch.setenv("AIRFLOW__EMAIL_CONN__MACRO_NAMES", "MY_CONN_*")
    assert settings_of(guarded) == EXPECTED


def test_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret from an Airflow Variable, whose name does not say that it is one."""
    monkeypatch.setenv("AIRFLOW_VAR_MAILBOX_X", "from-the-variable")
    extra = json.dumps(EXTRA | {"credential_variable": "mailbox_x"})
    settings = settings_of(stored(extra=extra))
    assert settings.incoming
    assert settings.incoming.credential.secret == "from-the-variable"
    for masker in (core_masker, sdk_masker):
        assert "from-the-variable" not in str(masker.redact("it is from-the-variable"))


def test_secrets_are_masked() -> None:
    """In plain, in base64 and as AUTH PLAIN sends them, by both of Airflow's maskers."""
    settings_of(stored(extra=json.dumps(EXTRA)))
    plain = f"\0{USER}\0{SECRET}"
    for secret in (SECRET, OUT_SECRET, plain):
        encoded = base64.b64encode(secret.encode()).decode()
        for masker in (core_masker, sdk_masker):
            shown = str(masker.redact(f"a {secret} b {encoded} c"))
            assert SECRET not in shown
            assert OUT_SECRET not in shown
            assert encoded not in shown


def test_private_key_is_masked_line_by_line() -> None:
    """Logs show it with other line ends than the form had, or as the repr of a text."""
    lines = ("TUlJRXZRSUJBREFOQmdrcWhr", "  aUc5dzBCQVFFRkFBU0NCS2N3")
    key = ("-----BEGIN PRIVATE KEY-----", *lines, "-----END PRIVATE KEY-----")
    certificate = ("-----BEGIN CERTIFICATE-----", "TUlJQw==", "-----END CERTIFICATE-----")
    pem = "\r\n".join((*key, *certificate))
    changes = {"outgoing_secret": None, "client_certificate_private_key": pem}
    settings = settings_of(stored(extra=json.dumps(EXTRA | changes)))
    assert settings.outgoing
    assert settings.outgoing.credential.oauth
    held = settings.outgoing.credential.oauth.certificate
    for masker in (core_masker, sdk_masker):
        for shown in (held, repr(held), held.replace("\n", " ")):
            redacted = str(masker.redact(f"a {shown} b"))
            assert not any(line.strip() in redacted for line in lines)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.key)
def test_airflow_hides_secrets_by_their_keys(field: Any) -> None:
    """Airflow's UI and API hide by key: every secret, and nothing else."""
    secret = field.kind == "secret" or field.key == "client_certificate_private_key"
    for masker in (core_masker, sdk_masker):
        assert masker.should_hide_value_for_key(field.key) == secret
