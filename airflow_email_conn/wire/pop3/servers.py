"""What servers mean by a refusal: the one table of response codes and texts.

A text counts only where there is no code; each names its server and where it was seen.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_email_conn.errors import AuthenticationError, ServerError, UnavailableError, clean
from airflow_email_conn.wire import tokens

if TYPE_CHECKING:
    from airflow_email_conn.wire.pop3.engine import Answer

__all__ = ["check", "is_transient", "refusal", "sign_in_refusal", "token_refusal"]

_TRANSIENT_CODES = {
    "IN-USE": "another session has the mailbox open",  # RFC 2449 8.1.2
    "LOGIN-DELAY": "the last sign-in was too short a time ago; look less often",  # RFC 2449 8.1.1
    "SYS/TEMP": "the server has a trouble that will pass",  # RFC 3206 4
}
_TRANSIENT_TEXTS = re.compile(
    # Exchange 2010: "-ERR Server Unavailable. 21" (https://jaapwesselius.com/2012/03/)
    r"server unavailable"
    # Dovecot 2.3 that is restarted while somebody signs in: "-ERR Shutting down"
    r"|shutting down"
    # NetEase: "-ERR Can't get the letter ..., try again later" (github.com/zhangyunhao116/zmail, issue 22)
    r"|try again later"
    # qpopper: "-ERR [IN-USE] .lock busy! Is another session active?", older ones without the code
    r"|is another session active",
    re.IGNORECASE,
)
_PERMANENT_MENDS = {
    "AUTH": "check the user and the secret",  # RFC 3206 5
    # RFC 3206 4. Gmail: "-ERR [SYS/PERM] Your account is not enabled for POP access. ..."
    "SYS/PERM": "the account may not use POP3; switch it on in the settings of the mailbox",
    "UTF8": "its name or secret is not ASCII, which this server cannot take",  # RFC 6856 5
}
_APP_PASSWORD = re.compile(
    r"application-specific password"  # Gmail: "-ERR [AUTH] Application-specific password required: ..."
    r"|web login required",  # Gmail: "-ERR [AUTH] Web login required: ..."
    re.IGNORECASE,
)

# Exchange Online, of tokens too: "-ERR Authentication failure: unknown user name or bad password." (the page
# that the mend names)
_EXCHANGE_TOKEN = re.compile(r"authentication failure: unknown user name", re.IGNORECASE)


def is_transient(answer: Answer) -> bool:
    """Whether the same may succeed later."""
    if answer.code:
        return answer.code in _TRANSIENT_CODES
    return answer.kind == "ERR" and bool(_TRANSIENT_TEXTS.search(answer.text))


def refusal(command: str, answer: Answer) -> ServerError:
    """The error for a command that was refused."""
    kind = UnavailableError if is_transient(answer) else ServerError
    why = _TRANSIENT_CODES.get(answer.code)
    code = f" [{answer.code}]" if answer.code in {*_TRANSIENT_CODES, *_PERMANENT_MENDS} else ""
    message = f"the POP3 server refused {command}{code}"
    return kind(f"{message}: {why}" if why else message, answer.text)


def sign_in_refusal(user: str, answer: Answer) -> ServerError:
    """The error for a refused sign-in, with the mend where the server says enough."""
    who = clean(user)  # not its repr, which doubles the backslash of Exchange's users (CORP\robot)
    if is_transient(answer):
        why = _TRANSIENT_CODES.get(answer.code, "the server is busy")
        return UnavailableError(f"the POP3 server cannot take the sign-in of '{who}' now: {why}", answer.text)
    mend = _PERMANENT_MENDS.get(answer.code, "check the user and the secret")
    if _APP_PASSWORD.search(answer.text):
        mend = "this account needs an app password instead of its own"
    return AuthenticationError(f"the POP3 server refused the sign-in of '{who}': {mend}", answer.text)


def token_refusal(user: str, answer: Answer, objection: str) -> ServerError:
    """The error for a refused access token.

    :param objection: what the server explained before; or empty.
    """
    if is_transient(answer):
        return sign_in_refusal(user, answer)
    mend = tokens.advice("POP3")
    if answer.code == "SYS/PERM":
        mend = _PERMANENT_MENDS[answer.code]
    elif _EXCHANGE_TOKEN.search(answer.text):
        mend = tokens.exchange("POP.AccessAsUser.All", "POP.AccessAsApp")
    return AuthenticationError(
        f"the POP3 server refused the access token of '{clean(user)}': {mend}",
        tokens.explained(answer.text, objection),
    )


def check(command: str, answer: Answer) -> None:
    """Nothing for +OK. :raises ServerError: the command was refused."""
    if not answer.ok:
        raise refusal(command, answer)
