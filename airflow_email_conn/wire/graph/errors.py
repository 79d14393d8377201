"""Graph's error answers as errors of ours, by their codes, with the mend. Texts are never compared.

Microsoft Graph: "Microsoft Graph error responses and resource types"; Exchange's codes stand in
"ResponseCode" of Exchange Web Services, whose names Graph's mail part kept.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from airflow_email_conn.errors import (
    AuthenticationError,
    EmailError,
    MailNotFoundError,
    NetworkError,
    ProtocolError,
    RefusedError,
    ServerError,
    UnavailableError,
    clean,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "AccessDeniedError",
    "Asked",
    "FolderExistsError",
    "NothingThereError",
    "OutcomeUnknownError",
    "ResyncError",
    "TooComplexError",
    "TooSlowError",
    "TooSmallError",
    "problem",
]

_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,99}")
_REQUEST_ID: Final = re.compile(r"[0-9A-Za-z-]{8,64}")


class AccessDeniedError(AuthenticationError):
    """The token is good, but not for this."""


class ResyncError(ProtocolError):
    """A delta link is too old: begin with a full round (Graph: "Use delta query to track changes")."""


class TooComplexError(ProtocolError):
    """The filter and the order do not go together, for Exchange."""


class TooSlowError(UnavailableError):
    """It takes the server too long (504): ask for less."""


class NothingThereError(UnavailableError):
    """A bare 404: for a moment, or since the address leads nowhere."""


class FolderExistsError(ProtocolError):
    """A folder of this name is there already."""


class TooSmallError(ProtocolError):
    """A file is too small for an upload session: it goes in one request."""


class OutcomeUnknownError(NetworkError):
    """What a POST asked for may have been done: its answer was lost, or said nothing about that."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for, as far as an error's explanation needs it.

    :param path: below the mailbox, or empty for a link.
    :param mailbox: whose.
    :param where: host and port.
    """

    method: str
    path: str
    mailbox: str
    where: str

    @property
    def permission(self) -> str:
        """Which one it takes (Graph: the table "Permissions" of each page)."""
        if self.path.startswith("/sendMail") or self.path.endswith("/send"):
            return "Mail.Send"
        return "Mail.Read" if self.method == "GET" else "Mail.ReadWrite"


def problem(
    status: int, headers: Mapping[str, str], body: str, asked: Asked, retry_after: float | None
) -> EmailError:
    """The error for an answer that is one.

    :param headers: names in lower case.
    :param body: JSON as a rule; proxies send others.
    :param retry_after: seconds that the server asks to be left alone for.
    """
    code, text, request_id = _told(body)
    request_id = request_id or headers.get("request-id", "")
    named = [code or f"status {status}"]
    if _REQUEST_ID.fullmatch(request_id):
        named.append(f"request-id {request_id}")
    row = _row(status, code)
    message = f"{asked.where}: {row.mend(asked)} ({', '.join(named)})"
    if issubclass(row.error, UnavailableError):
        return row.error(message, text, retry_after)
    return row.error(message, text)


# ------------------------------------------------------------ what the codes mean


@dataclass(frozen=True, slots=True)
class _Row:
    error: type[EmailError]
    mend: Callable[[Asked], str]


def _says(text: str) -> Callable[[Asked], str]:
    return lambda _asked: text


def _permission(asked: Asked) -> str:
    need = asked.permission
    return (
        f"the token may not do that in the mailbox '{clean(asked.mailbox)}': it takes the permission {need}."
        " Of an application: the application permission, with an administrator's consent; or in Exchange the"
        f' role "Application {need}" (RBAC for Applications, New-ManagementRoleAssignment), whose scope must'
        " hold this mailbox. An application access policy may also keep it out. Of a person: the delegated"
        f" permission; {need}.Shared for the mailbox of another, and in Exchange the right to it. What was"
        " granted just now may take up to two hours in Exchange"
    )


def _no_mailbox(asked: Asked) -> str:
    return (
        f"there is no mailbox '{clean(asked.mailbox)}' in Exchange Online: correct user (the mailbox's"
        " address); or its account has no Exchange license, is on-premises, or of another tenant"
    )


def _send_as(asked: Asked) -> str:
    return (
        f"'{clean(asked.mailbox)}' may not send as that From address: change from_address, or grant 'Send As'"
        " or 'Send on Behalf' in Exchange; for another's mailbox a person also needs 'Full Access' to it,"
        " and the permission Mail.Send.Shared"
    )


_TOKEN: Final = _Row(
    AuthenticationError,
    _says(
        "the access token is not taken: it has to be for Microsoft Graph of this cloud (scopes, authority and"
        " graph_url go together), and of the tenant that has the mailbox"
    ),
)
_DENIED: Final = _Row(AccessDeniedError, _permission)
_NO_MAILBOX: Final = _Row(AuthenticationError, _no_mailbox)
_GONE: Final = _Row(MailNotFoundError, _says("it is not there any more: moved, or deleted"))
_RESYNC: Final = _Row(ResyncError, _says("the position is too old for the server"))
_SEND_AS: Final = _Row(RefusedError, _send_as)
_TOO_LARGE: Final = _Row(
    RefusedError,
    _says(
        "the mail is larger than the mailbox may send (35 MB as a rule; an administrator can raise it to 150)"
    ),
)
_RECIPIENTS: Final = _Row(RefusedError, _says("a recipient's address is not taken: correct to, cc or bcc"))
_TOO_MANY: Final = _Row(RefusedError, _says("the mailbox may not send to so many recipients"))
_BLOCKED: Final = _Row(RefusedError, _says("the mailbox has sent too much and may not send for a while"))
_FULL: Final = _Row(ServerError, _says("the mailbox is full: make room"))
_THROTTLED: Final = _Row(
    UnavailableError, _says("too many requests to this mailbox, by this application as a whole")
)
_BUSY: Final = _Row(UnavailableError, _says("it cannot answer now"))
_TOO_SLOW: Final = _Row(TooSlowError, _says("it cannot answer in time"))
_NOWHERE: Final = _Row(
    NothingThereError,
    _says("it finds nothing there, and does not say what; if it goes on, correct graph_url"),
)
_CONFLICT: Final = _Row(UnavailableError, _says("somebody else changes it at the same time"))
_REFUSED: Final = _Row(ProtocolError, _says("it does not take the request"))

# In lower case: their spelling varies.
_CODES: Final[dict[str, _Row]] = {
    "invalidauthenticationtoken": _TOKEN,
    "compacttoken": _TOKEN,
    "erroraccessdenied": _DENIED,
    "accessdenied": _DENIED,
    "authorization_requestdenied": _DENIED,
    "erroritemnotfound": _GONE,
    "errorinvalididmalformed": _GONE,
    "errorfoldernotfound": _GONE,
    "itemnotfound": _GONE,
    "mailboxnotenabledforrestapi": _NO_MAILBOX,
    "mailboxnotsupportedforrestapi": _NO_MAILBOX,
    "mailboxnothostedinexchangeonline": _NO_MAILBOX,
    "errorinvaliduser": _NO_MAILBOX,
    "errornonexistentmailbox": _NO_MAILBOX,
    "request_resourcenotfound": _NO_MAILBOX,
    "resourcenotfound": _NO_MAILBOX,
    "syncstatenotfound": _RESYNC,
    "syncstateinvalid": _RESYNC,
    "resyncrequired": _RESYNC,
    "errorsendasdenied": _SEND_AS,
    "errormessagesizeexceeded": _TOO_LARGE,
    "requestentitytoolarge": _TOO_LARGE,
    "errorinvalidrecipients": _RECIPIENTS,
    "errorexceededmaxrecipientlimitserver": _TOO_MANY,
    "errorexceededmessagelimit": _BLOCKED,
    "errormessagesubmissionblocked": _BLOCKED,
    "errorquotaexceeded": _FULL,
    "inefficientfilter": _Row(TooComplexError, _says("the filter is too complex for it")),
    "errorfolderexists": _Row(FolderExistsError, _says("there is a folder of this name")),
    "errorattachmentsizeshouldnotbelessthanminimumsize": _Row(
        TooSmallError, _says("the file is too small for an upload session")
    ),
    "errorattachmentsizelimitexceeded": _TOO_LARGE,
    "errorirresolvableconflict": _CONFLICT,
    "applicationthrottled": _THROTTLED,
    "toomanyrequests": _THROTTLED,
    "errortoomanyobjectsopened": _THROTTLED,
    "errorserverbusy": _BUSY,
    "errormailboxstoreunavailable": _BUSY,
    "errorinternalservertransienterror": _BUSY,
    "serviceunavailable": _BUSY,
    "servicenotavailable": _BUSY,
}
_STATUSES: Final[dict[int, _Row]] = {
    401: _TOKEN,
    403: _DENIED,
    404: _NOWHERE,
    408: _BUSY,
    409: _CONFLICT,
    410: _RESYNC,
    412: _CONFLICT,
    413: _TOO_LARGE,
    423: _BUSY,
    429: _THROTTLED,
    504: _TOO_SLOW,
    509: _THROTTLED,
}


def _row(status: int, code: str) -> _Row:
    """A code says more than a status, but for those of throttling, which come with any code."""
    if status in {429, 503, 504, 509}:
        return _STATUSES.get(status, _BUSY)
    found = _CODES.get(code.lower()) or _STATUSES.get(status)
    return found or (_BUSY if status >= 500 else _REFUSED)


def _told(body: str) -> tuple[str, str, str]:
    """Code, text and request-id of an error's body; each empty where it is not there."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return "", "", ""
    error = found.get("error") if isinstance(found, dict) else None
    if not isinstance(error, dict):
        return "", "", ""
    code = _text(error.get("code"))
    inner = error.get("innerError") or error.get("innererror")
    request_id = _text(inner.get("request-id")) if isinstance(inner, dict) else ""
    return code if _CODE.fullmatch(code) else "", _text(error.get("message")), request_id


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
