"""Certificates for the test servers: a throw-away authority, its good leaves and the bad ones."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Authority", "Certificate", "client_context", "self_signed"]


@dataclass(frozen=True)
class Certificate:
    """A server's certificate, as files."""

    #: PEM: the certificate and what stands between it and the authority.
    chain: Path
    #: PEM: the private key.
    key: Path
    #: PEM: key, then chain, in one file, as Postfix wants it.
    both: Path

    @classmethod
    def write(cls, directory: Path, name: str, chain: bytes, key: bytes) -> Certificate:
        """Write the files ``name.crt``, ``name.key`` and ``name.pem``; the last two for the owner only."""
        made = cls(directory / f"{name}.crt", directory / f"{name}.key", directory / f"{name}.pem")
        made.chain.write_bytes(chain)
        for path, content in ((made.key, key), (made.both, key + chain)):
            path.touch(mode=0o600)
            path.write_bytes(content)
        return made

    def server_context(self, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        """Return what a server needs to speak TLS with this certificate.

        :param version: the only one to speak, however old; None for all that are usual.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if version is not None:
            context.set_ciphers("DEFAULT:@SECLEVEL=0")  # OpenSSL 3 speaks nothing older than 1.2 otherwise
            context.minimum_version = context.maximum_version = version
        context.load_cert_chain(self.chain, self.key)
        return context


class Authority:
    """A certificate authority that lives in a folder.

    :param directory: where the files are written; it has to exist.
    """

    def __init__(self, directory: Path, name: str = "ca", made: trustme.CA | None = None) -> None:
        """Make the authority and write its certificate to ``<name>.pem``."""
        self.directory = directory
        self.ca = directory / f"{name}.pem"
        self._trustme = made or trustme.CA()
        self._trustme.cert_pem.write_to_path(self.ca)

    def intermediate(self, name: str, *, expired: bool = False) -> Authority:
        """Make an authority that this one vouches for; its certificates carry its own in their chain.

        :param name: what its file is called.
        :param expired: whether it ended yesterday.
        """
        child = self._trustme.create_child_ca()
        if expired:
            child._certificate = _ended_yesterday(child._certificate).sign(
                self._trustme._private_key, hashes.SHA256()
            )
        return Authority(self.directory, name, child)

    def issue(
        self, name: str, *identities: str, expired: bool = False, common_name: str | None = None
    ) -> Certificate:
        """Issue a certificate.

        :param name: what the files are called.
        :param identities: the host names and addresses it is good for.
        :param expired: whether it ended yesterday.
        :param common_name: a host name in the subject, where it stood before there were such identities.
        """
        not_after = dt.datetime.now(dt.timezone.utc) - dt.timedelta(days=1) if expired else None
        not_before = not_after - dt.timedelta(days=30) if not_after else None
        leaf = self._trustme.issue_cert(
            *identities, common_name=common_name, not_before=not_before, not_after=not_after
        )
        chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
        return Certificate.write(self.directory, name, chain, leaf.private_key_pem.bytes())


def _ended_yesterday(certificate: x509.Certificate) -> x509.CertificateBuilder:
    """Return what has to be signed again to get the same certificate, but expired."""
    now = dt.datetime.now(dt.timezone.utc)
    return x509.CertificateBuilder(
        certificate.issuer,
        certificate.subject,
        certificate.public_key(),
        x509.random_serial_number(),
        now - dt.timedelta(days=30),
        now - dt.timedelta(days=1),
        list(certificate.extensions),
    )


def client_context(ca: Path) -> ssl.SSLContext:
    """Return what a client needs to trust an authority, and nobody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca)
    return context


def self_signed(directory: Path, name: str, address: str) -> Certificate:
    """Make a certificate that only vouches for itself.

    :param name: what the files are called.
    :param address: the IP address it names, next to ``localhost``: nothing but the signature is wrong.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(address))]
    )
    now = dt.datetime.now(dt.timezone.utc)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - dt.timedelta(days=1)).not_valid_after(
        now + dt.timedelta(days=365)
    )
    leaf = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Certificate.write(directory, name, leaf.public_bytes(serialization.Encoding.PEM), pem)
