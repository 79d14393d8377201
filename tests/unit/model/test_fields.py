"""The table of fields agrees with itself, with the parser and with the form."""

from __future__ import annotations

import re

import pytest

from airflow_email_conn.errors import SettingsError
from airflow_email_conn.get_provider_info import get_provider_info
from airflow_email_conn.model.fields import BY_KEY, FIELDS, Field
from airflow_email_conn.model.settings import EmailSettings

OURS = [field for field in FIELDS if field.applies != "none"]


def problems(values: dict[str, object]) -> list[str]:
    """What the parser has against the values."""
    try:
        EmailSettings.parse(values, environ={}, variable={}.get)
    except SettingsError as exc:
        return list(exc.problems)
    return []


#: Connections that, together, make every field apply.
SECRET = {"host": "imap.gmail.com", "login": "a@b.c", "password": "pw", "outgoing_host": "smtp.b.c"}
OUT = {"outgoing_credential": "secret", "outgoing_user": "u", "outgoing_secret": "x"}
MS = {"connection_type": "microsoft365", "credential": "oauth_client_credentials"}
MS |= {"authority": "contoso.com", "client_id": "id", "login": "a@b.c", "password": "pw"}
MS_OUT = MS | {"outgoing_authority": "https://x.example/y", "outgoing_client_id": "z", "outgoing_secret": "s"}
PEM = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nx\n-----END\n-----BEGIN CERTIFICATE-----\ny\n-----END"
CERTIFIED = {k: v for k, v in MS.items() if k != "password"}
CERTIFIED |= {"client_certificate_private_key": PEM, "client_certificate_password": "p"}
BASES = [SECRET, SECRET | OUT, MS, MS_OUT, CERTIFIED]


@pytest.mark.parametrize("base", BASES)
def test_bases(base: dict[str, object]) -> None:
    """The connections below are right as they are."""
    assert problems(base) == []


@pytest.mark.parametrize("field", OURS, ids=lambda field: field.key)
def test_parser_reads_every_field(field: Field) -> None:
    """A list in it where no list belongs, or a mapping: the parser sees it somewhere and names it."""
    found = [problem for base in BASES for problem in problems(base | {field.key: {"a": 1}})]
    assert found
    assert all(field.title in problem for problem in found)


def test_form_has_every_field() -> None:
    """Extras are in the form in the order of the table, standard fields relabelled."""
    (form,) = get_provider_info()["connection-types"]
    assert list(form["conn-fields"]) == [field.key for field in FIELDS if field.extra]
    labels = {field.key: field.label for field in OURS if not field.extra}
    assert form["ui-field-behaviour"]["relabeling"] == labels
    for key, shown in form["conn-fields"].items():
        assert shown["label"] == BY_KEY[key].label
        assert shown["schema"]["description_md"] == BY_KEY[key].help
        assert "description" not in shown  # it would take the place of the Markdown
        assert shown["schema"]["section"] == BY_KEY[key].section
        assert shown["schema"].get("default") == BY_KEY[key].default
        assert "null" in shown["schema"]["type"]  # else Save stays disabled while it is empty
        assert shown["schema"].get("enum", []) == [value for value, _ in BY_KEY[key].choices]


def test_defaults_mean_what_an_absent_field_means() -> None:
    """The form saves every default; that changes nothing."""
    defaults = {field.key: field.default for field in OURS}
    for base in BASES:
        parsed = EmailSettings.parse(base, environ={}, variable={}.get)
        assert EmailSettings.parse(defaults | base, environ={}, variable={}.get) == parsed


def test_table() -> None:
    """Keys are unique, labels within a section too, help is short, a choice's default is its first."""
    assert len(BY_KEY) == len(FIELDS)
    assert len({(field.section, field.label) for field in FIELDS}) == len(FIELDS)
    for field in FIELDS:
        assert len(re.sub(r"\]\([^)]*\)", "", field.help)) <= 100, field.key
        assert bool(field.choices) == (field.kind == "choice")
        assert not field.choices or field.choices[0][0] == field.default
        assert not (field.macro and field.kind in {"secret", "choice", "boolean", "integer", "seconds"})
