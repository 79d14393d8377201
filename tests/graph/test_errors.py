"""Graph's error answers as errors of ours."""

from __future__ import annotations

import base64
import json
import pickle
from typing import TYPE_CHECKING

import pytest

from airflow_email_conn.errors import (
    AuthenticationError,
    EmailError,
    MailNotFoundError,
    ProtocolError,
    RefusedError,
    ServerError,
    UnavailableError,
)
from airflow_email_conn.wire.graph import paths, ranges
from airflow_email_conn.wire.graph.challenge import claims_challenge
from airflow_email_conn.wire.graph.errors import (
    AccessDeniedError,
    Asked,
    FolderExistsError,
    NothingThereError,
    ResyncError,
    TooComplexError,
    TooSlowError,
    TooSmallError,
    problem,
)
from tests.graph.opening import MAILBOX, Renewals, open_session

if TYPE_CHECKING:
    from tests.servers.graph.server import GraphServer

_ASKED = Asked("GET", "/mailFolders/inbox", "robot@example.test", "graph.example.test port 443")


def _problem(status: int, code: str, asked: Asked = _ASKED, retry_after: float | None = None) -> EmailError:
    body = {"error": {"code": code, "message": "said", "innerError": {"request-id": "a-request-id"}}}
    return problem(status, {}, json.dumps(body), asked, retry_after)


@pytest.mark.parametrize(
    ("status", "code", "error", "mend"),
    [
        (401, "InvalidAuthenticationToken", AuthenticationError, "graph_url"),
        (403, "ErrorAccessDenied", AccessDeniedError, "permission Mail.Read"),
        (403, "Authorization_RequestDenied", AccessDeniedError, "RBAC for Applications"),
        (403, "", AccessDeniedError, "permission"),
        (404, "ErrorItemNotFound", MailNotFoundError, "moved, or deleted"),
        (400, "ErrorInvalidIdMalformed", MailNotFoundError, "not there"),
        (404, "ErrorInvalidUser", AuthenticationError, "no mailbox 'robot@example.test'"),
        (404, "MailboxNotEnabledForRESTAPI", AuthenticationError, "no Exchange license"),
        (404, "Request_ResourceNotFound", AuthenticationError, "correct user"),
        (403, "ErrorSendAsDenied", RefusedError, "'Send As'"),
        (400, "ErrorMessageSizeExceeded", RefusedError, "35 MB"),
        (413, "", RefusedError, "larger"),
        (400, "ErrorInvalidRecipients", RefusedError, "to, cc or bcc"),
        (400, "ErrorExceededMaxRecipientLimitServer", RefusedError, "so many recipients"),
        (403, "ErrorExceededMessageLimit", RefusedError, "for a while"),
        (507, "ErrorQuotaExceeded", ServerError, "full"),
        (410, "", ResyncError, "too old"),
        (400, "SyncStateNotFound", ResyncError, "too old"),
        (410, "resyncRequired", ResyncError, "too old"),
        (400, "InefficientFilter", TooComplexError, "complex"),
        (409, "ErrorFolderExists", FolderExistsError, "folder of this name"),
        (400, "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize", TooSmallError, "too small"),
        (429, "ApplicationThrottled", UnavailableError, "too many requests"),
        (429, "ErrorItemNotFound", UnavailableError, "too many requests"),
        (404, "", NothingThereError, "correct graph_url"),
        (404, "UnknownError", NothingThereError, "correct graph_url"),
        (404, "ResourceNotFound", AuthenticationError, "no mailbox"),
        (503, "", UnavailableError, "cannot answer now"),
        (504, "", TooSlowError, "in time"),
        (500, "ErrorMailboxStoreUnavailable", UnavailableError, "cannot answer now"),
        (409, "ErrorIrresolvableConflict", UnavailableError, "somebody else"),
        (400, "BadRequest", ProtocolError, "does not take the request"),
        (302, "", ProtocolError, "status 302"),
    ],
)
def test_codes(status: int, code: str, error: type[EmailError], mend: str) -> None:
    """The code decides, then the status; the message says what to do, and names code and request."""
    found = _problem(status, code)
    assert type(found) is error
    assert mend in found.message
    assert (code or f"status {status}") in found.message
    assert "a-request-id" in found.message
    assert found.message.startswith("graph.example.test port 443: ")
    assert found.server_text == "said"
    assert str(pickle.loads(pickle.dumps(found))) == str(found)


@pytest.mark.parametrize("code", ["erroritemnotfound", "ERRORITEMNOTFOUND"])
def test_case_of_codes(code: str) -> None:
    """It varies."""
    assert isinstance(_problem(404, code), MailNotFoundError)


