"""What servers mean by a refusal: the one table of response codes and texts.

Only what a code does not say is read from a text; each text names its server and where it was seen.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_email_conn.errors import AuthenticationError, ServerError, UnavailableError, clean
from airflow_email_conn.wire import tokens

if TYPE_CHECKING:
    from airflow_email_conn.wire.imap.engine import Status

__all__ = [
    "check",
    "fetch_refusal",
    "is_gone",
    "is_missing_folder",
    "is_throttling",
    "is_transient",
    "refusal",
    "sign_in_refusal",
    "token_refusal",
    "unavailable",
]

# RFC 5530 3 and RFC 9051 7.1: "try again later" rather than "no".
_TRANSIENT_CODES = frozenset({"UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG", "THROTTLED"})
_TRANSIENT_TEXTS = re.compile(
    r"throttled"  # Exchange: "Request is throttled. Suggested Backoff Time: 299961 milliseconds"
    # (imapsync#212, #272)
    r"|too many (?:simultaneous )?connections"  # Gmail: "[ALERT] Too many simultaneous connections.
    # (Failure)" (wildduck#35)
    r"|maximum number of connections"  # Dovecot: "[UNAVAILABLE] Maximum number of connections from user+IP
    # exceeded (mail_max_userip_connections=16)", from some versions without the code (node-imap#606)
    r"|exceeded command or bandwidth limits"  # Gmail: "[OVERQUOTA] Account exceeded command or bandwidth
    # limits." (ha-email-sensor#16)
    r"|authenticated but not connected"  # Exchange Online: "BAD User is authenticated but not connected."
    # (node-imap#523, #689)
    r"|server unavailable",  # Exchange: "NO Server Unavailable. 15" (imapfilter#146), also as BYE
    re.IGNORECASE,
)
# Not among them: Yahoo's "Server error - Please try again later", which stays with one mail for ever
# (imap-backup#218).
# Exchange, as above; the figure has been seen between 100 and 300,000.
_BACK_OFF = re.compile(r"suggested backoff time: (\d{1,9}) milliseconds", re.IGNORECASE)
# RFC 5530 3: NONEXISTENT; RFC 9051 7.1: TRYCREATE comes with COPY and MOVE to a missing folder.
_MISSING_FOLDER_CODES = frozenset({"NONEXISTENT", "TRYCREATE"})

_SIGN_IN_MENDS = {  # RFC 5530 3
    "PRIVACYREQUIRED": "it demands encryption: choose 'starttls' or 'tls' as the incoming security",
    "EXPIRED": "the password has expired",
    "CONTACTADMIN": "the mailbox is blocked; ask its administrator",
    "AUTHORIZATIONFAILED": "the user may not use this mailbox",
}
# Those of them that are not about a password.
_TOKEN_MENDS = {code: _SIGN_IN_MENDS[code] for code in ("CONTACTADMIN", "AUTHORIZATIONFAILED")}
_APP_PASSWORD = re.compile(
    r"application-specific password"  # Gmail: "[ALERT] Application-specific password required: ..."
    r"|web login required",  # Gmail: "[WEBALERT ...] Web login required."
    re.IGNORECASE,
)


# What servers say of access tokens that they refuse, in lower case.
_TOKEN_TEXTS = (
    # Exchange Online: "NO AUTHENTICATE failed." (the page that the mend names)
    ("authenticate failed", tokens.exchange("IMAP.AccessAsUser.All", "IMAP.AccessAsApp")),
    # Gmail: "[ALERT] Your account is not enabled for IMAP use. ..." (https://support.google.com/mail/answer/7126229)
    ("not enabled for imap", "IMAP is switched off in the settings of the mailbox"),
    # Gmail says this of tokens and of passwords, with the code AUTHENTICATIONFAILED
    ("invalid credentials (failure)", tokens.GMAIL),
)


def is_transient(status: Status) -> bool:
    """Whether the same may succeed later."""
    return status.kind == "BYE" or _asks_for_patience(status)


def is_throttling(status: Status) -> bool:
    """Whether the server wants to be left alone, not about one mail but by this client.

    A BYE alone does not say so: it may be about the mail that was asked for (Dovecot: "BYE FETCH failed").
    """
    return status.kind != "OK" and status.code != "SERVERBUG" and _asks_for_patience(status)


def _asks_for_patience(status: Status) -> bool:
    return status.code in _TRANSIENT_CODES or bool(_TRANSIENT_TEXTS.search(status.text))


def is_missing_folder(status: Status) -> bool:
    """Whether a code says that the folder does not exist."""
    return status.code in _MISSING_FOLDER_CODES


def is_gone(status: Status) -> bool:
    """Whether some of the mails that a command named are gone (RFC 5530 3)."""
    return status.code == "EXPUNGEISSUED"


def refusal(command: str, status: Status, mend: str = "") -> ServerError:
    """The error for a command that was answered NO, BAD or BYE, with what the user can do about it."""
    message = f"the IMAP server refused {command} ({status.kind}{_code(status)})"
    if is_transient(status):
        return unavailable(message, status)
    return ServerError(f"{message}: {mend}" if mend else message, status.text)


def fetch_refusal(status: Status) -> ServerError:
    """The error for a refused FETCH of one mail: SERVERBUG is about that mail, and stays with it."""
    if is_throttling(status):
        return refusal("FETCH", status)
    return ServerError(f"the IMAP server refused FETCH ({status.kind}{_code(status)})", status.text)


def unavailable(message: str, status: Status) -> UnavailableError:
    """The error for a server that wants to be left alone, with the time for which it does."""
    match = _BACK_OFF.search(status.text)
    seconds = int(match[1]) / 1000 if match else None
    if seconds:
        message = f"{message}; it asks to be left alone for {seconds:.0f} s"
    return UnavailableError(message, status.text, seconds)


def sign_in_refusal(user: str, status: Status) -> ServerError:
    """The error for a refused sign-in, with the mend where the server says enough."""
    if is_transient(status):
        return unavailable(f"the IMAP server cannot take the sign-in of '{clean(user)}' now", status)
    mend = _SIGN_IN_MENDS.get(status.code, "check the user and the secret")
    if _APP_PASSWORD.search(status.text):
        mend = "this account needs an app password instead of its own"
    # Not its repr, which doubles the backslash of Exchange's users (CORP\robot).
    return AuthenticationError(f"the IMAP server refused the sign-in of '{clean(user)}': {mend}", status.text)


def token_refusal(user: str, status: Status, objection: str) -> ServerError:
    """The error for a refused access token.

    :param objection: what the server explained before; or empty.
    """
    if is_transient(status):
        return unavailable(f"the IMAP server cannot take the sign-in of '{clean(user)}' now", status)
    text = status.text.lower()
    known = next((mend for part, mend in _TOKEN_TEXTS if part in text), "")
    mend = known or _TOKEN_MENDS.get(status.code) or tokens.advice("IMAP")
    return AuthenticationError(
        f"the IMAP server refused the access token of '{clean(user)}': {mend}",
        tokens.explained(status.text, objection),
    )


def _code(status: Status) -> str:
    return f" [{status.code}]" if status.code else ""


def check(command: str, status: Status) -> None:
    """Nothing for OK. :raises ServerError: the command was refused."""
    if status.kind != "OK":
        raise refusal(command, status)
