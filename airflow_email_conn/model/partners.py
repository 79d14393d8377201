"""What well-known providers imply: the outgoing server of an incoming one, the tenant of a mailbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "default_scopes",
    "gives_no_mail_by_device_flow",
    "graph_logins",
    "is_microsoft_authority",
    "microsoft_tenant",
    "outgoing_partner",
    "reads_by_oauth_only",
]

# Providers that take mail on port 587 with STARTTLS, the standard of an outgoing server here. Those that
# want another port are left out on purpose: their users must enter host and port anyway.
_PARTNERS: Final = {
    "imap.gmail.com": "smtp.gmail.com",
    "pop.gmail.com": "smtp.gmail.com",
    "outlook.office365.com": "smtp.office365.com",
    "outlook.office365.us": "smtp.office365.us",
    "partner.outlook.cn": "smtp.partner.outlook.cn",
    "imap-mail.outlook.com": "smtp-mail.outlook.com",
    "pop-mail.outlook.com": "smtp-mail.outlook.com",
    "imap.mail.yahoo.com": "smtp.mail.yahoo.com",
    "pop.mail.yahoo.com": "smtp.mail.yahoo.com",
    "imap.aol.com": "smtp.aol.com",
    "pop.aol.com": "smtp.aol.com",
    "imap.mail.me.com": "smtp.mail.me.com",
    "imap.fastmail.com": "smtp.fastmail.com",
    "pop.fastmail.com": "smtp.fastmail.com",
    "imap.zoho.com": "smtp.zoho.com",
    "imap.zoho.eu": "smtp.zoho.eu",
    "imappro.zoho.com": "smtppro.zoho.com",
    "imap.gmx.net": "mail.gmx.net",
    "pop.gmx.net": "mail.gmx.net",
    "imap.gmx.com": "mail.gmx.com",
    "pop.gmx.com": "mail.gmx.com",
    "imap.web.de": "smtp.web.de",
    "pop3.web.de": "smtp.web.de",
    "imap.ionos.de": "smtp.ionos.de",
    "imap.ionos.com": "smtp.ionos.com",
    "imap.1und1.de": "smtp.1und1.de",
    "imap.mailbox.org": "smtp.mailbox.org",
    "posteo.de": "posteo.de",
    "ssl0.ovh.net": "ssl0.ovh.net",
}

# Only Microsoft's public cloud: national ones have other authorities.
_MICROSOFT: Final = frozenset({"outlook.office365.com", "smtp.office365.com", "graph.microsoft.com"})
# Exchange Online takes passwords neither for IMAP nor for POP3 (Microsoft, "Deprecation of Basic
# authentication in Exchange Online"). Its smtp.office365.com still may, where the tenant allows SMTP AUTH.
_OAUTH_ONLY: Final = frozenset({"outlook.office365.com"})
# Personal mailboxes belong to no tenant of that name.
_PERSONAL: Final = frozenset({"outlook.com", "hotmail.com", "live.com", "msn.com"})

# Those of all clouds (Microsoft identity platform, "National clouds"), and older names of the first.
_MICROSOFT_AUTHORITIES: Final = frozenset(
    {
        "login.microsoftonline.com",
        "login.microsoft.com",
        "login.windows.net",
        "login.microsoftonline.us",
        "login.chinacloudapi.cn",
        "login.partner.microsoftonline.cn",
        "login.sovcloud-identity.fr",
        "login.sovcloud-identity.de",
        "login.sovcloud-identity.sg",
    }
)
# Exchange Online's resource for each suffix of a mail host, and what a person's token must be good for
# (Microsoft, "Authenticate an IMAP, POP or SMTP connection using OAuth").
_EXCHANGE: Final = {
    "outlook-dod.office365.us": ("outlook-dod.office365.us", "smtp-dod.office365.us"),
    "outlook.office365.us": ("office365.us",),
    "partner.outlook.cn": ("partner.outlook.cn",),
    "outlook.office365.com": (),  # the public cloud, and whoever is relayed to it
}
_EXCHANGE_SCOPES: Final = {
    "imap": "IMAP.AccessAsUser.All",
    "pop3": "POP.AccessAsUser.All",
    "smtp": "SMTP.Send",
}
# Of a person at Graph, by direction. Another's mailbox takes those with .Shared, which the mailbox's name
# does not tell.
_GRAPH_SCOPES: Final = {"incoming": "Mail.ReadWrite", "outgoing": "Mail.Send"}
# Hosts of authorities for each host of Graph (Microsoft Graph, "National cloud deployments"); the first one
# is what a bare tenant means.
_PUBLIC: Final = ("login.microsoftonline.com", "login.microsoft.com", "login.windows.net")
_GRAPH_LOGINS: Final[dict[str, tuple[str, ...]]] = {
    "graph.microsoft.com": _PUBLIC,
    "graph.microsoft.us": ("login.microsoftonline.us",),
    "dod-graph.microsoft.us": ("login.microsoftonline.us",),
    "microsoftgraph.chinacloudapi.cn": ("login.chinacloudapi.cn", "login.partner.microsoftonline.cn"),
}


def is_microsoft_authority(url: str) -> bool:
    """Whether an authority's address is one of Microsoft's."""
    return (urlsplit(url).hostname or "") in _MICROSOFT_AUTHORITIES


def graph_logins(host: str) -> tuple[str, ...]:
    """Where Microsoft's authorities of the cloud of a Graph are, first the usual one; empty: not known."""
    return _GRAPH_LOGINS.get(host, ())


def default_scopes(authority: str, kind: str, servers: Iterable[tuple[str, str, str]]) -> tuple[str, ...]:
    """What to ask for when the connection says nothing: of others than Microsoft nothing, and their default.

    :param kind: `oauth_client_credentials` or `oauth_device_flow`.
    :param servers: direction, protocol and host of each that the token is for; the service root's for
        `graph`.
    """
    used = list(servers)
    if not is_microsoft_authority(authority) or not used:
        return ()
    _, protocol, host = used[0]
    if protocol == "graph":
        is_application = kind == "oauth_client_credentials"
        names = [".default"] if is_application else [_GRAPH_SCOPES[way] for way, *_ in used]
        return tuple(f"https://{host}/{name}" for name in names)
    resource = next(
        name for name, ends in _EXCHANGE.items() if not ends or any(host.endswith(end) for end in ends)
    )
    if kind == "oauth_client_credentials":
        return (f"https://{resource}/.default",)
    # A person is asked for consent to each: no more than what is used.
    named = "outlook.office.com" if resource == "outlook.office365.com" else resource
    return tuple(f"https://{named}/{_EXCHANGE_SCOPES[protocol]}" for _, protocol, _ in used)


def outgoing_partner(host: str) -> str:
    """The SMTP server that belongs to an incoming host; empty when it is not known."""
    return _PARTNERS.get(host, "")


def reads_by_oauth_only(host: str) -> bool:
    """Whether an IMAP or POP3 server is known to take no passwords."""
    return host in _OAUTH_ONLY


def gives_no_mail_by_device_flow(host: str) -> bool:
    """Whether a server's authority excludes mail from the device flow: Google's list of scopes has none."""
    return host.endswith((".gmail.com", ".googlemail.com"))


def microsoft_tenant(host: str, user: str) -> str:
    """The tenant of a mailbox at Microsoft; empty when the host is another or the user's domain tells none.

    A tenant answers to each of its domains (Microsoft identity platform, "tenant" of an authority).
    """
    _, at, domain = user.lower().rpartition("@")
    return domain if at and host in _MICROSOFT and domain not in _PERSONAL else ""
