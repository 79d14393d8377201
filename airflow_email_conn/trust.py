"""Whom to trust when TLS starts, and what went wrong when it does not. The only module that makes an
SSLContext.
"""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_email_conn.errors import SettingsError, TLSError

if TYPE_CHECKING:
    from airflow_email_conn.model.server import Server

__all__ = ["Trust", "tls_error", "tls_problem"]


class Trust:
    """Whom to trust when TLS starts.

    :param check_identity: verify the certificate chain and the host name; off: encrypt, trust anybody.
    :param ca_certificates: PEM text, or the path of a PEM file, to trust instead of the system's store.
    """

    __slots__ = ("_ca_certificates", "check_identity")

    def __init__(self, *, check_identity: bool = True, ca_certificates: str = "") -> None:
        self.check_identity = check_identity
        self._ca_certificates = ca_certificates

    @classmethod
    def of(cls, server: Server) -> Trust:
        """What a connection says of a server."""
        return cls(check_identity=server.check_server_identity, ca_certificates=server.ca_certificates)

    def context(self) -> ssl.SSLContext:
        """The SSLContext for it: building one costs 20 ms, so there is one for each trust setting.

        :raises SettingsError: the CA certificates cannot be read.
        """
        return _context(self.check_identity, self._ca_certificates, _written(self._ca_certificates))

    def context_for_https(self) -> ssl.SSLContext:
        """Another SSLContext, for an HTTP client, which says in it which protocol it wants (ALPN).

        It trusts the system's store beside `ca_certificates`: those may be only for a mail server, while its
        authority is public.

        :raises SettingsError: as `context`.
        """
        written = _written(self._ca_certificates)
        return _context(self.check_identity, self._ca_certificates, written, https=True)


def _written(ca_certificates: str) -> tuple[int, int]:
    """What changes when somebody replaces the file: a process that lives for months must notice."""
    if not ca_certificates or "-----BEGIN" in ca_certificates:
        return 0, 0
    try:
        status = Path(ca_certificates).stat()
    except (OSError, ValueError):  # reading it will say so
        return 0, 0
    return status.st_mtime_ns, status.st_ino


@lru_cache(maxsize=64)
def _context(
    check_identity: bool, ca_certificates: str, _written: tuple[int, int], *, https: bool = False
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if https:
        context.set_alpn_protocols(["http/1.1"])
    if not check_identity:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    # Whoever stands in ca_certificates is trusted, an authority between server and root as well.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        if https or not ca_certificates:
            context.load_default_certs()
        if "-----BEGIN" in ca_certificates:
            context.load_verify_locations(cadata=ca_certificates)
        elif ca_certificates:
            context.load_verify_locations(cafile=ca_certificates)
    except (OSError, ValueError) as exc:
        raise SettingsError(
            "ca_certificates: neither PEM certificates nor the path of a readable file of them"
        ) from exc
    return context


# OpenSSL's X509_V_ERR_* codes (x509_vfy.h) that have a mend of their own.
_VERIFY_PROBLEMS = {
    10: "its certificate has expired",
    9: "its certificate is not valid yet",
    18: "its certificate is self-signed; put it into ca_certificates to trust it",
    19: "its certificate chain ends in a root that is not trusted; put that root into ca_certificates",
    20: "its certificate comes from an authority that is not trusted; put that one into ca_certificates",
    62: "its certificate is for another host name",
    64: "its certificate is for another IP address",
}


# What OpenSSL says about bytes that are no TLS, and about versions that neither side shares (sslerr.h).
_NO_TLS = {"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"}
_OLD_TLS = {"TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE"}


def tls_problem(exc: ssl.SSLError, where: str, agreed: bool) -> str:
    """What went wrong with a handshake, with the mend.

    :param where: host and port.
    :param agreed: the server has said in clear text that it will (STARTTLS).
    """
    if isinstance(exc, ssl.SSLCertVerificationError):
        problem = _VERIFY_PROBLEMS.get(exc.verify_code, "its certificate cannot be verified")
        return f"TLS with {where} refused: {problem}"
    if exc.reason in _NO_TLS and agreed:
        return (
            f"{where} agreed to STARTTLS and then sent no TLS: broken, or somebody in between answers for it"
        )
    if exc.reason in _NO_TLS:
        return (
            f"{where} does not start with TLS: "
            "the port or the security is wrong; 'tls' may have to be 'starttls' (or 'none')"
        )
    if exc.reason in _OLD_TLS:
        return f"{where} speaks no TLS of version 1.2 or newer, and older ones are not safe (RFC 8996)"
    return f"TLS with {where} failed ({exc.reason or 'the server closed the connection'})"


def tls_error(failure: BaseException, where: str) -> TLSError | None:
    """The TLSError for an exception that has to do with TLS, at whatever depth of its causes; else None.

    A connection that ends is none: balancers that restart cut handshakes off, and the next one succeeds.
    """
    cause: BaseException | None = failure
    while cause is not None:
        if isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return None
        if isinstance(cause, ssl.SSLError):
            return TLSError(tls_problem(cause, where, agreed=False))
        cause = cause.__cause__ or cause.__context__
    return None
