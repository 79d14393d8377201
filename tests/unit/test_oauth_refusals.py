"""What authorities say when they refuse, as our errors; and what an access token says of itself."""

from __future__ import annotations

import base64
import json
import re
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn.errors import AuthenticationError, EmailError, SignInRequiredError, UnavailableError
from airflow_email_conn.model.server import OAuth
from airflow_email_conn.oauth.claims import mismatch
from airflow_email_conn.oauth.refusals import Asked, refusal

OAUTH = OAuth("https://login.microsoftonline.com/contoso.com", "11111111-2222-3333-4444-555555555555")
#: Only of a refresh is a person told to sign in again.
ASKED = {
    AuthenticationError: Asked.SIGN_IN,
    SignInRequiredError: Asked.REFRESH,
    UnavailableError: Asked.APPLICATION,
}
CORRELATION = "0d4f1a3c-5b7e-4c55-9d0b-3f2f6f1f6a11"
TRACE = f"Trace ID: 3f5b8a0e-6b1d-4b53-8a7c-2f4b1c9d0e00 Correlation ID: {CORRELATION}"
PERSON = "person@contoso.com"


def of_microsoft(error: str, code: int, text: str, **more: Any) -> dict[str, Any]:
    """What MSAL returns of a refusal of Microsoft's."""
    return {
        "error": error,
        "error_description": f"AADSTS{code}: {text} {TRACE} Timestamp: 2026-03-02 10:11:12Z",
        "error_codes": [code],
        "timestamp": "2026-03-02 10:11:12Z",
        "trace_id": "3f5b8a0e-6b1d-4b53-8a7c-2f4b1c9d0e00",
        "correlation_id": CORRELATION,
        "error_uri": f"https://login.microsoftonline.com/error?code={code}",
        **more,
    }


@pytest.mark.parametrize(
    ("error", "code", "text", "kind", "mend"),
    [
        (
            "invalid_client",
            7000215,
            "Invalid client secret provided.",
            AuthenticationError,
            "Value.*password",
        ),
        (
            "invalid_client",
            7000222,
            "The provided client secret keys are expired.",
            AuthenticationError,
            "new",
        ),
        ("unauthorized_client", 700016, "Application was not found.", AuthenticationError, "client_id"),
        ("invalid_client", 7000218, "The body must contain client_assertion.", AuthenticationError, "public"),
        ("invalid_grant", 65001, "The user has not consented.", AuthenticationError, "consent"),
        ("access_denied", 53003, "Blocked by Conditional Access.", AuthenticationError, "Conditional Access"),
        ("invalid_request", 90002, "Tenant 'contoso.com' not found.", AuthenticationError, "authority"),
        ("invalid_scope", 70011, "The provided value for scope is not valid.", AuthenticationError, "scopes"),
        ("expired_token", 70020, "The device code is too old.", AuthenticationError, "begin again"),
        ("invalid_grant", 700082, "The refresh token has expired.", SignInRequiredError, "has ended"),
        ("invalid_grant", 50173, "The provided grant has expired.", SignInRequiredError, "has ended"),
        ("invalid_grant", 70043, "The refresh token has expired.", SignInRequiredError, "has ended"),
        ("invalid_grant", 50196, "A request loop was detected.", UnavailableError, "loop"),
        ("temporarily_unavailable", 90033, "A transient error.", UnavailableError, "cannot answer now"),
        ("invalid_client", 999999, "Something new.", AuthenticationError, "client_id.*password"),
    ],
)
def test_microsoft(error: str, code: int, text: str, kind: type[EmailError], mend: str) -> None:
    """The right kind, the code and the correlation id to look for, and the mend."""
    found = refusal(of_microsoft(error, code, text), OAUTH, ASKED[kind])
    assert type(found) is kind
    assert re.search(mend, found.message)
    assert f"AADSTS{code}" in found.message
    assert CORRELATION in found.message
    assert OAUTH.authority in found.message
    assert text not in found.message
    assert text in found.server_text


