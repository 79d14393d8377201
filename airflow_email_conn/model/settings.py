"""The settings of a connection: read from its fields, checked once, all problems in one error."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from airflow_email_conn.errors import SettingsError
from airflow_email_conn.model.credentials import credentials
from airflow_email_conn.model.fields import BY_KEY, FIELDS
from airflow_email_conn.model.hosts import HostReader
from airflow_email_conn.model.partners import default_scopes, outgoing_partner
from airflow_email_conn.model.server import Credential, Server
from airflow_email_conn.model.unknown import mend

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["EmailSettings"]

_PORTS: Final = {
    "imap": {"tls": 993, "starttls": 143, "none": 143},
    "pop3": {"tls": 995, "starttls": 110, "none": 110},
    "smtp": {"tls": 465, "starttls": 587, "none": 25},
}
_MAX_UNKNOWN: Final = 20  # unknown keys that an error names
_ATOM: Final = r"[^\s@<>,;:\"()\[\]\\]+"
_ADDRESS: Final = re.compile(f"{_ATOM}@{_ATOM}")
_SENDER: Final = re.compile(rf"(?:\"[^\"\\<>]*\"\s*|[^\"<>,;:@()\\]*)<{_ATOM}@{_ATOM}>")


@dataclass(frozen=True, slots=True)
class EmailSettings:
    """A connection, checked and complete: equal however Airflow stored it.

    :param connection_type: `standard` or `microsoft365`.
    :param incoming: the server to read from; None when receiving is switched off.
    :param outgoing: the server to send by; None when sending is switched off.
    :param from_address: sender of mail that names none, `a@b.c` or `Name <a@b.c>`; or empty.
    :param timeout: seconds for each step; both servers carry it too.
    """

    connection_type: str
    incoming: Server | None
    outgoing: Server | None
    from_address: str = ""
    timeout: float = 30.0

    @classmethod
    def parse(
        cls,
        values: Mapping[str, Any],
        *,
        environ: Mapping[str, str],
        variable: Callable[[str], str | None],
        macro_names: Sequence[str] = (),
        allowed_hosts: Sequence[str] = ("*",),
    ) -> EmailSettings:
        """Read the fields of a connection.

        :param values: field key to value (see `fields.FIELDS`), as text or native; empty and None are absent.
        :param environ: what macros may use.
        :param variable: the value of an Airflow Variable, None if there is none; asked only where needed.
        :param macro_names: globs of guarded names that macros may use nevertheless.
        :param allowed_hosts: globs of the hosts that servers, authorities and Graph may have.
        :raises SettingsError: every problem at once, each with its field and the mend, none with a value.
        """
        read = HostReader(values, environ, variable, macro_names, allowed_hosts)
        read.problems += _unknown_keys(values)
        connection_type = read.choice("connection_type")
        if read.failed("connection_type"):  # nothing else can be judged then
            raise SettingsError(read.problems)
        receives, sends = _directions(read)
        main, out = credentials(read, receives=receives, sends=sends)
        servers = _with_scopes(
            _incoming(read, main) if receives else None,
            _outgoing(read, out, receives=receives) if sends else None,
        )
        settings = cls(
            connection_type=connection_type,
            incoming=servers[0],
            outgoing=servers[1],
            from_address=_from_address(read) if sends else "",
            timeout=read.seconds("timeout"),
        )
        if read.problems:
            raise SettingsError(read.problems)
        return settings


def _unknown_keys(values: Mapping[str, Any]) -> list[str]:
    """A problem for each key that is no field's and holds something."""
    unknown = [
        str(key) for key, value in values.items() if key not in BY_KEY and value is not None and value != ""
    ]
    problems = []
    for key in unknown[:_MAX_UNKNOWN]:
        shown = "".join(c for c in key[:60] if c.isprintable())
        problems.append(f"{shown}: is not a field of this connection; {mend(shown)}")
    if len(unknown) > _MAX_UNKNOWN:
        problems.append(
            f"{len(unknown) - _MAX_UNKNOWN} more keys are not fields of this connection; remove them"
        )
    return problems


# ------------------------------------------------------------------ servers


def _directions(read: HostReader) -> tuple[bool, bool]:
    """Whether mail is received and sent: off by the protocol, or when nothing of it is filled in."""
    receives = read.choice("incoming_protocol") != "none"
    sends = read.choice("outgoing_protocol") != "none"
    if not receives and not sends:
        read.problem("incoming_protocol", "incoming and outgoing mail are both off; switch one of them on")
    if read.choice("connection_type") == "microsoft365" or not receives or not sends:
        return receives, sends
    if read.has("outgoing_host"):
        return read.has("host") or _begun(read, "incoming"), sends
    known = not read.has("host") or outgoing_partner(read.host("host", ""))
    return receives, bool(known) or _begun(read, "outgoing")


def _begun(read: HostReader, direction: str) -> bool:
    """Whether a field of that direction is filled in, so that its host was forgotten rather than left out."""
    return any(read.changed(field.key) for field in FIELDS if field.applies == direction)


