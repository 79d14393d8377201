"""The settings of a connection: read from its fields, checked once, all problems in one error."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from airflow_email_conn.errors import SettingsError
from airflow_email_conn.model.fields import BY_KEY
from airflow_email_conn.model.hosts import HostReader
from airflow_email_conn.model.partners import outgoing_partner
from airflow_email_conn.model.server import Credential, OAuth, Server

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
        receives = read.choice("incoming_protocol") != "none"
        sends = read.choice("outgoing_protocol") != "none"
        if not receives and not sends:
            read.problem(
                "incoming_protocol", "incoming and outgoing mail are both off; switch one of them on"
            )
        main, out = _credentials(read, receives=receives, sends=sends)
        settings = cls(
            connection_type=connection_type,
            incoming=_incoming(read, main) if receives else None,
            outgoing=_outgoing(read, out, receives=receives) if sends else None,
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
        near = difflib.get_close_matches(shown.rpartition("__")[2].lower(), BY_KEY, n=1, cutoff=0.5)
        mend = f"did you mean {near[0]}? If not, remove it" if near else "remove it"
        problems.append(f"{shown}: is not a field of this connection; {mend}")
    if len(unknown) > _MAX_UNKNOWN:
        problems.append(
            f"{len(unknown) - _MAX_UNKNOWN} more keys are not fields of this connection; remove them"
        )
    return problems


# ------------------------------------------------------------------ servers


def _incoming(read: HostReader, credential: Credential) -> Server:
    """The server to read from."""
    if read.choice("connection_type") == "microsoft365":
        return _graph(read, credential)
    server = _standard(read, "incoming", credential)
    port = read.port("incoming_port") or read.port("port") or server.port
    return replace(server, host=read.host("host", "enter the name of the IMAP or POP3 server"), port=port)


def _outgoing(read: HostReader, credential: Credential, *, receives: bool) -> Server:
    """The server to send by: the one given, else the partner of the incoming host, else the standard host."""
    if read.choice("connection_type") == "microsoft365":
        return _graph(read, credential)
    server = _standard(read, "outgoing", credential)
    port = read.port("outgoing_port") or server.port
    if read.has("outgoing_host"):
        return replace(server, host=read.host("outgoing_host", "enter the SMTP server"), port=port)
    host = read.host("host", "enter the SMTP server, or fill in Host of the section Outgoing server")
    if partner := outgoing_partner(host):
        return replace(server, host=read.allowed("outgoing_host", partner), port=port)
    if receives and host:
        read.problem(
            "outgoing_host", "is empty, and the incoming host has no known partner; enter the SMTP server"
        )
    # Host and port now stand for the only server there is: its port must not be lost silently.
    return replace(server, host=host, port=read.port("outgoing_port") or read.port("port") or port)


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
    url, host, port = read.url("graph_url")
    return Server(
        protocol="graph",
        host=host,
        port=port,
        credential=credential,
        timeout=read.seconds("timeout"),
        ca_certificates=read.pem("ca_certificates"),
        url=url.removesuffix("/v1.0"),  # documentation calls both the service root
    )


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


# -------------------------------------------------------------- credentials


@dataclass(frozen=True, slots=True)
class _Keys:
    """The fields of one credential."""

    kind: str
    user: str
    secret: str
    variable: str
    authority: str
    client_id: str
    scopes: str


_MAIN: Final = _Keys(
    "credential", "login", "password", "credential_variable", "authority", "client_id", "scopes"
)
_OUT: Final = _Keys(
    "outgoing_credential",
    "outgoing_user",
    "outgoing_secret",
    "outgoing_credential_variable",
    "outgoing_authority",
    "outgoing_client_id",
    "outgoing_scopes",
)


_CERTIFICATE: Final = "client_certificate_private_key"


def _credentials(read: HostReader, *, receives: bool, sends: bool) -> tuple[Credential, Credential]:
    """The credentials of both directions; one that is not needed is not read."""
    same = sends and read.choice("outgoing_credential") == "same"
    main = _credential(read, _MAIN) if receives or same else Credential()
    out = _credential(read, _OUT, main if same else None) if sends else Credential()
    return main, out


def _credential(read: HostReader, keys: _Keys, main: Credential | None = None) -> Credential:
    """A credential; what it lacks comes from `main` where that is given."""
    kind = main.kind if main else read.choice(keys.kind)
    if read.choice("connection_type") == "microsoft365" and kind in {"none", "secret"}:
        read.problem(
            keys.kind if not main else _MAIN.kind, "Microsoft 365 signs in with OAuth; choose one of the two"
        )
        return Credential(kind)
    if kind == "none" or read.failed(keys.kind):
        return Credential()
    user = read.text(keys.user) or (main.user if main else "")
    if not user and not main:
        same = "" if keys is _MAIN else ", or choose the credential: same"
        read.missing(keys.user, f"enter the user, mostly the mail address{same}")
    if kind == "secret":
        secret = _secret(read, keys) or (main.secret if main else "")
        if not secret and not main:
            read.missing(
                keys.secret, "enter it, or the name of an Airflow Variable that holds it", keys.variable
            )
        return Credential(kind, user, secret)
    if kind == "oauth_device_flow":
        return Credential(kind, user, "", _oauth(read, keys))
    return _client_credential(read, keys, user, main)


def _secret(read: HostReader, keys: _Keys) -> str:
    """The secret: the Variable's value when one is named, else the field's."""
    return read.variable(keys.variable) if read.has(keys.variable) else read.secret(keys.secret)


def _client_credential(read: HostReader, keys: _Keys, user: str, main: Credential | None) -> Credential:
    """OAuth with a client secret or a certificate."""
    oauth = _oauth(read, keys)
    secret = _secret(read, keys)
    # A client secret goes to its own client and authority only; a certificate never leaves this process.
    same = main is not None and main.oauth is not None and _client(main.oauth) == _client(oauth)
    if main and same and not secret:
        secret = main.secret
    certified = read.has(_CERTIFICATE)
    if certified and secret and keys is _MAIN:
        read.problem(_CERTIFICATE, "there is a client secret or its Variable too; remove one of the two")
    elif certified and not secret:
        certificate, password = _certificate(read)
        oauth = replace(oauth, certificate=certificate, certificate_password=password)
    elif not secret and not same:
        others = (keys.variable, keys.authority, keys.client_id)
        read.missing(keys.secret, "enter the OAuth client secret, or a client certificate", *others)
    return Credential("oauth_client_credentials", user, secret, oauth)


def _client(oauth: OAuth) -> tuple[str, str]:
    """Whom a client secret belongs to."""
    return oauth.authority, oauth.client_id


def _certificate(read: HostReader) -> tuple[str, str]:
    """The client certificate and the password of its private key."""
    pem, password = read.pem(_CERTIFICATE), read.secret("client_certificate_password")
    if pem and not re.search(r"^-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----$", pem, re.MULTILINE):
        read.problem(
            _CERTIFICATE,
            "holds no private key; paste lines from -----BEGIN PRIVATE KEY----- on, with line breaks",
        )
    elif pem and not re.search(r"^-----BEGIN CERTIFICATE-----$", pem, re.MULTILINE):
        read.problem(
            _CERTIFICATE,
            "holds no certificate; paste it below the private key, from -----BEGIN CERTIFICATE----- on",
        )
    elif "ENCRYPTED" in pem and not password:
        read.missing("client_certificate_password", "enter it: the private key is encrypted")
    return pem, password


def _oauth(read: HostReader, keys: _Keys) -> OAuth:
    """The OAuth client; a field that is empty for sending takes the main one."""
    own = read.has(keys.authority)
    authority = read.authority(keys.authority if own else _MAIN.authority)
    client_id = read.text(keys.client_id) or read.text(_MAIN.client_id)
    if not client_id:
        read.missing(
            _MAIN.client_id, "enter the id of the application registered with the authority", keys.client_id
        )
    # Scopes mean something to their authority only.
    scopes = read.words(keys.scopes) or (() if own else read.words(_MAIN.scopes))
    return OAuth(authority, client_id, scopes)