@pytest.mark.parametrize(
    ("error", "kind", "mend"),
    [
        ("invalid_client", AuthenticationError, "check client_id and password"),
        ("unauthorized_client", AuthenticationError, "allow the flow"),
        ("invalid_scope", AuthenticationError, "correct scopes"),
        ("access_denied", AuthenticationError, "declined"),
        ("expired_token", AuthenticationError, "begin again"),
        ("invalid_grant", SignInRequiredError, "has ended"),
        ("temporarily_unavailable", UnavailableError, "cannot answer now"),
        ("no_such_error", AuthenticationError, "the authority refused"),
    ],
)
def test_standard(error: str, kind: type[EmailError], mend: str) -> None:
    """The right kind, the authority's own name for it, and the mend."""
    found = refusal({"error": error, "error_description": "In words."}, OAUTH, ASKED[kind])
    assert type(found) is kind
    assert re.search(mend, found.message)
    assert found.message.endswith(f"({OAUTH.authority}: {error})")
    assert found.retryable == (kind is UnavailableError)
    assert found.server_text == "In words."


@pytest.mark.parametrize("suberror", ["bad_token", "token_expired"])
def test_a_dead_grant_under_another_name(suberror: str) -> None:
    """Microsoft's detail says that the sign-in has ended, whatever the error is called."""
    found = refusal(of_microsoft("interrupted", 999999, "New.", suberror=suberror), OAUTH, Asked.REFRESH)
    assert type(found) is SignInRequiredError


# The letters of client secrets and of tokens, those of personal accounts too.
_SECRETS = st.text(string.ascii_letters + string.digits + "+/=_.~-!*$%", min_size=40, max_size=120)
_WORDS = st.text("ab .,:'\\n\\x00ü", max_size=60)


@given(st.lists(_WORDS, min_size=1, max_size=4), _SECRETS, st.integers(1, 60), st.integers(0, 2100))
def test_no_secret_is_shown(words: list[str], secret: str, times: int, before: int) -> None:
    """Neither the whole nor a piece of what looks like a secret, wherever it stands, however often."""
    described = " " * before + f" {secret} ".join(words * times)
    found = refusal({"error": "invalid_client", "error_description": described}, OAUTH, Asked.APPLICATION)
    pieces = {secret[start : start + 20] for start in range(20)}
    assert not [piece for piece in pieces if piece in f"{found} {found!r} {found.args!r} {vars(found)!r}"]


@pytest.mark.parametrize("name", ["error", "correlation_id", "suberror", "error_codes"])
def test_no_secret_in_another_place(name: str) -> None:
    """What should be a code is shown only if it looks like one."""
    secret = "Aa1-" * 12
    found = refusal({"error": "invalid_client", name: secret}, OAUTH, Asked.APPLICATION)
    assert secret not in f"{found} {found!r}"


_RUBBISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_NAMES = st.sampled_from(["error", "error_description", "suberror", "correlation_id", "error_codes"])


@given(st.dictionaries(_NAMES, _RUBBISH))
def test_rubbish_is_a_refusal_too(result: dict[str, Any]) -> None:
    """Whatever the types are."""
    for asked in Asked:
        assert isinstance(refusal(result, OAUTH, asked), EmailError)


# ------------------------------------------------------------ tokens

EXCHANGE = {"iss": "https://sts.windows.net/contoso/", "aud": "https://outlook.office365.com"}
APPLICATION = {**EXCHANGE, "idtyp": "app", "roles": ["IMAP.AccessAsApp"]}
AT_GRAPH = {"aud": "https://graph.microsoft.com"}
SIGNED_IN = {**EXCHANGE, "scp": "openid IMAP.AccessAsUser.All", "upn": PERSON}


