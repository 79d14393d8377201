"""Requests to the fake Graph: tokens, links, streams, deadlines."""

from __future__ import annotations

import base64
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.backends.graph.session import GraphSession
from airflow_email_conn.errors import (
    AuthenticationError,
    CapabilityError,
    ConnectError,
    DeadlineError,
    MailNotFoundError,
    NetworkError,
    ProtocolError,
    QueryError,
    SettingsError,
    TLSError,
)
from airflow_email_conn.lifeline import Lifeline
from airflow_email_conn.model.server import Credential
from airflow_email_conn.wire.graph import paths
from airflow_email_conn.wire.graph.errors import AccessDeniedError
from tests.graph.opening import MAILBOX, Renewals, open_session, setting

if TYPE_CHECKING:
    from tests.servers.graph.server import GraphServer

_MAIL = b"From: a@example.test\r\nSubject: x\r\n\r\n" + b"0123456789abcdef" * 65536  # 1 MB


def _value(graph: GraphServer) -> str:
    """The path of a large mail's MIME."""
    message = graph.append(MAILBOX, _MAIL)
    return f"/messages/{paths.segment(message.id)}/$value"


def test_open(graph: GraphServer) -> None:
    """The steps are told, the Inbox is found, and every request says what it must."""
    steps: list[str] = []
    with_steps = GraphSession.open(setting(graph), steps.append, Renewals(graph))
    assert steps == ["connect", "mailbox"]
    assert with_steps.inbox_id
    with_steps.close()
    (seen,) = graph.requests
    assert seen.headers["prefer"] == 'IdType="ImmutableId"'
    assert seen.headers["client-request-id"]


def test_secrets_are_not_shown(graph: GraphServer) -> None:
    """Neither by what is wrong, nor by the objects."""
    token = graph.token(seconds=-1)
    with pytest.raises(AuthenticationError) as caught:
        open_session(graph, token, renew=Renewals(graph, seconds=-1))
    assert token not in repr(caught.value) + str(caught.value)
    assert token not in repr(setting(graph, token))


def test_needs_a_token(graph: GraphServer) -> None:
    """A password is not sent to Graph."""
    with pytest.raises(CapabilityError, match="access token"):
        GraphSession(setting(graph, credential=Credential("secret", MAILBOX, "x")), Renewals(graph))


# ------------------------------------------------------------ tokens


def test_refused_token_is_renewed_once(graph: GraphServer) -> None:
    """The request is repeated with the next token; if that one is refused too, it is an error."""
    renew = Renewals(graph)
    session = open_session(graph, graph.token(seconds=-1), renew=renew)
    assert renew.asked == [""]
    session.close()
    renew = Renewals(graph, seconds=-1)
    with pytest.raises(AuthenticationError, match="access token is not taken"):
        open_session(graph, graph.token(seconds=-1), renew=renew)
    assert renew.asked == [""]


def test_claims_challenge(graph: GraphServer) -> None:
    """What the next token has to claim is handed on as JSON."""
    renew = Renewals(graph)
    session = open_session(graph, renew=renew)
    graph.challenge()
    time.sleep(0.01)
    assert session.get("/mailFolders/inbox")["id"]
    session.close()
    (claims,) = renew.asked
    assert "access_token" in json.loads(claims)


def test_token_that_ends_soon_is_renewed_before(graph: GraphServer) -> None:
    """No request goes out with one that ends within a minute, and each renewal is made once."""
    renew = Renewals(graph)
    soon = Credential("bearer", MAILBOX, graph.token(), expires_at=time.time() + 30)
    session = open_session(graph, credential=soon, renew=renew)
    session.get("/mailFolders/inbox")
    session.close()
    assert renew.asked == [""]
    assert [seen.status for seen in graph.requests] == [200, 200]


def test_renewal_that_fails_leaves_the_old_token(graph: GraphServer) -> None:
    """While the authority is out of order, a token does to its end."""

    def fails(_claims: str) -> Credential:
        raise ConnectError("the authority is not there")

    soon = Credential("bearer", MAILBOX, graph.token(), expires_at=time.time() + 0.5)
    session = GraphSession.open(setting(graph, credential=soon), lambda _: None, fails)
    time.sleep(0.6)
    with pytest.raises(ConnectError, match="authority"):
        session.get("/mailFolders/inbox")
    session.close()