def _incoming(read: HostReader, credential: Credential) -> Server:
    """The server to read from."""
    if read.choice("connection_type") == "microsoft365":
        return _graph(read, credential)
    server = _standard(read, "incoming", credential)
    host = read.host(
        "host", "enter the name of the IMAP or POP3 server; only to send: Host of the section Outgoing server"
    )
    return replace(server, host=host, port=_port(read, server, "incoming", "incoming_port", "port"))


def _outgoing(read: HostReader, credential: Credential, *, receives: bool) -> Server:
    """The server to send by: the one given, else the partner of the incoming host, else the standard host."""
    if read.choice("connection_type") == "microsoft365":
        return _graph(read, credential)
    server = _standard(read, "outgoing", credential)
    port = _port(read, server, "outgoing", "outgoing_port")
    if read.has("outgoing_host"):
        return replace(server, host=read.host("outgoing_host", "enter the SMTP server"), port=port)
    host = read.host("host", "enter the SMTP server, or fill in Host of the section Outgoing server")
    if partner := outgoing_partner(host):
        return replace(server, host=read.allowed("outgoing_host", partner), port=port)
    if receives and host:
        read.problem(
            "outgoing_host",
            "is empty, and the incoming host has no known partner;"
            " enter the SMTP server, or empty the other fields of this section",
        )
    # Host and port now stand for the only server there is: its port must not be lost silently.
    return replace(server, host=host, port=_port(read, server, "outgoing", "outgoing_port", "port"))


def _port(read: HostReader, server: Server, direction: str, *keys: str) -> int:
    """The first port that is filled in, else the standard one; that of another security is wrong."""
    port = next(filter(None, map(read.port, keys)), server.port)
    standard = _PORTS[server.protocol]
    if port == standard["tls"] and server.security != "tls":
        read.problem(
            f"{direction}_security", "the port is that of TLS from the start; choose TLS, or empty the port"
        )
    elif port == standard["starttls"] and server.security == "tls":
        read.problem(
            f"{direction}_security", "the port is that of STARTTLS; choose STARTTLS, or empty the port"
        )
    return port


def _standard(read: HostReader, direction: str, credential: Credential) -> Server:
    """A server without its host; its port is the standard one."""
    protocol, security = read.choice(f"{direction}_protocol"), read.choice(f"{direction}_security")
    if security == "none" and credential.oauth:
        read.problem(
            f"{direction}_security", "OAuth tokens must not travel unencrypted; choose TLS or STARTTLS"
        )
    return Server(
        protocol=protocol,
        host="",
        port=_PORTS[protocol][security],
        security=security,
        check_server_identity=security == "none" or read.boolean(f"{direction}_check_server_identity"),
        credential=credential,
        timeout=read.seconds("timeout"),
        ca_certificates=read.pem("ca_certificates"),
    )


def _graph(read: HostReader, credential: Credential) -> Server:
    """Microsoft 365, for either direction."""
    url, host, port = read.service_root("graph_url")
    return Server(
        protocol="graph",
        host=host,
        port=port,
        credential=credential,
        timeout=read.seconds("timeout"),
        ca_certificates=read.pem("ca_certificates"),
        url=url,
        link_hosts=read.allowed_hosts,
    )


def _with_scopes(incoming: Server | None, outgoing: Server | None) -> list[Server | None]:
    """The servers, each with what to ask for, and for whom: those that share a sign-in share its token."""
    named = (("incoming", incoming), ("outgoing", outgoing))
    sides = [(way, server) for way, server in named if server]
    return [_scoped(server, sides) if server else None for _, server in named]


def _scoped(server: Server, sides: Sequence[tuple[str, Server]]) -> Server:
    """One of the servers; without OAuth as it is. :param sides: directions and their servers."""
    credential = server.credential
    oauth = credential.oauth
    if oauth is None:
        return server
    same = [(way, each) for way, each in sides if _sign_in(each) == _sign_in(server)]
    places = [(way, each.protocol, each.host) for way, each in same]
    scopes = oauth.scopes or default_scopes(oauth.authority, credential.kind, places)
    hosts = tuple(sorted({each.host for _, each in same}))
    return replace(server, credential=replace(credential, oauth=replace(oauth, scopes=scopes, hosts=hosts)))


def _sign_in(server: Server) -> tuple[object, ...]:
    """Who signs in where; directions for which this is equal need to sign in once."""
    credential, oauth = server.credential, server.credential.oauth
    if oauth is None:
        return ()
    return credential.kind, credential.user, oauth.authority, oauth.client_id, oauth.scopes


def _is_address(text: str) -> bool:
    """Whether it looks like an address that can be sent from; the mail's own check is stricter still."""
    local, _, domain = text.rpartition("@")
    dots = local.startswith(".") or local.endswith(".") or ".." in text or domain.endswith(".")
    hyphens = any(label.startswith("-") or label.endswith("-") for label in domain.split("."))
    return bool(_ADDRESS.fullmatch(text)) and not dots and not hyphens


def _from_address(read: HostReader) -> str:
    """The sender: as given, else the outgoing user, else the mailbox, when that is an address."""
    if given := read.text("from_address"):
        bare = given[given.rfind("<") + 1 : -1] if _SENDER.fullmatch(given) else given
        if not _is_address(bare):
            read.problem("from_address", "is not one address; enter a@example.com or Name <a@example.com>")
        return given
    user = read.text("outgoing_user") or read.text("login")
    return user if _is_address(user) else ""
