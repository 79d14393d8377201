"""Keys that are no fields: where what they mean belongs."""

from __future__ import annotations

import pytest

from airflow_email_conn.model.fields import BY_KEY
from airflow_email_conn.model.unknown import mend

SECURITY = "its place is incoming_security or outgoing_security"
IDENTITY = "its place is incoming_check_server_identity or outgoing_check_server_identity"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("smtp_host", "its place is outgoing_host"),
        ("smtp_mail_from", "its place is from_address"),
        ("extra__smtp__from_email", "its place is from_address"),
        ("SMTP_PASSWORD", "its place is outgoing_secret"),
        ("outgoing_password", "its place is outgoing_secret"),
        ("imap_host", "its place is host, a standard field"),
        ("incoming_host", "its place is host, a standard field"),
        ("incoming_credential", "its place is credential"),
        ("incoming_username", "its place is login, a standard field"),
        ("client_secret", "its place is password, a standard field"),
        ("tenant_id", "its place is authority"),
        ("disable_ssl", SECURITY),
        ("starttls", SECURITY),
        ("outgoing_tls", "its place is outgoing_security"),
        ("ssl_context", IDENTITY),
        ("cafile", "its place is ca_certificates"),
    ],
)
def test_names_of_other_software(key: str, expected: str) -> None:
    """Each leads to our field, whatever its case and Airflow's old prefix."""
    assert mend(key) == expected


@pytest.mark.parametrize(
    ("key", "near"),
    [("outgoing_usr", "outgoing_user"), ("credentials", "credential"), ("time_out", "timeout")],
)
def test_misspelt(key: str, near: str) -> None:
    """A slip of the keyboard."""
    assert mend(key) == f"did you mean {near}? If not, remove it"


@pytest.mark.parametrize(
    "key",
    [
        "retry_limit",
        "subject_template",
        "html_content_template",
        "auth_type",
        "access_token",
        "conn_type",
        "graph_host",
    ],
)
def test_nothing_is_meant(key: str) -> None:
    """No field of ours: a guess would mislead."""
    assert mend(key) == "remove it"


@pytest.mark.parametrize("key", BY_KEY)
def test_names_of_our_own(key: str) -> None:
    """With Airflow's old prefix a field's name still leads to the field itself."""
    assert mend(f"extra__email__{key}").removesuffix(", a standard field") == f"its place is {key}"
