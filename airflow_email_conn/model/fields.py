"""The fields of the connection, in one table: the form, the parser and the README all read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

__all__ = ["BY_KEY", "FIELDS", "Field", "Kind"]

#: `text`, `secret` and `pem` are strings; `list` one of strings; `seconds` a number of them.
Kind: TypeAlias = Literal["text", "integer", "boolean", "choice", "list", "secret", "pem", "seconds"]

_STANDARD: Final = "Standard"
# The form hides nothing and opens one section at a time: the titles say which ones can stay closed.
_INCOMING: Final = "Incoming server (IMAP over TLS on a fixed port needs nothing here)"
_OUTGOING: Final = "Outgoing server (only to send; Gmail, Microsoft and others are known)"
_SIGN_IN: Final = "Sign-in (only for Microsoft 365, OAuth, no sign-in, or a Variable)"
_OAUTH_OUT: Final = "OAuth for sending (only if it differs)"
_ADVANCED: Final = "Advanced (time limit, private certificates)"

_CREDENTIALS: Final = (
    ("secret", "User and secret (password)"),
    ("none", "No sign-in"),
    ("oauth_client_credentials", "OAuth of an application (client credentials)"),
    ("oauth_device_flow", "OAuth of a person (device flow)"),
)
_TLS: Final = ("tls", "TLS from the start")
_STARTTLS: Final = ("starttls", "STARTTLS")
_PLAIN: Final = ("none", "None (not encrypted)")
_IDENTITY_HELP: Final = "Verify certificate and host name. Off: encrypted, but anybody could answer."
_APP_HELP: Final = "https://learn.microsoft.com/entra/identity-platform/quickstart-register-app"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the connection.

    :param key: Airflow's own column when `extra` is false, else the key in the connection's extra.
    :param section: the form's section; what stands in parentheses says when it applies.
    :param label: as the form shows it; unique within its section.
    :param help: what to enter, and when it applies; Markdown, of which the form shows links.
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
        section = self.section.partition(" (")[0]
        return f"{section}: {self.label} ({self.key})" if self.extra else f"{self.label} ({self.key})"


FIELDS: Final[tuple[Field, ...]] = (
    Field(
        "conn_id",
        _STANDARD,
        "Connection ID",
        "The connection's name in DAGs; no spaces. The default of every operator is email_default.",
        applies="none",
        extra=False,
    ),
    Field(
        "description",
        _STANDARD,
        "Description",
        "For people.",
        applies="none",
        extra=False,
    ),
    Field(
        "login",
        _STANDARD,
        "User (mailbox)",
        "User of the incoming server, mostly the mail address, or the Microsoft 365 mailbox.",
        macro=True,
        extra=False,
        placeholder="reports@example.com; empty for no sign-in",
    ),
    Field(
        "password",
        _STANDARD,
        "Secret (password)",
        "Password, app password (Gmail) or OAuth client secret. Empty if a Variable or certificate holds it.",
        kind="secret",
        extra=False,
        placeholder="password, app password (Gmail), client secret",
    ),
    Field(
        "host",
        _STANDARD,
        "Incoming host",
        "Name of the IMAP or POP3 server. Empty: only to send, or Microsoft 365.",
        macro=True,
        applies="incoming",
        extra=False,
        placeholder="imap.gmail.com or ${MAIL_HOST}; empty: Microsoft 365, only to send",
    ),
    Field(
        "port",
        _STANDARD,
        "Incoming port (0 = standard)",
        "0: IMAP 993 or 143, POP3 995 or 110, by security. Empty means the same, but Airflow cannot test it.",
        kind="integer",
        default=0,
        applies="incoming",
        extra=False,
        placeholder="Enter 0 for the standard port; Airflow cannot test an empty one",
    ),
    Field(
        "incoming_protocol",
        _INCOMING,
        "Protocol",
        "No incoming mail switches receiving off, for Microsoft 365 too.",
        kind="choice",
        default="imap",
        choices=(("imap", "IMAP"), ("pop3", "POP3"), ("none", "No incoming mail")),
        applies="incoming",
    ),
    Field(
        "incoming_port",
        _INCOMING,
        "Port as macro",
        "Only to take the port from the environment, as `${IMAP_PORT}`. It overrides Incoming port.",
        macro=True,
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
        "outgoing_host",
        _OUTGOING,
        "Host",
        "Empty: that of Gmail, Microsoft, GMX ... if Incoming host is theirs; of others: nothing is sent.",
        macro=True,
        applies="outgoing",
    ),
    Field(
        "outgoing_security",
        _OUTGOING,
        "Security",
        "STARTTLS (port 587) never falls back to clear text. TLS: port 465. None: port 25, for relays only.",
        kind="choice",
        default="starttls",
        choices=(_STARTTLS, _TLS, _PLAIN),
        applies="outgoing",
    ),
    Field(
        "from_address",
        _OUTGOING,
        "From",
        "Sender of outgoing mail, as `Name <a@example.com>`. Empty: the user, when that is an address.",
        macro=True,
        applies="outgoing",
    ),
    Field(
        "outgoing_port",
        _OUTGOING,
        "Port",
        "Empty: the standard port of the security above.",
        macro=True,
        applies="outgoing",
    ),
    Field(
        "outgoing_credential",
        _OUTGOING,
        "Credential",
        "Same: without User and Secret, a connection that only sends does not sign in. Others: fields below.",
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
        "outgoing_check_server_identity",
        _OUTGOING,
        "Check server identity",
        _IDENTITY_HELP,
        kind="boolean",
        default=True,
        applies="outgoing",
    ),
    Field(
        "outgoing_protocol",
        _OUTGOING,
        "Protocol",
        "No outgoing mail switches sending off, for Microsoft 365 too.",
        kind="choice",
        default="smtp",
        choices=(("smtp", "SMTP"), ("none", "No outgoing mail")),
        applies="outgoing",
    ),
    Field(
        "connection_type",
        _SIGN_IN,
        "Type",
        "Microsoft 365 needs no servers: only User, OAuth, Client ID and, for an application, Secret.",
        kind="choice",
        default="standard",
        choices=(("standard", "Standard (IMAP or POP3, SMTP)"), ("microsoft365", "Microsoft 365")),
    ),
    Field(
        "credential",
        _SIGN_IN,
        "Credential",
        "Microsoft 365 and Exchange Online take OAuth only. Outgoing mail uses it too, unless set there.",
        kind="choice",
        default="secret",
        choices=_CREDENTIALS,
    ),
    Field(
        "client_id",
        _SIGN_IN,
        "Client ID",
        f"Only for OAuth: the id of the application, [registered]({_APP_HELP}) with the authority.",
        macro=True,
        applies="oauth",
    ),
    Field(
        "authority",
        _SIGN_IN,
        "Authority",
        "Only for OAuth: issuer's https address, or Microsoft tenant. Empty: Microsoft, by User's domain.",
        macro=True,
        applies="oauth",
    ),
    Field(
        "scopes",
        _SIGN_IN,
        "Scopes",
        "Only for OAuth, one per line. Empty: what the server and the credential usually need.",
        kind="list",
        macro=True,
        applies="oauth",
    ),
    Field(
        "client_certificate_private_key",
        _SIGN_IN,
        "Client certificate (PEM: private key and certificate)",
        "Only for OAuth of an application: instead of a client secret.",
        kind="pem",
        applies="oauth",
    ),
    Field(
        "client_certificate_password",
        _SIGN_IN,
        "Client certificate: password",
        "Only if its private key is encrypted.",
        kind="secret",
        applies="oauth",
    ),
    Field(
        "client_assertion_file",
        _SIGN_IN,
        "Client assertion: path of a file",
        "Only for OAuth of an application: workload identity, instead of a secret; on every worker.",
        macro=True,
        applies="oauth",
    ),
    Field(
        "credential_variable",
        _SIGN_IN,
        "Airflow Variable that holds the secret",
        "Name of the Variable, from any secrets backend. It wins over the field Secret.",
        macro=True,
    ),
    Field(
        "graph_url",
        _SIGN_IN,
        "Microsoft Graph",
        "Only for Microsoft 365 in a national cloud, such as https://graph.microsoft.us.",
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
    Field(
        "timeout",
        _ADVANCED,
        "Timeout (seconds)",
        "For each step: 1 to 3600.",
        kind="seconds",
        default=30,
    ),
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
