"""The fields of the connection, in one table: the form, the parser and the README all read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

__all__ = ["BY_KEY", "FIELDS", "Field", "Kind"]

#: `text`, `secret` and `pem` are strings; `list` one of strings; `seconds` a number of them.
Kind: TypeAlias = Literal["text", "integer", "boolean", "choice", "list", "secret", "pem", "seconds"]

_STANDARD: Final = "Standard"
_CONNECTION: Final = "Connection"
_INCOMING: Final = "Incoming server"
_OUTGOING: Final = "Outgoing server"
_OAUTH: Final = "OAuth and Microsoft 365"
_OAUTH_OUT: Final = "OAuth for sending, only if different"
_ADVANCED: Final = "Advanced"

_CREDENTIALS: Final = (
    ("secret", "Secret (password)"),
    ("none", "None"),
    ("oauth_client_credentials", "OAuth (client credentials)"),
    ("oauth_device_flow", "OAuth (device flow)"),
)
_TLS: Final = ("tls", "TLS from the start")
_STARTTLS: Final = ("starttls", "STARTTLS")
_PLAIN: Final = ("none", "None (not encrypted)")
_IDENTITY_HELP: Final = "Verify certificate and host name. Off: encrypted, but anybody could answer."


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the connection.

    :param key: Airflow's own column when `extra` is false, else the key in the connection's extra.
    :param section: the form's section.
    :param label: as the form shows it; unique within its section.
    :param help: what to enter, and when it applies.
    :param default: what an empty field means; None is "nothing".
    :param choices: value and human label of each choice; the default comes first.
    :param macro: `${NAME}` is expanded in it; of a `pem` field only where it is the path of a file.
    :param applies: `both`, `incoming`, `outgoing`, `oauth` (both OAuth credentials), `microsoft365`, or
        `none`: Airflow's own, which the parser does not read.
    :param extra: false for Airflow's standard fields.
    :param placeholder: shown in an empty field; Airflow offers it for standard fields only.
    """

    key: str
    section: str
    label: str
    help: str
    kind: Kind = "text"
    default: str | bool | int | None = None
    choices: tuple[tuple[str, str], ...] = ()
    macro: bool = False
    applies: str = "both"
    extra: bool = True
    placeholder: str = ""

    @property
    def title(self) -> str:
        """How an error names the field, so that it is found in the form as well as in JSON."""
        return f"{self.section}: {self.label} ({self.key})" if self.extra else f"{self.label} ({self.key})"


