"""OAuth without an authority: the device flow's pause, refusals, and the client certificate."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from msal.authority import Authority as MsalAuthority
from msal.oauth2cli.oidc import Client

from airflow_email_conn.errors import (
    AuthenticationError,
    EmailError,
    ProtocolError,
    SettingsError,
    SignInRequiredError,
)
from airflow_email_conn.https import Answer
from airflow_email_conn.model.server import OAuth
from airflow_email_conn.oauth.certificate import checked_parts
from airflow_email_conn.oauth.device import DeviceCode
from airflow_email_conn.oauth.refusals import Asked, misled, refusal

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

OAUTH = OAuth("https://issuer.device.example.test/x", "client")
FLOW = {"user_code": "AB", "device_code": "dc", "verification_uri": "https://a.test/", "expires_in": 900}


# ------------------------------------------------------------ the device flow


@pytest.mark.parametrize(
    ("asked", "pause"),
    [
        (0, 1),
        (-5, 1),
        (3, 3),
        ("7", 7),
        (5.0, 5),
        (float("nan"), 1),
        (10**400, 5),
        ([], 5),
        (None, 5),
        (1e9, 60),
    ],
)
def test_interval(asked: Any, pause: int) -> None:
    """MSAL counts up to it: it is a whole number, and never 0, also of a sign-in that was kept."""
    code = DeviceCode.of({**FLOW, "interval": asked})
    assert (code.flow["interval"], type(code.flow["interval"]), code.interval) == (pause, int, pause)
    kept = DeviceCode.from_text(json.dumps({"expires_at": 1.0, "flow": {**FLOW, "interval": asked}}))
    assert (kept.flow["interval"], type(kept.flow["interval"])) == (pause, int)


@pytest.mark.parametrize("text", ["", "7", "[]", "{}", '{"flow": 7}', '{"flow": []}', "[" * 100_000])
def test_a_kept_sign_in_that_is_none(text: str) -> None:
    """Only the errors that are promised."""
    with pytest.raises((ValueError, KeyError, TypeError)):
        DeviceCode.from_text(text)


# ------------------------------------------------------------ refusals


@pytest.mark.parametrize("secret", ["short-pass", "a b&c/d", "abcdefgh", "x" * 39])
def test_a_secret_that_is_repeated(secret: str) -> None:
    """It is shown nowhere, though it is short, in pieces of a form, or where the text is cut."""
    for text in (
        secret,
        f"client_secret={secret.replace(' ', '+')}",
        " " * 590 + secret,
        "y" * 1990 + secret,
    ):
        result = {"error": secret, "error_description": text, "correlation_id": secret}
        shown = str(refusal(result, OAUTH, Asked.APPLICATION, [secret, ""]))
        assert secret not in shown
        assert secret[:6] not in shown


@pytest.mark.parametrize(
    ("asked", "error", "kind", "mend"),
    [
        (Asked.REFRESH, "invalid_grant", SignInRequiredError, "has ended"),
        (Asked.REFRESH, "consent_required", SignInRequiredError, "consent"),
        (Asked.SIGN_IN, "invalid_grant", AuthenticationError, "begin again"),
        (Asked.SIGN_IN, "consent_required", AuthenticationError, "consent"),
        (Asked.APPLICATION, "invalid_grant", AuthenticationError, "assertion"),
        (Asked.CODE, "invalid_grant", AuthenticationError, "refused"),
    ],
)
def test_what_was_asked_for(asked: Asked, error: str, kind: type[EmailError], mend: str) -> None:
    """Only a sign-in of a person that there was can have ended."""
    found = refusal({"error": error}, OAUTH, asked)
    assert type(found) is kind
    assert mend in found.message


class _Says:
    """Answers each request in the same way."""

    def __init__(self, status: int, **document: str) -> None:
        self._answer = Answer(status, {}, json.dumps(document))

    def get(self, *_: Any, **__: Any) -> Answer:
        """The document."""
        return self._answer


def _by_msal(says: _Says) -> ValueError:
    with pytest.raises(ValueError, match=r".") as caught:
        MsalAuthority("", says, oidc_authority_url=OAUTH.authority)
    return caught.value


def test_what_msal_means() -> None:
    """By the beginning of what it says: the addresses in it may have any word."""
    nobody = misled(_by_msal(_Says(404)), OAUTH)
    assert type(nobody) is AuthenticationError
    assert "no authority is found at" in nobody.message

    ends = {"authorization_endpoint": f"{OAUTH.authority}/a", "token_endpoint": f"{OAUTH.authority}/t"}
    other = misled(_by_msal(_Says(200, issuer="https://configuration.test/", **ends)), OAUTH)
    assert type(other) is ProtocolError
    assert "under the name of another" in other.message

    with pytest.raises(ValueError, match="device") as caught:
        Client({"token_endpoint": "x"}, "client").initiate_device_flow()
    assert "does not offer the device flow" in misled(caught.value, OAUTH).message
    assert "makes no sense" in misled(ValueError("https://device.test/issuer"), OAUTH).message


# ------------------------------------------------------------ the client certificate


def _pem(key: Any, password: str = "") -> str:
    locked = serialization.BestAvailableEncryption(password.encode()) if password else None
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        locked or serialization.NoEncryption(),
    ).decode()


def _certificate(key: CertificateIssuerPrivateKeyTypes) -> str:
    now, name = dt.datetime.now(dt.timezone.utc), x509.Name([])
    made = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + dt.timedelta(1)
    )
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


RSA = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
CERTIFICATE = _certificate(RSA)
KEY, PASSWORD = "client_certificate_private_key: ", "client_certificate_password"


@pytest.mark.parametrize(
    ("pem", "password", "problem"),
    [
        (_pem(RSA) + CERTIFICATE, "word", f"{PASSWORD}: is for a key that is encrypted"),
        (_pem(RSA, "word") + CERTIFICATE, "", f"{PASSWORD}: enter it"),
        (_pem(RSA, "word") + CERTIFICATE, "drow", f"{KEY}the private key cannot be read, or {PASSWORD}"),
        (_pem(RSA)[:300] + "\n-----END PRIVATE KEY-----\n" + CERTIFICATE, "", f"{KEY}the private key cannot"),
        (_pem(EC) + _certificate(EC), "", f"{KEY}the private key is not RSA"),
        (_pem(OTHER) + CERTIFICATE, "", f"{KEY}the first certificate is not the private key's"),
        (_pem(RSA) + CERTIFICATE[:200], "", f"{KEY}the certificate cannot be read"),
    ],
)
def test_a_certificate_that_cannot_be_used(pem: str, password: str, problem: str) -> None:
    """Found before any request, and said by the field's name."""
    with pytest.raises(SettingsError, match=problem):
        checked_parts(pem, password)


@pytest.mark.parametrize("password", ["", "word"])
def test_a_certificate_that_can(password: str) -> None:
    """The key's block and the certificates', in whatever order, with the line ends of Windows."""
    pem = (CERTIFICATE + _pem(RSA, password) + _certificate(OTHER)).replace("\n", "\r\n")
    key, certificates = checked_parts(pem, password)
    assert key.count("-----BEGIN ") == 1
    assert certificates.startswith(CERTIFICATE)
    assert certificates.count("-----BEGIN CERTIFICATE-----") == 2