def test_permission_that_is_younger_than_the_token(graph: GraphServer) -> None:
    """A token from before it was granted is renewed, once."""
    old = graph.token(permissions=["Mail.Send"])
    renew = Renewals(graph)
    open_session(graph, old, renew=renew).close()
    assert renew.asked == [""]
    renew = Renewals(graph, permissions=["Mail.Send"])
    with pytest.raises(AccessDeniedError, match=r"permission Mail\.Read\."):
        open_session(graph, old, renew=renew)
    assert renew.asked == [""]


# ------------------------------------------------------------ links


@pytest.mark.parametrize(
    "link",
    [
        "https://elsewhere.example.test/v1.0/x",
        "http://localhost/v1.0/x",
        "https://localhost:1/v1.0/x",
        "https://u@localhost/v1.0/x",
        "https://localhost.example.test/",
    ],
)
def test_links_to_elsewhere(graph: GraphServer, link: str) -> None:
    """They are not followed: the token would be shown there."""
    session = open_session(graph)
    with pytest.raises(ProtocolError, match="another server"):
        session.follow(link)
    session.close()
    assert len(graph.requests) == 1


def test_links_that_are_none(graph: GraphServer) -> None:
    """An address that cannot be read is the server's mistake."""
    session = open_session(graph)
    with pytest.raises(ProtocolError, match="an address that is none"):
        session.follow("https://localhost:port/")
    session.close()


def test_pages(graph: GraphServer) -> None:
    """A link of the server's own is followed, and preferences go together."""
    for _ in range(3):
        graph.append(MAILBOX, b"Subject: x\r\n\r\ny")
    session = open_session(graph)
    page = session.get("/mailFolders/inbox/messages", {"$top": "2", "$select": "id"})
    rest = session.follow(page["@odata.nextLink"], prefer=["odata.maxpagesize=2"])
    session.close()
    assert len(page["value"]) + len(rest["value"]) == 3
    assert graph.requests[-1].headers["prefer"] == 'IdType="ImmutableId", odata.maxpagesize=2'


def test_hosts_that_are_not_allowed(graph: GraphServer) -> None:
    """The deployment's globs hold for whatever a server names."""
    session = open_session(graph, link_hosts=("localhost",))
    with pytest.raises(SettingsError, match="allowed_hosts"):
        session.upload("PUT", "https://elsewhere.example.test/upload", {}, b"x")
    session.close()


@pytest.mark.parametrize("text", ["", ".", "..", "a\nb", "a\0b", "x" * 2001])
def test_ids_that_are_none(text: str) -> None:
    """Nothing but an id becomes a segment of a path."""
    with pytest.raises(QueryError, match="id"):
        paths.segment(text)


def test_ids_are_quoted() -> None:
    """Slashes and plus signs of an id stay in its segment; a query keeps its meaning."""
    assert paths.segment("AAMk/+=?#%é") == "AAMk%2F%2B%3D%3F%23%25%C3%A9"
    assert paths.address("https://h", "/m", {"$filter": "subject eq 'a&b #1+ü'"}) == (
        "https://h/m?$filter=subject%20eq%20'a%26b%20%231%2B%C3%BC'"
    )


# ------------------------------------------------------------ answers


@pytest.mark.parametrize("kind", ["close", "cut", "status"])
def test_get_is_tried_again(graph: GraphServer, kind: str) -> None:
    """After a broken connection, half an answer and 503."""
    session = open_session(graph)
    fault = graph.fault(r"GET .*/mailFolders/inbox", kind=kind, octets=20)
    assert session.get("/mailFolders/inbox")["id"]
    session.close()
    assert fault.hits == 1


def test_answer_that_is_no_json(graph: GraphServer) -> None:
    """It is the server's mistake, and not tried again."""
    session = open_session(graph)
    fault = graph.fault(r"GET .*/mailFolders/inbox", kind="garbage", times=None)
    with pytest.raises(ProtocolError, match="no JSON object"):
        session.get("/mailFolders/inbox")
    session.close()
    assert fault.hits == 1


