"""What to tell people when a server does not take an access token, whichever protocol they use."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_email_conn.errors import DeadlineError, NetworkError, clean
from airflow_email_conn.wire import sasl

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["GMAIL", "advice", "demand", "exchange", "explained", "who_hangs_up"]

# What Google's description of XOAUTH2 asks for.
GMAIL = (
    "user has to be the account of the token, and the token needs the scope https://mail.google.com/; "
    "see https://developers.google.com/workspace/gmail/imap/xoauth2-protocol"
)


def exchange(person: str, application: str) -> str:
    """What Exchange Online asks for, by Microsoft's description.

    :param person: the permission that a person's token needs, and `application` that of an application's.
    """
    return (
        f"user has to be the mailbox, the token needs the permission {person} (a person's) or {application} "
        "(an application's), and an application has to be registered in Exchange, by the object id of its "
        "enterprise application, with the right to this mailbox; see https://learn.microsoft.com/exchange/"
        "client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth"
    )


def advice(switch: str) -> str:
    """What to look at when a server refuses a token and nothing particular is known.

    :param switch: what may be off at the mailbox.
    """
    return (
        "check that user is the mailbox, that the token is meant for it (its permission or scope; for an "
        f"application also its right to this mailbox), and that {switch} is switched on for it"
    )


def demand(protocol: str, offered: Collection[str]) -> str:
    """Why a server without a mechanism for tokens cannot be used, and what to do.

    :param offered: the mechanisms that it has.
    """
    offers = sasl.named(offered) if offered else "no sign-in"
    return (
        f"the {protocol} server takes no access tokens; it offers {offers}, not OAUTHBEARER or XOAUTH2: "
        "choose credential 'secret', or have OAuth switched on at the server"
    )


def explained(text: str, objection: str) -> str:
    """A refusal together with what the server explained before. :param objection: or empty."""
    return f"{text} ({objection})" if objection else text


@contextmanager
def who_hangs_up(user: str) -> Iterator[None]:
    """Say what a lost connection may mean, just when a token was sent.

    Dovecot hangs up when an application's token is good but there is no such mailbox. It does the same when
    its storage is out of order, so this stays a NetworkError: what passes must not fail for good.

    :raises NetworkError: in place of the one within; a DeadlineError stays as it is.
    """
    try:
        yield
    except DeadlineError:
        raise
    except NetworkError as exc:
        raise NetworkError(
            f"{exc.message}, when it had the access token of '{clean(user)}': "
            "if it does so every time, there may be no such mailbox"
        ) from exc