def token_of(claims: Any) -> str:
    """A JWT, not signed."""
    header, payload = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "none"}, claims)
    )
    return f"{header}.{payload}.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("claims", "protocol", "why"),
    [
        ({**APPLICATION, "aud": "https://graph.microsoft.com/"}, "imap", "for Microsoft Graph: scopes"),
        (
            {**APPLICATION, "aud": "00000003-0000-0000-c000-000000000000"},
            "imap",
            "for Microsoft Graph: scopes",
        ),
        ({**APPLICATION, "aud": "00000003-0000-0ff1-ce00-000000000000"}, "imap", "not for Exchange Online"),
        (
            {**APPLICATION, "aud": "https://vault.azure.net"},
            "imap",
            "not for Exchange Online: correct scopes",
        ),
        ({**APPLICATION, "roles": ["Mail.Read"]}, "imap", "application permission IMAP.AccessAsApp"),
        ({**APPLICATION, "roles": "IMAP.AccessAsApp"}, "imap", "application permission IMAP.AccessAsApp"),
        (APPLICATION, "pop3", "application permission POP.AccessAsApp"),
        (APPLICATION, "smtp", "application permission SMTP.SendAsApp"),
        (APPLICATION, "imap", "New-ServicePrincipal"),
        ({**APPLICATION, "aud": "00000002-0000-0ff1-ce00-000000000000"}, "imap", "New-ServicePrincipal"),
        ({**SIGNED_IN, "scp": "openid SMTP.Send"}, "imap", "the permission IMAP.AccessAsUser.All"),
        (SIGNED_IN, "pop3", "the permission POP.AccessAsUser.All"),
        (SIGNED_IN, "smtp", "the permission SMTP.Send"),
        ({**SIGNED_IN, "upn": "other@contoso.com"}, "imap", "is of other@contoso.com, who needs full access"),
        (APPLICATION, "graph", "not for Microsoft Graph: scopes"),
        (
            {**APPLICATION, **AT_GRAPH, "roles": ["Mail.Read", "User.Read.All"]},
            "graph",
            "application permissions Mail.Read",
        ),
        ({**APPLICATION, **AT_GRAPH}, "graph", "no application permission for mail: only Exchange"),
        ({**APPLICATION, **AT_GRAPH, "roles": "Mail.Read"}, "graph", "no application permission for mail"),
        (
            {**APPLICATION, "aud": "https://dod-graph.microsoft.us/", "roles": ["Mail.Send"]},
            "graph",
            "permissions Mail.Send",
        ),
        ({**SIGNED_IN, **AT_GRAPH}, "graph", "no delegated permission for mail: grant it, and sign in again"),
        (
            {**SIGNED_IN, **AT_GRAPH, "scp": "Mail.Send Mail.Read", "upn": "other@contoso.com"},
            "graph",
            "delegated permissions Mail.Read, Mail.Send; the token is of other@contoso.com",
        ),
    ],
)
def test_mismatch(claims: dict[str, Any], protocol: str, why: str) -> None:
    """What is wrong with a token of Microsoft's, and what to do."""
    assert why in mismatch(token_of(claims), protocol, PERSON)


@pytest.mark.parametrize(
    "claims",
    [
        SIGNED_IN,
        {**SIGNED_IN, "upn": PERSON.upper()},
        {**APPLICATION, "iss": "https://accounts.google.com", "aud": "other"},
        {**APPLICATION, "iss": "https://login.example.com/", "aud": "other"},
        {"aud": "https://graph.microsoft.com"},
        [],
        None,
    ],
)
def test_nothing_to_say(claims: Any) -> None:
    """The token fits, or is not one of Microsoft's."""
    assert mismatch(token_of(claims), "imap", PERSON) == ""


@given(
    st.dictionaries(st.sampled_from(["aud", "scp", "roles", "idtyp", "upn", "unique_name"]), _RUBBISH),
    st.just(EXCHANGE["iss"]) | _RUBBISH,
)
def test_rubbish_claims(claims: dict[str, Any], issuer: Any) -> None:
    """Whatever the types are."""
    for audience in ({}, {"aud": EXCHANGE["aud"]}):
        assert isinstance(mismatch(token_of({**claims, "iss": issuer, **audience}), "imap", PERSON), str)


@given(st.text() | st.builds("{}.{}.{}".format, st.text(), st.text(), st.text()))
def test_rubbish_tokens(token: str) -> None:
    """An opaque token tells nothing."""
    assert mismatch(token, "smtp", PERSON) == ""


def test_a_deep_token() -> None:
    """It must not be the end of the process."""
    payload = base64.urlsafe_b64encode(b"[" * 40_000).decode()
    assert mismatch(f"a.{payload}.b", "imap", PERSON) == ""