def test_silent_server(graph: GraphServer) -> None:
    """Every try ends by the timeout; then the session can be used on."""
    session = open_session(graph, timeout=0.3)
    graph.fault(r"GET .*/mailFolders/inbox", kind="stall", times=None)
    begin = time.monotonic()
    with pytest.raises(DeadlineError, match=r"not done within 0\.3 s|no answer within"):
        session.get("/mailFolders/inbox")
    assert time.monotonic() - begin < 12
    graph.faults.clear()
    assert session.get("/mailFolders/inbox")["id"]
    session.close()


def test_cut_from_outside(graph: GraphServer) -> None:
    """A cancelled trigger ends the wait at once, also that before another try."""
    session = open_session(graph)
    graph.fault(r"GET .*/mailFolders/inbox", headers={"Retry-After": "15"}, times=None)
    for kind in ("stall", "status"):
        graph.faults.clear()
        graph.fault(r"GET .*/mailFolders/inbox", kind=kind, headers={"Retry-After": "15"}, times=None)
        lifeline = Lifeline()
        threading.Timer(0.3, lifeline.cut).start()
        begin = time.monotonic()
        with lifeline, pytest.raises(NetworkError, match="broken off"):
            session.get("/mailFolders/inbox")
        assert time.monotonic() - begin < 3
    session.close()


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"port": 1, "url": "https://localhost:1"}, ConnectError),
        ({"ca_certificates": ""}, TLSError),
    ],
)
def test_no_connection(graph: GraphServer, more: dict[str, Any], error: type[Exception]) -> None:
    """Nobody there, and a certificate that nobody vouches for."""
    with pytest.raises(error):
        open_session(graph, **more)


# ------------------------------------------------------------ streams


def test_stream(graph: GraphServer) -> None:
    """The bytes as they are, in pieces; the connection is used on."""
    session, path = open_session(graph), _value(graph)
    with session.stream(path) as pieces:
        found = list(pieces)
    assert b"".join(found) == _MAIL
    assert len(found) > 10
    session.close()


def test_stream_that_is_left(graph: GraphServer) -> None:
    """Whoever leaves early, or is slow, harms nobody."""
    session, path = open_session(graph, timeout=1.0), _value(graph)
    for _ in range(6):  # more than may be in flight
        with session.stream(path) as pieces:
            assert next(pieces)
    with session.stream(path) as pieces:
        first = next(pieces)
        time.sleep(1.5)
        assert first + b"".join(pieces) == _MAIL
    session.close()


@pytest.mark.parametrize(("kind", "error"), [("cut", NetworkError), ("stall-body", DeadlineError)])
def test_stream_that_breaks(graph: GraphServer, kind: str, error: type[Exception]) -> None:
    """What has come cannot be taken back: the caller decides."""
    session, path = open_session(graph, timeout=0.5), _value(graph)
    graph.fault(r"/\$value", kind=kind, octets=70000, times=None)
    with pytest.raises(error), session.stream(path) as pieces:
        for _ in pieces:
            pass
    graph.faults.clear()
    with session.stream(path) as pieces:
        assert b"".join(pieces) == _MAIL
    session.close()


def test_stream_of_what_is_gone(graph: GraphServer) -> None:
    """The error comes before any byte."""
    session = open_session(graph)
    gone = paths.segment(graph.append(MAILBOX, b"Subject: x\r\n\r\n").id)
    session.post(f"/messages/{gone}/permanentDelete")
    with pytest.raises(MailNotFoundError), session.stream(f"/messages/{gone}/$value"):
        pass
    session.close()


def test_mime_is_encoded_however_it_is_cut(graph: GraphServer) -> None:
    """Base64 of the pieces is base64 of the mail."""
    session = open_session(graph)
    raw = b"From: robot@example.test\r\nSubject: cut\r\n\r\nabcdefg"
    for size in (1, 2, 3, 4, 100):
        made = session.post_mime("/messages", (raw[at : at + size] for at in range(0, len(raw), size)))
        assert made["subject"] == "cut"
    session.close()
    assert graph.requests[-1].length == len(base64.b64encode(raw))