FIELDS: Final[tuple[Field, ...]] = (
    Field(
        "conn_id",
        _STANDARD,
        "Connection ID",
        "The connection's name in DAGs; no spaces. The default of every operator is email_default.",
        applies="none",
        extra=False,
    ),
    Field("description", _STANDARD, "Description", "For people.", applies="none", extra=False),
    Field(
        "login",
        _STANDARD,
        "User (mailbox)",
        "User of the incoming server, or the Microsoft 365 mailbox.",
        macro=True,
        extra=False,
        placeholder="reports@example.com",
    ),
    Field(
        "password",
        _STANDARD,
        "Secret (password or OAuth client secret)",
        "Empty if an Airflow Variable holds it, a certificate replaces it, or the credential needs none.",
        kind="secret",
        extra=False,
    ),
    Field(
        "host",
        _STANDARD,
        "Incoming host",
        "Name of the IMAP or POP3 server. Empty for Microsoft 365.",
        macro=True,
        applies="incoming",
        extra=False,
        placeholder="imap.example.com",
    ),
    Field(
        "port",
        _STANDARD,
        "Incoming port (0 = standard)",
        "IMAP 993 or 143, POP3 995 or 110, by security.",
        kind="integer",
        default=0,
        applies="incoming",
        extra=False,
        placeholder="0",
    ),
    Field(
        "connection_type",
        _CONNECTION,
        "Type",
        "Microsoft 365 needs no servers, only user, credential and the section OAuth and Microsoft 365.",
        kind="choice",
        default="standard",
        choices=(("standard", "Standard (IMAP or POP3, SMTP)"), ("microsoft365", "Microsoft 365")),
    ),
    Field(
        "credential",
        _CONNECTION,
        "Credential",
        "For incoming mail and, unless Outgoing server says otherwise, for outgoing. Microsoft 365: OAuth.",
        kind="choice",
        default="secret",
        choices=_CREDENTIALS,
    ),
    Field(
        "credential_variable",
        _CONNECTION,
        "Airflow Variable that holds the secret",
        "Name of the Variable, from any secrets backend. It wins over the field Secret.",
        macro=True,
    ),
    Field(
        "from_address",
        _CONNECTION,
        "From",
        "Sender of outgoing mail. Empty: the outgoing user, when that is an address.",
        macro=True,
        applies="outgoing",
    ),
    Field(
        "incoming_protocol",
        _INCOMING,
        "Protocol",
        "None switches receiving off, for Microsoft 365 too.",
        kind="choice",
        default="imap",
        choices=(("imap", "IMAP"), ("pop3", "POP3"), ("none", "No incoming mail")),
        applies="incoming",
    ),
    Field(
        "incoming_security",
        _INCOMING,
        "Security",
        "Most servers: TLS from the start. STARTTLS never falls back to clear text.",
        kind="choice",
        default="tls",
        choices=(_TLS, _STARTTLS, _PLAIN),
        applies="incoming",
    ),
    Field(
        "incoming_check_server_identity",
        _INCOMING,
        "Check server identity",
        _IDENTITY_HELP,
        kind="boolean",
        default=True,
        applies="incoming",
    ),
    Field(
        "incoming_port",
        _INCOMING,
        "Port as macro (overrides)",
        "Only to take the port from the environment, as ${IMAP_PORT}.",
        macro=True,
        applies="incoming",
    ),
    Field(
        "outgoing_protocol",
        _OUTGOING,
        "Protocol",
        "None switches sending off, for Microsoft 365 too.",
        kind="choice",
        default="smtp",
        choices=(("smtp", "SMTP"), ("none", "No outgoing mail")),
        applies="outgoing",
    ),
    Field(
        "outgoing_host",
        _OUTGOING,
        "Host",
        "Empty for large providers (imap.gmail.com: smtp.gmail.com), or if Incoming host is the SMTP server.",
        macro=True,
        applies="outgoing",
    ),
    Field(
        "outgoing_port",
        _OUTGOING,
        "Port",
        "Empty: 587 for STARTTLS, 465 for TLS, 25 without encryption.",
        macro=True,
        applies="outgoing",
    ),
    Field(
        "outgoing_security",
        _OUTGOING,
        "Security",
        "Most servers: STARTTLS, which never falls back to clear text.",
        kind="choice",
        default="starttls",
        choices=(_STARTTLS, _TLS, _PLAIN),
        applies="outgoing",
    ),
    Field(
        "outgoing_check_server_identity",
        _OUTGOING,
        "Check server identity",
        _IDENTITY_HELP,
        kind="boolean",
        default=True,
        applies="outgoing",
    ),
    Field(
        "outgoing_credential",
        _OUTGOING,
        "Credential",
        "Same: user and secret of above. Anything else: the fields below.",
        kind="choice",
        default="same",
        choices=(("same", "Same as for incoming mail"), *_CREDENTIALS),
        applies="outgoing",
    ),
    Field(
        "outgoing_user",
        _OUTGOING,
        "User",
        "Only if it differs from User (mailbox).",
        macro=True,
        applies="outgoing",
    ),
    Field(
        "outgoing_secret",
        _OUTGOING,
        "Secret",
        "Password or OAuth client secret, only if it differs.",
        kind="secret",
        applies="outgoing",
    ),
    Field(
        "outgoing_credential_variable",
        _OUTGOING,
        "Airflow Variable that holds the secret",
        "Name of the Variable, only if it differs. It wins over the field Secret of this section.",
        macro=True,
        applies="outgoing",
    ),
    Field(
        "authority",
        _OAUTH,
        "Authority",
        "Microsoft: the tenant (contoso.onmicrosoft.com or its id). Others: the issuer's https address.",
        macro=True,
        applies="oauth",
    ),
    Field(
        "client_id",
        _OAUTH,
        "Client ID",
        "Of the application registered with the authority.",
        macro=True,
        applies="oauth",
    ),
    Field(
        "scopes",
        _OAUTH,
        "Scopes",
        "One per line. Empty: what the server and the credential usually need.",
        kind="list",
        macro=True,
        applies="oauth",
    ),
    Field(
        "client_certificate_private_key",
        _OAUTH,
        "Client certificate (PEM: private key and certificate)",
        "Instead of a client secret.",
        kind="pem",
        applies="oauth",
    ),
    Field(
        "client_certificate_password",
        _OAUTH,
        "Client certificate: password",
        "Only if its private key is encrypted.",
        kind="secret",
        applies="oauth",
    ),
    Field(
        "graph_url",
        _OAUTH,
        "Microsoft Graph",
        "Microsoft 365 only: another service root for national clouds.",
        default="https://graph.microsoft.com",
        macro=True,
        applies="microsoft365",
    ),
    Field(
        "outgoing_authority",
        _OAUTH_OUT,
        "Authority",
        "As above, for sending.",
        macro=True,
        applies="outgoing",
    ),
    Field(
        "outgoing_client_id",
        _OAUTH_OUT,
        "Client ID",
        "As above, for sending. It then needs its own secret, or the certificate.",
        macro=True,
        applies="outgoing",
    ),
    Field(
        "outgoing_scopes",
        _OAUTH_OUT,
        "Scopes",
        "As above, for sending.",
        kind="list",
        macro=True,
        applies="outgoing",
    ),
    Field("timeout", _ADVANCED, "Timeout (seconds)", "For each step: 1 to 3600.", kind="seconds", default=30),
    Field(
        "ca_certificates",
        _ADVANCED,
        "CA certificates (PEM text or file)",
        "Only for servers whose certificate a private authority signed. Empty: the system's store.",
        kind="pem",
        macro=True,
    ),
)

#: The table by key.
BY_KEY: Final = {field.key: field for field in FIELDS}
