"""What is said in a sign-in by access token, and what a server explains of its refusal."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_email_conn.errors import DeadlineError, NetworkError, SettingsError
from airflow_email_conn.model.server import Credential, Server
from airflow_email_conn.wire import sasl, tokens

USERS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60)
TOKENS = st.from_regex(r"[A-Za-z0-9._~+/-]+=*", fullmatch=True)
ANYTHING = st.text(st.characters(), max_size=60) | USERS | TOKENS
OAUTHBEARER = re.compile(
    r"n,a=(?P<user>(?:[^,=\x00-\x1f]|=2C|=3D)+),\x01host=mx\x01port=993"
    r"\x01auth=Bearer (?P<token>[^\x01]+)\x01\x01"
)
XOAUTH2 = re.compile(r"user=(?P<user>[^\x01]+)\x01auth=Bearer (?P<token>[^\x01]+)\x01\x01")
TOKEN = "eyJ0b2tlbg.dG9rZW4-_~+/=="
BEARER = Server("imap", "mx", 993, credential=Credential("bearer", "ann@x.test", TOKEN))


def test_examples_of_the_standards() -> None:
    """RFC 7628 4.1, and Google's page."""
    user = "someuser@example.com"
    token = "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg"
    assert sasl.xoauth2(user, token) == f"user={user}\x01auth=Bearer {token}\x01\x01".encode()
    token = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="
    assert b64encode(sasl.oauthbearer("user@example.com", token, "server.example.com", 143)).decode() == (
        "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyI"
        "HZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
    )


@given(USERS, TOKENS)
def test_every_user_and_token_comes_out_again(user: str, token: str) -> None:
    """Also with commas and equals signs, which separate in OAUTHBEARER."""
    for pattern, message in (
        (XOAUTH2, sasl.xoauth2(user, token)),
        (OAUTHBEARER, sasl.oauthbearer(user, token, "mx", 993)),
    ):
        match = pattern.fullmatch(message.decode())
        assert match
        told = match["user"]
        if pattern is OAUTHBEARER:
            told = told.replace("=2C", ",").replace("=3D", "=")
        assert (told, match["token"]) == (user, token)


@given(ANYTHING, ANYTHING)
def test_whatever_goes_in_comes_out_or_is_refused(user: str, token: str) -> None:
    """No value can end its place in the message."""
    refused: list[str] = []
    for pattern, build in (
        (XOAUTH2, lambda: sasl.xoauth2(user, token)),
        (OAUTHBEARER, lambda: sasl.oauthbearer(user, token, "mx", 993)),
    ):
        try:
            message = build()
        except SettingsError as exc:
            refused.append(str(exc))
            continue
        match = pattern.fullmatch(message.decode())
        assert match
        assert match["token"] == token
        assert not re.search("[\x00-\x1f]", user)
    assert all(text.startswith(("user: ", "access token: ")) for text in refused)


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "a\x01b", "a\0b", "tökén", "=a", "a" * 9300])
def test_no_tokens(token: str) -> None:
    """Empty, of other characters, or longer than a line of AUTH."""
    with pytest.raises(SettingsError, match=r"^access token: ") as caught:
        sasl.xoauth2("ann", token)
    assert not token or token not in str(caught.value)


@pytest.mark.parametrize("user", ["", "a\nb", "a\x01b", "a\0b", "\ud800", "a\x85b"])
def test_no_users(user: str) -> None:
    """Empty, or with what cannot be sent."""
    with pytest.raises(SettingsError, match=r"^user: "):
        sasl.oauthbearer(user, TOKEN, "mx", 993)


@pytest.mark.parametrize("security", ["none", "", "TLS"])
def test_no_token_travels_in_clear(security: str) -> None:
    """Only by the two kinds of security that there are."""
    with pytest.raises(SettingsError, match="encrypted only"):
        sasl.bearer(replace(BEARER, security=security))
    assert [answer for _, answer in sasl.bearer(BEARER).values()] == [b"\x01", b""]


def explaining(**told: object) -> str:
    """A challenge."""
    return b64encode(json.dumps(told).encode()).decode()


@pytest.mark.parametrize(
    ("challenge", "text"),
    [
        (explaining(status="401", schemes="bearer", scope="https://mail.google.com/"),
         "status 401, scope https://mail.google.com/"),
        (explaining(status="invalid_token", **{"openid-configuration": "https://x.test/"}),
         "status invalid_token"),
        (explaining(status=400), "status 400"),
        (explaining(scope="mail send"), "scope mail send"),
        (explaining(status="a b", scope="a\nb"), ""),
        (explaining(status=["401"], scope={"a": 1}), ""),
        (explaining(status=f"x{TOKEN}", scope=f"a {TOKEN}"), "scope a ***"),
        (explaining(scope="s" * 300 + TOKEN), "scope " + "s" * 244),
        (explaining(scope="s" * 9000), ""),
        (b64encode(b"[1]").decode(), ""),
        (b64encode(b"[" * 3000).decode(), ""),
        ("", ""),
        ("VXNlcm5hbWU6", ""),
        ("é", ""),
    ],
)  # fmt: skip
def test_explanations(challenge: str, text: str) -> None:
    """Status and scope, short and without the token; nothing of anything else."""
    hidden = sasl.forms_of(TOKEN, sasl.bearer(BEARER))
    assert sasl.objection(challenge, hidden) == text
    assert sasl.objection(challenge.encode(), hidden) == text


@given(st.binary(max_size=300) | st.recursive(
    st.none() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
).map(lambda told: b64encode(json.dumps(told).encode())))  # fmt: skip
def test_no_explanation_breaks_anything(challenge: bytes) -> None:
    """Rubbish explains nothing."""
    assert sasl.objection(challenge).isprintable()


def test_forms_of_a_token() -> None:
    """As it is, in base64, and in both messages."""
    answers = sasl.bearer(BEARER)
    forms = sasl.forms_of(TOKEN, answers)
    assert {TOKEN, b64encode(TOKEN.encode()).decode()} < set(forms)
    assert {b64encode(message).decode() for message, _ in answers.values()} < set(forms)
    assert forms == sorted(forms, key=len, reverse=True)


def test_who_hangs_up() -> None:
    """A connection that ends then is explained, and may be tried again; a time-out stays one."""
    with (
        pytest.raises(NetworkError, match=r"^closed, when it had .*'ann': .*no such mailbox") as caught,
        tokens.who_hangs_up("ann"),
    ):
        raise NetworkError("closed")
    assert caught.value.retryable
    with pytest.raises(DeadlineError, match=r"^slow$"), tokens.who_hangs_up("ann"):
        raise DeadlineError("slow")
