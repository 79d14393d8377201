"""Which certificate is good for which host, which TLS is new enough, and whose name is sent (SNI)."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.errors import EmailError, SettingsError, TLSError
from airflow_email_conn.model.settings import EmailSettings
from tests.contract.dialects import Manners, handler_of, settings_of
from tests.servers.base import HOST
from tests.servers.certificates import Authority, Certificate, self_signed
from tests.servers.scripted import ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.contract.dialects import Dialect
    from tests.contract.witness import Witness

NAME = "mail.example.test"
SECURITIES = ["tls", "starttls"]


@pytest.fixture(autouse=True)
def name_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every host below `test` is this one."""
    real = socket.getaddrinfo

    def addresses(host: str, *arguments: Any, **keywords: Any) -> Any:
        return real(HOST if host.endswith(".test") else host, *arguments, **keywords)

    monkeypatch.setattr(socket, "getaddrinfo", addresses)


def meet(
    dialect: Dialect, witness: Witness, certificate: Certificate, version: Any = None, **changes: Any
) -> tuple[EmailError | None, ScriptedServer]:
    """Open and do the usual at a server with this certificate; the error, and the server.

    Nothing of the credential goes out when it is refused.
    """
    changes = {"host": NAME, "security": "tls", "ca_certificates": "", **changes}
    listens = "::1" if ":" in changes["host"] else HOST
    manners = Manners(certificate, changes["security"], version=version)
    error = None
    with ScriptedServer(handler_of(dialect, manners), host=listens) as server:
        try:
            with dialect.open(settings_of(dialect, server.port, **changes)) as opened:
                dialect.job(opened)
        except EmailError as exc:
            error = exc
    witness.outcome(error)
    clear, inside = witness.server(server)
    assert dialect.clear.fullmatch(clear)
    assert bool(inside) == (error is None)
    return error, server


# Host, identities in the certificate (the last form: its common name), and the error.
NAMES: list[tuple[str, tuple[str, ...], str]] = [
    (NAME, (NAME,), ""),
    (NAME, ("other.test", NAME), ""),
    (NAME, ("*.example.test",), ""),
    ("example.test", ("*.example.test",), "another host name"),
    ("a.mail.example.test", ("*.example.test",), "another host name"),
    (NAME, ("*.test",), "another host name"),
    (NAME, ("example.test",), "another host name"),
    (NAME, ("127.0.0.1",), "another host name"),
    # RFC 9525 6.3 says never; OpenSSL looks at it when there is no other name, and old servers have no other.
    (NAME, ("CN=" + NAME,), ""),
    (NAME, ("CN=" + NAME, "other.test"), "another host name"),
    ("127.0.0.1", ("127.0.0.1",), ""),
    ("127.0.0.1", ("127.0.0.2",), "another IP address"),
    ("127.0.0.1", ("localhost",), "another IP address"),
    ("127.0.0.1", ("CN=127.0.0.1",), "another IP address"),
    ("::1", ("::1",), ""),
    ("::1", ("::2",), "another IP address"),
    ("::1", ("localhost",), "another IP address"),
    ("xn--mller-kva.test", ("xn--mller-kva.test",), ""),
    ("xn--mller-kva.example.test", ("*.example.test",), ""),
]


@pytest.mark.parametrize("security", SECURITIES)
@pytest.mark.parametrize(
    ("host", "identities", "problem"), NAMES, ids=[f"{host}={'+'.join(names)}" for host, names, _ in NAMES]
)
def test_identities(
    authority: Authority,
    dialect: Dialect,
    security: str,
    host: str,
    identities: tuple[str, ...],
    problem: str,
    witness: Witness,
) -> None:
    """Names, wildcards, addresses: as RFC 9525 has it, but for the common name."""
    common = [identity[3:] for identity in identities if identity.startswith("CN=")]
    names = [identity for identity in identities if not identity.startswith("CN=")]
    certificate = authority.issue("leaf", *names, common_name=common[0] if common else None)
    error, server = meet(
        dialect, witness, certificate, host=host, security=security, ca_certificates=str(authority.ca)
    )
    if problem:
        assert isinstance(error, TLSError)
        assert problem in str(error)
    else:
        assert error is None
    # RFC 6066 3: the name, so that the server can choose its certificate; never an address
    is_address = host in {"127.0.0.1", "::1"}
    assert [c.server_name for c in server.conversations] == [None if is_address else host]


def parsed(dialect: Dialect, host: str, port: int, ca: Path) -> EmailSettings:
    """Settings as they come out of a connection's fields."""
    values = {
        "incoming_protocol": dialect.name if dialect.name != "smtp" else "none",
        "outgoing_protocol": "smtp" if dialect.name == "smtp" else "none",
        "outgoing_security": "tls",
        "host": host,
        "port": port,
        "login": "robot@example.test",
        "password": "hunter2-secret",
        "ca_certificates": str(ca),
    }
    return EmailSettings.parse(values, environ={}, variable=lambda _name: None)


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("MAIL.Example.TEST", NAME),
        ("mail.example.test.", NAME),
        ("müller.test", "xn--mller-kva.test"),
        ("MÜLLER.test.", "xn--mller-kva.test"),
    ],
)
def test_spellings_of_a_host(
    authority: Authority, dialect: Dialect, typed: str, sent: str, witness: Witness
) -> None:
    """Upper case, a final dot, letters that are not ASCII: the certificate has one spelling."""
    manners = Manners(authority.issue("leaf", sent), "tls")
    with (
        ScriptedServer(handler_of(dialect, manners)) as server,
        dialect.open(parsed(dialect, typed, server.port, authority.ca)) as opened,
    ):
        dialect.job(opened)
    witness.outcome(None)
    witness.server(server)
    assert server.conversations[0].server_name == sent