@pytest.mark.parametrize(
    ("method", "path", "permission"),
    [
        ("GET", "/messages/x", "Mail.Read"),
        ("PATCH", "/messages/x", "Mail.ReadWrite"),
        ("POST", "/messages/x/move", "Mail.ReadWrite"),
        ("DELETE", "/messages/x", "Mail.ReadWrite"),
        ("POST", "/sendMail", "Mail.Send"),
        ("POST", "/messages/x/send", "Mail.Send"),
    ],
)
def test_permissions(method: str, path: str, permission: str) -> None:
    """The one that is missing is named, for an application, in Exchange, and for a person."""
    message = _problem(403, "ErrorAccessDenied", Asked(method, path, "m", "h")).message
    assert f"takes the permission {permission}. " in message
    assert f'"Application {permission}"' in message
    assert f"{permission}.Shared" in message


@pytest.mark.parametrize(
    "body",
    ["", "<html>", "[]", '"x"', '{"error": "x"}', '{"error": {"code": 5, "innerError": 1}}', "[" * 100000],
)
def test_bodies_of_proxies(body: str) -> None:
    """Whatever is in them, the status is enough."""
    found = problem(502, {"request-id": "b-request-id"}, body, _ASKED, 3.0)
    assert isinstance(found, UnavailableError)
    assert found.retry_after == 3.0
    assert "status 502, request-id b-request-id" in found.message


def test_nothing_strange_in_messages() -> None:
    """Codes and ids that are none are left out, and what the server says is cleaned."""
    body = {"error": {"code": "x y\n", "message": "a\nb" * 1000, "innererror": {"request-id": "\r\nX: y"}}}
    found = problem(400, {}, json.dumps(body), _ASKED, None)
    assert found.message.endswith("(status 400)")
    assert "\n" not in str(found)
    assert len(str(found)) < 600


def _challenge(claims: bytes) -> str:
    return f'Bearer realm="", error="insufficient_claims", claims="{base64.b64encode(claims).decode()}"'


def test_claims() -> None:
    """They come in base64, in either alphabet, with padding or without."""
    claims = b'{"access_token": {"nbf": {"essential": true, "value": "1>?"}}}'
    assert json.loads(claims_challenge(_challenge(claims))) == json.loads(claims)
    urlsafe = base64.urlsafe_b64encode(claims).decode().rstrip("=")
    assert json.loads(claims_challenge(f'Bearer claims="{urlsafe}"')) == json.loads(claims)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        'Bearer claims=""',
        'Bearer claims="x"',
        'Bearer xclaims="e30="',
        _challenge(b"[]"),
        _challenge(b"\xff"),
    ],
)
def test_claims_that_are_none(header: str) -> None:
    """Nothing that is no JSON object reaches the authority."""
    assert claims_challenge(header) == ""


@pytest.mark.parametrize("name", ["nextExpectedRanges", "NextExpectedRanges"])
@pytest.mark.parametrize(("text", "start"), [("0-", 0), ("2097152", 2097152), ("10-20", 10)])
def test_ranges(name: str, text: str, start: int) -> None:
    """All spellings that are documented."""
    assert ranges.next_start(json.dumps({name: [text]}), 3_000_000) == start


@pytest.mark.parametrize(
    "state",
    [
        "",
        "[]",
        "{}",
        '{"nextExpectedRanges": []}',
        '{"nextExpectedRanges": [5]}',
        '{"nextExpectedRanges": 5}',
        '{"NextExpectedRanges": [""]}',
        '{"nextExpectedRanges": ["5000000"]}',
        '{"nextExpectedRanges": ["x"]}',
    ],
)
def test_ranges_that_are_none(state: str) -> None:
    """It is not known then where to go on."""
    assert ranges.next_start(state, 3_000_000) is None


# ------------------------------------------------------------ on the fake


def test_no_mailbox(graph: GraphServer) -> None:
    """A wrong address and a mailbox without a license show when it is opened."""
    with pytest.raises(AuthenticationError, match=r"no mailbox 'nobody@example\.test'.*ErrorInvalidUser"):
        open_session(graph, user="nobody@example.test")
    graph.mailbox(MAILBOX).enabled = False
    with pytest.raises(AuthenticationError, match=r"Exchange license.*MailboxNotEnabledForRESTAPI"):
        open_session(graph)
    graph.mailbox(MAILBOX).enabled = True


def test_mailbox_of_another(graph: GraphServer) -> None:
    """A person's token opens what is shared with that person."""
    other = next(login for login in graph.users if login != MAILBOX)
    token = graph.token(other)
    renew = Renewals(graph, other)
    with pytest.raises(AccessDeniedError, match=r"Mail\.Read\.Shared"):
        open_session(graph, token, renew=renew)
    graph.mailbox(MAILBOX).shared_with.add(other)
    open_session(graph, token, renew=renew).close()


def test_permission_for_a_change(graph: GraphServer) -> None:
    """Who may only read is told what writing takes."""
    token = graph.token(permissions=["Mail.Read"])
    session = open_session(graph, token, renew=Renewals(graph, permissions=["Mail.Read"]))
    message = graph.append(MAILBOX, b"Subject: x\r\n\r\n")
    with pytest.raises(AccessDeniedError, match=r"Mail\.ReadWrite"):
        session.patch(f"/messages/{paths.segment(message.id)}", {"isRead": True})
    session.close()
