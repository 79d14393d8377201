"""Who signs in, in each direction: the fields of a credential, and what it takes from the other one."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from airflow_email_conn.model.partners import (
    gives_no_mail_by_device_flow,
    graph_logins,
    is_microsoft_authority,
    microsoft_tenant,
    reads_by_oauth_only,
)
from airflow_email_conn.model.server import Credential, OAuth

if TYPE_CHECKING:
    from airflow_email_conn.model.hosts import HostReader

__all__ = ["credentials"]


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
_ASSERTION: Final = "client_assertion_file"
_OAUTH_KINDS: Final = "oauth_client_credentials (an application) or oauth_device_flow (a person)"


def credentials(read: HostReader, *, receives: bool, sends: bool) -> tuple[Credential, Credential]:
    """The credentials of both directions; one that is not needed is not read."""
    same = sends and read.choice("outgoing_credential") == "same"
    main = out = Credential()
    if not (same and not receives and _unsigned(read)):
        main = _credential(read, _MAIN) if receives or same else main
        out = _credential(read, _OUT, main if same else None) if sends else out
    oauth = main.oauth or out.oauth or read.failed(_MAIN.kind, _OUT.kind)
    if not oauth and (read.text(_MAIN.client_id) or read.text(_OUT.client_id)):
        # Ignoring the client would send its secret to a mail server as a password.
        read.problem(_MAIN.kind, "is not OAuth, but a Client ID is filled in; choose OAuth, or empty that")
    return main, out


def _unsigned(read: HostReader) -> bool:
    """Whether a connection only to send names neither user nor secret: a relay that asks for none."""
    if read.choice("connection_type") == "microsoft365" or read.choice(_MAIN.kind) != "secret":
        return False
    return not any(read.has(key) for keys in (_MAIN, _OUT) for key in (keys.user, keys.secret, keys.variable))


def _credential(read: HostReader, keys: _Keys, main: Credential | None = None) -> Credential:
    """A credential; what it lacks comes from `main` where that is given."""
    kind = main.kind if main else read.choice(keys.kind)
    if read.choice("connection_type") == "microsoft365" and kind in {"none", "secret"}:
        read.problem(
            keys.kind if not main else _MAIN.kind, f"Microsoft 365 signs in with OAuth; choose {_OAUTH_KINDS}"
        )
        return Credential(kind)
    if kind == "secret" and keys is _MAIN and _reads_by_oauth_only(read):
        read.problem(keys.kind, f"Exchange Online takes no passwords to read mail; choose {_OAUTH_KINDS}")
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
        if gives_no_mail_by_device_flow(_host(read, keys)):
            read.problem(
                keys.kind, "Google's device flow gives no access to mail; choose secret, with an app password"
            )
        return Credential(kind, user, "", _oauth(read, keys, user, main))
    return _client_credential(read, keys, user, main)


def _reads_by_oauth_only(read: HostReader) -> bool:
    """Whether mail is read from a server that takes no passwords."""
    host = read.text("host").lower().removesuffix(".")
    return read.choice("incoming_protocol") != "none" and reads_by_oauth_only(host)


def _secret(read: HostReader, keys: _Keys) -> str:
    """The secret: the Variable's value when one is named, else the field's."""
    return read.variable(keys.variable) if read.has(keys.variable) else read.secret(keys.secret)


def _client_credential(read: HostReader, keys: _Keys, user: str, main: Credential | None) -> Credential:
    """OAuth with a client secret or a certificate."""
    oauth = _oauth(read, keys, user, main)
    secret = _secret(read, keys)
    # A client secret goes to its own client and authority only; a certificate never leaves this process.
    same = main is not None and main.oauth is not None and _client(main.oauth) == _client(oauth)
    if main and same and not secret:
        secret = main.secret
    instead = [key for key in (_CERTIFICATE, _ASSERTION) if read.has(key)]
    if keys is _MAIN and len(instead) + bool(secret) > 1:
        read.problem(
            instead[-1], "there is a client secret, a certificate or an assertion too; keep one of them"
        )
    elif secret or (same and not instead):
        pass
    elif _CERTIFICATE in instead:
        certificate, password = _certificate(read)
        oauth = replace(oauth, certificate=certificate, certificate_password=password)
    elif instead:
        oauth = replace(oauth, assertion_file=read.text(_ASSERTION))
    else:
        others = (keys.variable, keys.authority, keys.client_id)
        read.missing(
            keys.secret, "enter the OAuth client secret, or a client certificate or assertion file", *others
        )
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


def _oauth(read: HostReader, keys: _Keys, user: str, main: Credential | None) -> OAuth:
    """The OAuth client; a field that is empty for sending takes the main one."""
    own = read.has(keys.authority)
    if main and main.oauth and not own:
        authority = main.oauth.authority
    else:
        authority = _authority(read, keys if own else _MAIN, _tenant(read, keys, user))
    client_id = read.text(keys.client_id) or read.text(_MAIN.client_id)
    if not client_id:
        read.missing(
            _MAIN.client_id, "enter the id of the application registered with the authority", keys.client_id
        )
    # Scopes mean something to their authority only.
    scopes = read.words(keys.scopes) or (() if own else read.words(_MAIN.scopes))
    return OAuth(authority, client_id, scopes, allowed_hosts=read.allowed_hosts)


def _authority(read: HostReader, keys: _Keys, tenant: str) -> str:
    """The authority; one of Microsoft's is of the cloud that `graph_url` is of."""
    if read.choice("connection_type") != "microsoft365":
        return read.authority(keys.authority, tenant)
    logins = graph_logins(read.url("graph_url")[1])
    if not logins:
        return read.authority(keys.authority, tenant)
    authority = read.authority(keys.authority, tenant, logins[0])
    if is_microsoft_authority(authority) and urlsplit(authority).hostname not in logins:
        # The client secret would go to a cloud that does not know the client.
        read.problem(
            keys.authority,
            f"is of another cloud than graph_url; enter the tenant alone, or https://{logins[0]}/<tenant>",
        )
    return authority


def _tenant(read: HostReader, keys: _Keys, user: str) -> str:
    """The Microsoft tenant that a user belongs to, where the connection leads to Microsoft; else empty."""
    if read.choice("connection_type") == "microsoft365":
        return microsoft_tenant(read.url("graph_url")[1], user)
    return microsoft_tenant(_host(read, keys), user)


def _host(read: HostReader, keys: _Keys) -> str:
    """The mail server that a credential is for; either, where its own is not given."""
    hosts = [read.text("host"), read.text("outgoing_host")]
    return next(filter(None, hosts if keys is _MAIN else reversed(hosts)), "").lower().removesuffix(".")
