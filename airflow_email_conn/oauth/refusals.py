"""What authorities say when they refuse: their errors as ours, with the mend. Only here are they read."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus

from airflow_email_conn.errors import (
    AuthenticationError,
    EmailError,
    ProtocolError,
    SignInRequiredError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow_email_conn.model.server import OAuth

__all__ = ["Asked", "json_object", "misled", "refusal"]


class Asked(Enum):
    """What the authority was asked for: the same code means something else for each."""

    APPLICATION = "a token for an application"
    CODE = "a code for a person"
    SIGN_IN = "whether the person is done"
    REFRESH = "a new token for a person's"


@dataclass(frozen=True, slots=True)
class _Row:
    """What one code means.

    :param mend: names the field.
    :param error: which of ours it is.
    """

    mend: str
    error: type[AuthenticationError | UnavailableError] = AuthenticationError


_AGAIN: Final = _Row("the sign-in has ended", SignInRequiredError)
_CONSENT: Final = _Row(
    "the application has no consent for these scopes: an administrator must grant it (API permissions), or a"
    " person at the sign-in"
)
_BLOCKED: Final = _Row(
    "a Conditional Access policy stops this sign-in, as many tenants do with the device flow: ask for an"
    " exception, or use oauth_client_credentials"
)
# Microsoft, "Microsoft Entra authentication and authorization error codes".
_MICROSOFT: Final[dict[int, _Row]] = {
    7000215: _Row("the client secret is wrong: enter its Value, not its Secret ID (password)"),
    7000222: _Row("the client secret has expired: make a new one and enter its Value (password)"),
    7000216: _Row("the client secret, certificate or assertion is missing (password)"),
    7000218: _Row("the application is not open to the device flow: set 'Allow public client flows' to yes"),
    700016: _Row("no application of this id in the tenant: correct client_id, or authority"),
    700027: _Row(
        "the certificate is not one of the application's: upload its public part there, or replace it"
    ),
    700024: _Row(
        "the assertion or the certificate's signature is outside its time: check this machine's clock"
    ),
    700213: _Row("no federated credential of the application fits the assertion's issuer and subject"),
    70021: _Row("no federated credential of the application fits the assertion's issuer and subject"),
    90002: _Row("no such tenant: correct authority"),
    900023: _Row("no such tenant: correct authority"),
    50059: _Row("the tenant is missing: enter it as authority"),
    70011: _Row("a scope is not valid: correct scopes"),
    1002012: _Row("an application asks for everything it was granted: scopes must end in /.default"),
    28002: _Row("scopes of one resource only can be asked for at a time: correct scopes"),
    500011: _Row("the tenant does not know the resource of the scope: correct scopes"),
    501051: _Row("the application is not assigned to a role of the resource"),
    65001: _CONSENT,
    65004: _Row("the person did not consent"),
    90094: _CONSENT,
    50105: _Row("the person is not assigned to the application: assign them (Enterprise applications)"),
    50034: _Row("no such account in the tenant"),
    50057: _Row("the account is disabled"),
    50053: _Row("the account is locked, or this address is blocked"),
    53000: _BLOCKED,
    53001: _BLOCKED,
    53003: _BLOCKED,
    50097: _BLOCKED,
    50005: _BLOCKED,
    530003: _BLOCKED,
    70043: _AGAIN,  # the sign-in frequency of a policy
    70008: _AGAIN,
    700082: _AGAIN,  # not used for 90 days
    700084: _AGAIN,
    50173: _AGAIN,  # the password was changed
    50078: _AGAIN,
    50076: _AGAIN,
    50079: _AGAIN,
    50158: _AGAIN,
    50196: _Row("the authority sees a loop of requests and refuses for a while", UnavailableError),
    90033: _Row("the authority cannot answer now", UnavailableError),
    90055: _Row("the authority gets too many requests from this tenant", UnavailableError),
}
# RFC 6749 5.2, RFC 8628 3.5, OpenID Connect Core 3.1.2.6.
_STANDARD: Final[dict[str, _Row]] = {
    "invalid_client": _Row(
        "the authority does not know the client, or its secret, certificate or assertion: check client_id and"
        " password"
    ),
    "unauthorized_client": _Row("the client may not sign in this way: allow the flow at the authority"),
    "invalid_grant": _AGAIN,
    "invalid_scope": _Row("a scope is unknown, or the client may not ask for it: correct scopes"),
    "invalid_target": _Row("the resource of the scopes is unknown: correct scopes"),
    "unsupported_grant_type": _Row("the authority does not offer this flow: choose another credential"),
    "invalid_request": _Row("the authority does not understand the request: check authority and scopes"),
    "access_denied": _Row("the person, or a policy, declined"),
    "authorization_declined": _Row("the person declined"),
    "expired_token": _Row("the code has expired before anybody entered it: begin again"),
    "code_expired": _Row("the code has expired before anybody entered it: begin again"),
    "bad_verification_code": _Row("the authority does not know the code: begin again"),
    "interaction_required": _AGAIN,
    "login_required": _AGAIN,
    "consent_required": _CONSENT,
    "temporarily_unavailable": _Row("the authority cannot answer now", UnavailableError),
    "server_error": _Row("the authority failed", UnavailableError),
    "slow_down": _Row("the authority is asked too often", UnavailableError),
}
_UNKNOWN: Final = _Row("the authority refused")
# What the above mean where no sign-in of a person could have ended.
_OTHERWISE: Final[dict[tuple[_Row, Asked], _Row]] = {
    (_AGAIN, Asked.APPLICATION): _Row(
        "the authority does not take the assertion: check the certificate, the assertion file, and this"
        " machine's clock"
    ),
    (_AGAIN, Asked.CODE): _UNKNOWN,
    (_AGAIN, Asked.SIGN_IN): _Row("the authority does not take the code: begin again"),
    (_CONSENT, Asked.REFRESH): _Row(_CONSENT.mend, SignInRequiredError),
}
_CODE: Final = re.compile(r"\bAADSTS([0-9]{4,8})\b")
_NAME: Final = re.compile(r"[a-z_]{1,40}")
_CORRELATION: Final = re.compile(r"[0-9A-Za-z-]{8,36}")
# Longer than any word, and than the ids (36) that help to find a request: perhaps a token.
_SECRETIVE: Final = re.compile(r"[A-Za-z0-9+/=_.~!*$%-]{40,}")
_MAX_DESCRIPTION: Final = 2000  # characters; Microsoft's longest have 600


# How the messages of MSAL's ValueErrors begin. What follows are addresses, which may have any word in them.
_NO_DEVICE_FLOW: Final = "You need to provide device authorization endpoint"
_OTHER_ISSUER: Final = "The issuer '"
_NOT_FOUND: Final = ("Unable to get OIDC authority configuration", "Unable to get authority configuration")


def refusal(result: Mapping[str, Any], oauth: OAuth, asked: Asked, secrets: Iterable[str] = ()) -> EmailError:
    """The error for what MSAL returned in the place of a token.

    Its message has the authority's own code and the correlation id; what the authority said beside is in
    `server_text`, without anything that could be a secret.

    :param secrets: that were sent, and are not shown if the authority repeats them.
    """
    hidden = _without(secrets)
    error = hidden(result.get("error"))
    # In this order: a cut could leave a piece of a secret that is too short to be taken for one.
    described = _SECRETIVE.sub("***", hidden(result.get("error_description")))[:_MAX_DESCRIPTION]
    codes = [int(code) for code in _CODE.findall(described)]
    row = next((_MICROSOFT[code] for code in codes if code in _MICROSOFT), None)
    if row is None and str(result.get("suberror")) in {"bad_token", "token_expired"}:
        row = _AGAIN
    row = row or _STANDARD.get(error, _UNKNOWN)
    row = _OTHERWISE.get((row, asked), row)
    named = [f"AADSTS{codes[0]}"] if codes else [error] if _NAME.fullmatch(error) else []
    correlation = hidden(result.get("correlation_id") or result.get("_correlation_id"))
    if _CORRELATION.fullmatch(correlation):
        named.append(f"correlation id {correlation}")
    message = f"{row.mend} ({oauth.authority}{': ' if named else ''}{', '.join(named)})"
    return row.error(message, described)


def _without(secrets: Iterable[str]) -> Callable[[Any], str]:
    """Makes a text of anything, with `***` for each secret, also as it stands in a form."""
    forms = {form for secret in secrets if secret for form in (secret, quote_plus(secret))}
    longest_first = sorted(forms, key=len, reverse=True)

    def hidden(value: Any) -> str:
        text = "" if value is None else str(value)
        for form in longest_first:
            text = text.replace(form, "***")
        return text

    return hidden


def misled(failure: ValueError, oauth: OAuth) -> EmailError:
    """The error for a ValueError of MSAL's: discovery failed, or no JSON."""
    text = str(failure)
    if text.startswith(_NO_DEVICE_FLOW):
        return AuthenticationError(
            f"{oauth.authority} does not offer the device flow; choose another credential"
        )
    if text.startswith(_OTHER_ISSUER):
        return ProtocolError(
            f"{oauth.authority} tells of itself under the name of another: correct authority"
        )
    if text.startswith(_NOT_FOUND):
        return AuthenticationError(
            f"no authority is found at {oauth.authority}: correct authority (tenant, or issuer's address)"
        )
    return ProtocolError(f"{oauth.authority} answered something that makes no sense")


def json_object(text: str) -> dict[str, Any]:
    """A JSON object, empty when the text is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
