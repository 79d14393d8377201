"""Certificates of real servers: what is wrong with them is found before any byte of a credential goes out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from airflow_email_conn.errors import DeadlineError, TLSError
from airflow_email_conn.model.server import Credential
from tests.contract.dialects import forms_of, settings_of
from tests.servers.faultproxy import FaultProxy

if TYPE_CHECKING:
    from airflow_email_conn.model.settings import EmailSettings
    from tests.contract.dialects import Dialect
    from tests.contract.witness import Witness
    from tests.servers.base import MailServers
    from tests.servers.bed import Bed

# Address of the bed, and what the error says; every certificate but the third is good for localhost.
CERTIFICATES = {
    "good": ("127.0.0.1", None),
    "expired": ("127.0.0.2", "expired"),
    "wronghost": ("127.0.0.3", "another host name"),
    "selfsigned": ("127.0.0.4", "self-signed"),
}


def settings(servers: MailServers, dialect: Dialect, port: int, **changes: object) -> EmailSettings:
    """Settings with the first user's credential, for a proxy in front of the servers."""
    user = next(iter(servers.users))
    values = {
        "host": "localhost",
        "credential": Credential("secret", user, servers.users[user]),
        "timeout": 10.0,
        "ca_certificates": str(servers.ca),
    }
    return replace(settings_of(dialect, port, **{**values, **changes}), from_address=user)


@pytest.mark.parametrize("checked", [True, False], ids=["checked", "unchecked"])
@pytest.mark.parametrize("certificate", CERTIFICATES)
@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_certificates(
    bed: Bed, dialect: Dialect, security: str, certificate: str, checked: bool, witness: Witness
) -> None:
    """Refused before any credential, or let in where it is good or the check is off."""
    address, problem = CERTIFICATES[certificate]
    user = next(iter(bed.users))
    error = None
    with FaultProxy(dialect.port(bed, security), address) as proxy:
        asked = settings(bed, dialect, proxy.port, security=security, check_server_identity=checked)
        try:
            dialect.open(asked).close()
        except TLSError as exc:
            error = exc
        seen = proxy.seen_from_client
    witness.outcome(error)
    clear = witness.wire(seen)
    assert dialect.clear.fullmatch(clear)
    assert not any(form in seen for form in forms_of(user, bed.users[user]))
    assert bool(error) == bool(problem and checked)
    if error:
        assert str(problem) in str(error)
        assert not error.retryable


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_the_system_does_not_know_the_authority(
    speakers: tuple[MailServers, Dialect], security: str, witness: Witness
) -> None:
    """Without ca_certificates the system's store decides, and the error says what to put there."""
    servers, dialect = speakers
    with FaultProxy(dialect.port(servers, security)) as proxy:
        asked = settings(servers, dialect, proxy.port, security=security, ca_certificates="")
        with pytest.raises(TLSError, match=r"put that (one|root) into ca_certificates") as caught:
            dialect.open(asked)
        seen = proxy.seen_from_client
    witness.outcome(caught.value)
    assert dialect.clear.fullmatch(witness.wire(seen))


@pytest.mark.parametrize("form", ["file", "text"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_own_authority(speakers: tuple[MailServers, Dialect], host: str, form: str) -> None:
    """As the path of a file and as PEM text, for a name and for an address."""
    servers, dialect = speakers
    ca = str(servers.ca) if form == "file" else servers.ca.read_text()
    asked = settings(servers, dialect, dialect.port(servers, "tls"), host=host, ca_certificates=ca)
    dialect.open(asked).close()


def test_port_of_the_other_mode(speakers: tuple[MailServers, Dialect], witness: Witness) -> None:
    """TLS on a STARTTLS port and the other way round: an error that names the mend, not silence."""
    servers, dialect = speakers
    with FaultProxy(dialect.port(servers, "starttls")) as proxy:
        with pytest.raises(TLSError, match="'starttls'") as caught:
            dialect.open(settings(servers, dialect, proxy.port, security="tls"))
        seen = proxy.seen_from_client
    witness.outcome(caught.value)
    assert witness.wire(seen) == b""
    asked = settings(servers, dialect, dialect.port(servers, "tls"), security="starttls", timeout=0.5)
    with pytest.raises(DeadlineError, match="'tls'"):
        dialect.open(asked)
