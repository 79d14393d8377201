"""The clients that the authority knows, and what they prove themselves with.

======================  =========================================================================
client                  how it signs in
======================  =========================================================================
``daemon``              client credentials, by a secret in the body
``daemon-certificate``  client credentials, by assertions that a certificate's key signs (RFC 7523)
``daemon-assertion``    client credentials, by assertions made elsewhere, as a workload has them
``device``              device flow with refresh tokens, of which each is good for one use
``device-no-refresh``   device flow without refresh tokens
``dovecot``             nobody's: the mail servers introspect tokens with it
======================  =========================================================================
"""

from __future__ import annotations

import datetime as dt
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

__all__ = ["DOVECOT_SECRET", "OAuthClients"]

DOVECOT_SECRET = "dovecot-secret"
_DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


@dataclass(frozen=True)
class OAuthClients:
    """What the clients prove themselves with; made anew for each authority."""

    #: The secret of ``daemon``.
    secret: str = field(default="daemon-secret", repr=False)
    _rsa: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048), repr=False)
    _ec: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1()), repr=False
    )

    def private_key(self, passphrase: str | None = None) -> str:
        """Return the private key of ``daemon-certificate`` in PEM (PKCS 8).

        :param passphrase: what it is encrypted with; None: it is not.
        """
        encryption: serialization.KeySerializationEncryption = (
            serialization.NoEncryption()
            if passphrase is None
            else serialization.BestAvailableEncryption(passphrase.encode())
        )
        pem = self._rsa.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        )
        return pem.decode("ascii")

    def certificate(self, days: int = 365) -> str:
        """Return the certificate of ``daemon-certificate`` in PEM.

        :param days: when it ends, from now; the authority looks at the key alone.
        """
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "daemon-certificate")])
        now = dt.datetime.now(dt.timezone.utc)
        begin, end = now - dt.timedelta(days=30), now + dt.timedelta(days=days)
        builder = x509.CertificateBuilder(
            name, name, self._rsa.public_key(), x509.random_serial_number(), begin, end
        )
        return (
            builder.sign(self._rsa, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode("ascii")
        )

    def assertion(self, audience: str, seconds: int = 600) -> str:
        """Return an assertion of ``daemon-assertion``, good for many uses.

        :param audience: the authority's issuer.
        :param seconds: when it ends, from now; a negative one has ended.
        """
        now = int(time.time())
        claims = {
            "iss": "daemon-assertion",
            "sub": "daemon-assertion",
            "aud": audience,
            "jti": secrets.token_hex(),
            "iat": now,
            "exp": now + seconds,
        }
        return jwt.encode(claims, self._ec, algorithm="ES256")

    def registrations(self) -> list[dict[str, Any]]:
        """Return all clients as the authority wants them (RFC 7591)."""
        rsa_key = jwt.algorithms.RSAAlgorithm.to_jwk(self._rsa.public_key(), as_dict=True)
        ec_key = jwt.algorithms.ECAlgorithm.to_jwk(self._ec.public_key(), as_dict=True)
        by_secret, by_key = "client_secret_post", "private_key_jwt"
        return [
            _client("daemon", by_secret, "client_credentials", client_secret=self.secret),
            _client("daemon-certificate", by_key, "client_credentials", jwks={"keys": [rsa_key]}),
            _client("daemon-assertion", by_key, "client_credentials", jwks={"keys": [ec_key]}),
            _client("device", "none", _DEVICE_CODE, "refresh_token", application_type="native"),
            _client("device-no-refresh", "none", _DEVICE_CODE, application_type="native"),
            _client("dovecot", "client_secret_basic", "client_credentials", client_secret=DOVECOT_SECRET),
        ]

    def signing_keys(self) -> dict[str, Any]:
        """Return what the authority signs its ID tokens with, as a JWK set."""
        return {"keys": [{**jwt.algorithms.RSAAlgorithm.to_jwk(self._rsa, as_dict=True), "alg": "RS256"}]}


def _client(name: str, method: str, *grant_types: str, **more: object) -> dict[str, Any]:
    return {
        "client_id": name,
        "token_endpoint_auth_method": method,
        "grant_types": list(grant_types),
        "redirect_uris": [],
        "response_types": [],
        **more,
    }
