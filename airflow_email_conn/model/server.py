"""One direction of a connection, ready for use: which server, how secured, with which credential."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Credential", "OAuth", "Server"]


@dataclass(frozen=True, slots=True)
class OAuth:
    """An OAuth 2.0 client (RFC 6749).

    :param authority: issuer URL with https.
    :param scopes: as given, else the default of the host and flow; empty means the authority's own.
    :param certificate: PEM of private key and certificate, instead of a client secret; or empty.
    :param certificate_password: of that private key; or empty.
    :param assertion_file: path of a file with a signed assertion (RFC 7523), instead of both; or empty.
    :param allowed_hosts: globs of the hosts that the authority may lead to.
    :param hosts: the servers that the token is shown to, in order.
    """

    authority: str
    client_id: str
    scopes: tuple[str, ...] = ()
    certificate: str = field(default="", repr=False)
    certificate_password: str = field(default="", repr=False)
    assertion_file: str = ""
    allowed_hosts: tuple[str, ...] = ("*",)
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Credential:
    """Who signs in, and with what.

    :param kind: `none`, `secret`, `oauth_client_credentials` or `oauth_device_flow`; and `bearer`, which the
        two of OAuth become when they are used: an access token (RFC 6750).
    :param user: login name, or mailbox of an OAuth sign-in; empty for `none`.
    :param secret: password, OAuth client secret or access token; never shown.
    :param oauth: the client for both OAuth kinds, else None.
    :param expires_at: when an access token ends, as time.time; None for never, or unknown.
    """

    kind: str = "none"
    user: str = ""
    secret: str = field(default="", repr=False)
    oauth: OAuth | None = None
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """A server of one direction.

    :param protocol: `imap`, `pop3`, `smtp` or `graph`.
    :param host: name or IP address; for `graph` the service root's host.
    :param port: never 0: standard ports are filled in.
    :param security: `tls` from the first byte, `starttls`, or `none`.
    :param check_server_identity: verify certificate chain and host name.
    :param timeout: seconds for each step.
    :param ca_certificates: PEM text or file to trust instead of the system's store, and for the authority of
        OAuth beside it; or empty.
    :param url: the service root of `graph`, else empty.
    :param link_hosts: of `graph`, globs of the hosts that it, and the links in its answers, may be at.
    """

    protocol: str
    host: str
    port: int
    security: str = "tls"
    check_server_identity: bool = True
    credential: Credential = field(default_factory=Credential)
    timeout: float = 30.0
    ca_certificates: str = field(default="", repr=False)
    url: str = ""
    link_hosts: tuple[str, ...] = ("*",)
