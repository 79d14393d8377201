"""What servers really mean when they refuse: the only place where a server's text is compared."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_email_conn.wire import tokens

__all__ = ["Explanation", "explain"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """One text of one server.

    :param status: enhanced status code it comes with; any when empty.
    :param text: in lower case, contained in the server's text; any when empty.
    :param server: who says it.
    :param source: where that is described.
    :param mend: what to do.
    :param sign_in: it is about signing in, even where it comes as an answer to another command.
    :param token_mend: what to do where it refused an access token; empty where nothing particular is known.
    """

    status: str
    text: str
    server: str
    source: str
    mend: str
    sign_in: bool = True
    token_mend: str = ""


_EXCHANGE = "Exchange Online"
_BASIC_ENDS = (
    "https://techcommunity.microsoft.com/blog/exchange/"
    "exchange-online-to-retire-basic-auth-for-client-submission-smtp-auth/4114750"
)
_CLIENT_SUBMISSION = "https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/authenticated-client-smtp-submission"
_ALLOW_SMTP_AUTH = (
    "SMTP AUTH is switched off for the tenant or the mailbox: "
    "an administrator has to allow 'Authenticated SMTP' for it"
)
_CONDITIONAL_ACCESS = (
    "the tenant refuses it (conditional access, or SMTP AUTH switched off for the tenant or the mailbox): "
    "its sign-in log tells an administrator the reason"
)
_USE_OAUTH = "use an OAuth credential or the connection type microsoft365"

# The first row that fits counts, so the more particular one stands first.
_TABLE = (
    Explanation(
        "5.7.139",
        "smtpclientauthentication is disabled",
        _EXCHANGE,
        _CLIENT_SUBMISSION,
        f"{_ALLOW_SMTP_AUTH}, or {_USE_OAUTH}",
        token_mend=_ALLOW_SMTP_AUTH,
    ),
    Explanation(
        "5.7.139",
        "security defaults",
        _EXCHANGE,
        _CLIENT_SUBMISSION,
        f"security defaults of the tenant block passwords: {_USE_OAUTH}",
    ),
    Explanation(
        "5.7.139",
        "basic authentication is disabled",
        _EXCHANGE,
        _BASIC_ENDS,
        f"passwords no longer work for this mailbox: {_USE_OAUTH}",
    ),
    Explanation(
        "5.7.139",
        "",
        _EXCHANGE,
        _CLIENT_SUBMISSION,
        "user or secret is wrong, or the tenant blocks passwords (security defaults, conditional access, "
        f"SMTP AUTH switched off): check them, or {_USE_OAUTH}",
        token_mend=_CONDITIONAL_ACCESS,
    ),
    Explanation("5.7.30", "", _EXCHANGE, _BASIC_ENDS, f"passwords no longer work for sending: {_USE_OAUTH}"),
    Explanation(
        "5.7.57",
        "",
        _EXCHANGE,
        _CLIENT_SUBMISSION,
        "nobody signed in, or 'Authenticated SMTP' is switched off for this mailbox: "
        f"choose a credential for outgoing mail, or {_USE_OAUTH}",
    ),
    Explanation(
        "5.7.3",
        "authentication unsuccessful",
        "Exchange",
        _CLIENT_SUBMISSION,
        "user or secret is wrong, or passwords are switched off for this mailbox: "
        f"check them, or {_USE_OAUTH}",
        token_mend=tokens.exchange("SMTP.Send", "SMTP.SendAsApp"),
    ),
    Explanation(
        "5.7.60",
        "",
        _EXCHANGE,
        "https://learn.microsoft.com/exchange/troubleshoot/email-delivery/send-email-permission-failure",
        "this user may not send as that From address: change from_address, or grant 'Send As'",
        sign_in=False,
    ),
    Explanation(
        "",
        "sendasdenied",
        _EXCHANGE,
        "https://learn.microsoft.com/exchange/troubleshoot/email-delivery/send-email-permission-failure",
        "this user may not send as that From address: change from_address, or grant 'Send As'",
        sign_in=False,
    ),
    Explanation(
        "5.7.9",
        "application-specific password",
        "Gmail",
        "https://support.google.com/mail/?p=InvalidSecondFactor",
        "the account has two-step verification: make an app password for this connection",
    ),
    Explanation(
        "5.7.8",
        "username and password not accepted",
        "Gmail",
        "https://support.google.com/mail/?p=BadCredentials",
        "user or secret is wrong; Gmail takes an app password, never the account's own",
        token_mend=tokens.GMAIL,
    ),
)


def explain(status: str, text: str) -> Explanation | None:
    """The row that fits a refusal, or None.

    :param status: enhanced status code, or empty.
    """
    folded = " ".join(text.lower().split())
    return next(
        (row for row in _TABLE if row.status in {"", status} and (row.text in folded)),
        None,
    )
