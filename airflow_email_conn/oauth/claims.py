"""What an access token says of itself (RFC 9068, Microsoft's access token claims), against what is needed."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any, Final

__all__ = ["mismatch"]

_MAX_TOKEN: Final = 64 * 1024
# Of Microsoft's clouds, in tokens of version 1 and 2.
_ISSUERS: Final = (
    "https://sts.windows.net/",
    "https://sts.chinacloudapi.cn/",
    "https://login.microsoftonline.com/",
    "https://login.microsoftonline.us/",
    "https://login.partner.microsoftonline.cn/",
)
# By address, or by the id that the application has in all tenants.
_GRAPH: Final = ("https://graph.microsoft.com", "00000003-0000-0000-c000-000000000000")
# Of all clouds.
_GRAPHS: Final = (*_GRAPH, "https://graph.", "https://dod-graph.", "https://microsoftgraph.")
_MAIL_PERMISSION: Final = re.compile(r"Mail\.[A-Za-z.]{1,40}")
_EXCHANGE: Final = (
    "https://outlook.office365.com",
    "https://outlook.office.com",
    "https://ps.outlook.com",
    "00000002-0000-0ff1-ce00-000000000000",
)
_ROLES: Final = {"imap": "IMAP.AccessAsApp", "pop3": "POP.AccessAsApp", "smtp": "SMTP.SendAsApp"}
_SCOPES: Final = {"imap": "IMAP.AccessAsUser.All", "pop3": "POP.AccessAsUser.All", "smtp": "SMTP.Send"}


def mismatch(token: str, protocol: str, user: str) -> str:
    """Why Microsoft 365 refuses a token, as far as the token tells; empty when it tells nothing.

    Nothing of the token is shown but the name of its account.

    :param protocol: `imap`, `pop3`, `smtp` or `graph`.
    :param user: the mailbox.
    """
    claims = _claims(token)
    if not str(claims.get("iss", "")).startswith(_ISSUERS):
        return ""  # only Microsoft's tokens are known by heart
    audience = str(claims.get("aud", "")).rstrip("/")
    if protocol == "graph":
        return _at_graph(claims, audience, user)
    if audience in _GRAPH:
        return "the token is for Microsoft Graph: scopes must begin with https://outlook.office365.com/"
    if audience not in _EXCHANGE and ".office365." not in audience and ".outlook." not in audience:
        return "the token is not for Exchange Online: correct scopes"
    if claims.get("idtyp") == "app" or "scp" not in claims:
        return _of_application(claims, _ROLES[protocol])
    return _of_person(claims, _SCOPES[protocol], user)


def _at_graph(claims: dict[str, Any], audience: str, user: str) -> str:
    """The same for Microsoft Graph, where Exchange may give an application its rights beside the token."""
    if not audience.startswith(_GRAPHS):
        return "the token is not for Microsoft Graph: scopes must begin with the address of graph_url"
    if claims.get("idtyp") == "app" or "scp" not in claims:
        return _mail_permissions(
            claims.get("roles"), "application", "only Exchange can give it the right (RBAC)"
        )
    told = _mail_permissions(str(claims["scp"]).split(), "delegated", "grant it, and sign in again")
    return told if not _account_of_another(claims, user) else f"{told}; {_account_of_another(claims, user)}"


def _mail_permissions(granted: Any, kind: str, mend: str) -> str:
    names = granted if isinstance(granted, list) else []
    mail = [name for name in names if isinstance(name, str) and _MAIL_PERMISSION.fullmatch(name)]
    if mail:
        return f"the token has the {kind} permissions {', '.join(sorted(mail))}"
    return f"the token has no {kind} permission for mail: {mend}"


def _of_person(claims: dict[str, Any], scope: str, user: str) -> str:
    if scope not in str(claims["scp"]).split():
        return f"the token lacks the permission {scope}: grant it to the application, and sign in again"
    return _account_of_another(claims, user)


def _account_of_another(claims: dict[str, Any], user: str) -> str:
    account = str(claims.get("upn") or claims.get("unique_name") or "")[:200]
    if account and account.lower() != user.lower() and account.isprintable():
        return f"the token is of {account}, who needs full access to the mailbox"
    return ""


def _of_application(claims: dict[str, Any], role: str) -> str:
    roles = claims.get("roles")
    if role not in (roles if isinstance(roles, list) else []):
        return (
            f"the token lacks the application permission {role}: add it (Office 365 Exchange Online), and let"
            " an administrator grant it"
        )
    return (
        "the token has the permission; in Exchange, New-ServicePrincipal must have got the object id of the"
        " enterprise application, and Add-MailboxPermission given it full access to this mailbox"
    )


def _claims(token: str) -> dict[str, Any]:
    """The payload of a JWT, not verified; empty for any other token."""
    parts = token.split(".") if len(token) <= _MAX_TOKEN else []
    if len(parts) != 3:
        return {}
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        found = json.loads(payload)
    except (binascii.Error, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