Made = tuple[Certificate, str]


def unknown(authority: Authority) -> Made:
    """An authority that nobody told us of."""
    directory = authority.directory / "stranger"
    directory.mkdir(exist_ok=True)
    return Authority(directory).issue("leaf", NAME), str(authority.ca)


def self_signed_trusted(authority: Authority) -> Made:
    """A certificate that vouches for itself, put into ca_certificates, as the error for it says."""
    certificate = self_signed(authority.directory, "alone", HOST)
    return certificate, certificate.chain.read_text()


def intermediate(authority: Authority) -> Made:
    """An authority in between, which the server sends along."""
    return authority.intermediate("between").issue("leaf", NAME), str(authority.ca)


def intermediate_alone(authority: Authority) -> Made:
    """Only the authority in between is in ca_certificates: its leaves are trusted, its root need not be."""
    between = authority.intermediate("between")
    return between.issue("leaf", NAME), str(between.ca)


def intermediate_expired(authority: Authority) -> Made:
    """An authority in between that has expired."""
    return authority.intermediate("between", expired=True).issue("leaf", NAME), str(authority.ca)


def intermediate_missing(authority: Authority) -> Made:
    """A server that forgot to send the authority in between."""
    made = authority.intermediate("between").issue("leaf", NAME)
    end = b"-----END CERTIFICATE-----\n"
    made.chain.write_bytes(made.chain.read_bytes().split(end)[0] + end)
    return made, str(authority.ca)


CHAINS: list[tuple[Callable[[Authority], Made], str, str]] = [
    (unknown, NAME, "put that one into ca_certificates"),
    (self_signed_trusted, "localhost", ""),
    (intermediate, NAME, ""),
    (intermediate_alone, NAME, ""),
    (intermediate_expired, NAME, "expired"),
    (intermediate_missing, NAME, "put that one into ca_certificates"),
]


@pytest.mark.parametrize("security", SECURITIES)
@pytest.mark.parametrize(("make", "host", "problem"), CHAINS, ids=[make.__name__ for make, _, _ in CHAINS])
def test_chains(
    authority: Authority,
    dialect: Dialect,
    security: str,
    make: Callable[[Authority], Made],
    host: str,
    problem: str,
    witness: Witness,
) -> None:
    """Whom the chain must lead to: whoever stands in ca_certificates."""
    certificate, trusted = make(authority)
    error, _ = meet(dialect, witness, certificate, host=host, security=security, ca_certificates=trusted)
    if problem:
        assert isinstance(error, TLSError)
        assert problem in str(error)
    else:
        assert error is None


def test_a_new_file_of_authorities_counts(authority: Authority, dialect: Dialect, tmp_path: Path) -> None:
    """A long-lived process sees that the file of ca_certificates was replaced."""
    (tmp_path / "old").mkdir()
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(Authority(tmp_path / "old").ca.read_bytes())
    manners = Manners(authority.issue("leaf", NAME), "tls")
    with ScriptedServer(handler_of(dialect, manners)) as server:
        asked = settings_of(dialect, server.port, host=NAME, ca_certificates=str(trusted))
        with pytest.raises(TLSError, match="not trusted"):
            dialect.open(asked)
        trusted.write_bytes(authority.ca.read_bytes())
        dialect.open(asked).close()


@pytest.mark.parametrize("ca", ["-----BEGIN nonsense", "/no/such/file.pem", "PEM\0"])
def test_authorities_that_cannot_be_read(authority: Authority, dialect: Dialect, ca: str) -> None:
    """An error of the settings, and nothing of the credential goes out."""
    manners = Manners(authority.issue("leaf", NAME), "tls")
    with ScriptedServer(handler_of(dialect, manners)) as server:
        with pytest.raises(SettingsError, match="ca_certificates"):
            dialect.open(settings_of(dialect, server.port, host=NAME, ca_certificates=ca))
        assert server.received == b""


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("checked", [True, False], ids=["checked", "unchecked"])
@pytest.mark.parametrize("security", SECURITIES)
@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3"])
def test_versions(
    authority: Authority, dialect: Dialect, security: str, version: str, checked: bool, witness: Witness
) -> None:
    """1.2 and 1.3 (RFC 8996), also where the identity is not checked."""
    error, _ = meet(
        dialect,
        witness,
        authority.issue("leaf", NAME),
        ssl.TLSVersion[version],
        security=security,
        ca_certificates=str(authority.ca),
        check_server_identity=checked,
    )
    if version in {"TLSv1_2", "TLSv1_3"}:
        assert error is None
    else:
        assert isinstance(error, TLSError)
        assert "1.2" in str(error)
