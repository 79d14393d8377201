"""The OAuth authority with MSAL, and the mail servers that take its tokens, with the standard library."""

from __future__ import annotations

import base64
import imaplib
import json
import poplib
import smtplib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msal
import pytest
import requests

from tests.servers.authorityfaults import Answer, FaultyAuthority
from tests.servers.certificates import client_context
from tests.servers.hiding import hiding

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from tests.servers.authority import Authority
    from tests.servers.bed import Bed

_TIMEOUT = 10
_ALICE, _BOB = "alice@example.test", "bob@example.test"
_PROTOCOLS = ("imap", "pop3", "smtp")


@pytest.fixture
def session(authority: Authority) -> Iterator[requests.Session]:
    """What MSAL reaches the authority with."""
    with requests.Session() as made:
        made.trust_env = False
        made.verify = str(authority.ca)
        yield made


def _sign_in(bed: Bed, protocol: str, mechanism: str, login: str, token: str) -> tuple[str, dict[str, str]]:
    """Return the server's last answer and what it said about a refused token."""
    initial = (
        f"user={login}\x01auth=Bearer {token}\x01\x01"
        if mechanism == "XOAUTH2"
        else f"n,a={login},\x01auth=Bearer {token}\x01\x01"
    ).encode()
    challenges: list[bytes] = []

    def answer(challenge: bytes | None) -> bytes:
        if not challenge:
            return initial
        challenges.append(challenge)
        return b"" if mechanism == "XOAUTH2" else b"\x01"

    sign_in = {"imap": _sign_in_imap, "pop3": _sign_in_pop3, "smtp": _sign_in_smtp}[protocol]
    last = sign_in(bed, client_context(bed.ca), mechanism, answer)
    return last, json.loads(challenges[0]) if challenges else {}


def _sign_in_imap(bed: Bed, trust: ssl.SSLContext, mechanism: str, answer: Any) -> str:
    with imaplib.IMAP4_SSL("localhost", bed.imaps_port, ssl_context=trust, timeout=_TIMEOUT) as imap:
        assert f"AUTH={mechanism}" in imap.capabilities
        try:
            return str(imap.authenticate(mechanism, answer)[0])
        except imaplib.IMAP4.error as error:
            return str(error)


def _sign_in_pop3(bed: Bed, trust: ssl.SSLContext, mechanism: str, answer: Any) -> str:
    pop3 = poplib.POP3_SSL("localhost", bed.pop3s_port, context=trust, timeout=_TIMEOUT)
    try:
        assert mechanism in pop3.capa()["SASL"]
        line = pop3._shortcmd(f"AUTH {mechanism}")
        while line.startswith(b"+ "):
            line = pop3._shortcmd(base64.b64encode(answer(base64.b64decode(line[2:]))).decode())
        return line.decode()
    except poplib.error_proto as error:
        return str(error)
    finally:
        pop3.close()


def _sign_in_smtp(bed: Bed, trust: ssl.SSLContext, mechanism: str, answer: Any) -> str:
    with smtplib.SMTP_SSL("localhost", bed.smtps_port, context=trust, timeout=_TIMEOUT) as smtp:
        smtp.ehlo()
        assert mechanism in smtp.esmtp_features["auth"].split()
        try:
            return str(smtp.auth(mechanism, lambda challenge=None: answer(challenge).decode("latin-1"))[0])
        except smtplib.SMTPAuthenticationError as error:
            return str(error.smtp_code)


_ACCEPTED = {"imap": "OK", "pop3": "+OK", "smtp": "235"}
_REFUSED = {"imap": "AUTHENTICATIONFAILED", "pop3": "-ERR [AUTH]", "smtp": "535"}


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
@pytest.mark.parametrize("protocol", _PROTOCOLS)
def test_tokens_accepted(bed: Bed, authority: Authority, protocol: str, mechanism: str) -> None:
    """A person's token opens the person's mailbox, one of client credentials any."""
    for login, token in ((_ALICE, authority.token(_ALICE)), (_BOB, authority.token())):
        last, challenge = _sign_in(bed, protocol, mechanism, login, token)
        assert _ACCEPTED[protocol] in last
        assert challenge == {}


@pytest.mark.parametrize("case", ["wrong user", "wrong scope", "expired", "revoked", "garbage"])
@pytest.mark.parametrize("protocol", _PROTOCOLS)
def test_tokens_refused(bed: Bed, authority: Authority, protocol: str, case: str) -> None:
    """Every bad token is refused alike, after an error challenge."""
    token = {
        "wrong user": lambda: authority.token(_BOB),
        "wrong scope": lambda: authority.token(_ALICE, scope="other"),
        "expired": lambda: authority.token(_ALICE, seconds=-1),
        "revoked": lambda: authority.token(_ALICE),
        "garbage": lambda: "garbage",
    }[case]()
    if case == "revoked":
        assert authority.revoke_grants(_ALICE) >= 1
    last, challenge = _sign_in(bed, protocol, "XOAUTH2", _ALICE, token)
    assert _REFUSED[protocol] in last
    assert challenge["status"] == "401"
    assert authority.counts().introspection > 0


def test_passwords_need_no_authority(bed: Bed, authority: Authority) -> None:
    """Dovecot asks the authority about tokens only; when it is down, a token is a temporary failure."""
    token = authority.token(_ALICE)
    with imaplib.IMAP4_SSL("localhost", bed.imaps_port, ssl_context=client_context(bed.ca)) as imap:
        imap.login(_ALICE, bed.users[_ALICE])
    assert authority.counts().introspection == 0
    authority.down()
    with imaplib.IMAP4_SSL("localhost", bed.imaps_port, ssl_context=client_context(bed.ca)) as imap:
        imap.login(_ALICE, bed.users[_ALICE])
    assert "UNAVAILABLE" in _sign_in(bed, "imap", "XOAUTH2", _ALICE, token)[0]
    authority.up()
    assert _sign_in(bed, "imap", "XOAUTH2", _ALICE, token)[0] == "OK"


@pytest.mark.parametrize("hidden", ["XOAUTH2", "OAUTHBEARER"])
def test_hiding(bed: Bed, hidden: str) -> None:
    """Each server can be made to offer only one of the two mechanisms."""
    trust = client_context(bed.ca)
    with hiding(bed, bed.imaps_port, hidden) as proxy:
        with imaplib.IMAP4_SSL("localhost", proxy.port, ssl_context=trust, timeout=_TIMEOUT) as imap:
            offered = {name.removeprefix("AUTH=") for name in imap.capabilities}
        assert {"XOAUTH2", "OAUTHBEARER"} - offered == {hidden}
    with hiding(bed, bed.pop3s_port, hidden) as proxy:
        pop3 = poplib.POP3_SSL("localhost", proxy.port, context=trust, timeout=_TIMEOUT)
        assert {"XOAUTH2", "OAUTHBEARER"} - set(pop3.capa()["SASL"]) == {hidden}
        pop3.quit()
    with (
        hiding(bed, bed.smtps_port, hidden) as proxy,
        smtplib.SMTP_SSL("localhost", proxy.port, context=trust, timeout=_TIMEOUT) as smtp,
    ):
        smtp.ehlo()
        assert {"XOAUTH2", "OAUTHBEARER"} - set(smtp.esmtp_features["auth"].split()) == {hidden}


@pytest.mark.parametrize("client", ["daemon", "daemon-certificate", "daemon-assertion"])
def test_client_credentials(bed: Bed, authority: Authority, session: requests.Session, client: str) -> None:
    """MSAL gets a token by secret, by certificate with an encrypted key, and by assertion."""
    clients = authority.clients
    credential: Any = {
        "daemon": clients.secret,
        "daemon-certificate": {
            "private_key": clients.private_key("passphrase"),
            "public_certificate": clients.certificate(),
            "passphrase": "passphrase",
        },
        "daemon-assertion": {"client_assertion": lambda: clients.assertion(authority.issuer)},
    }[client]
    application = msal.ConfidentialClientApplication(
        client, client_credential=credential, oidc_authority=authority.issuer, http_client=session
    )
    got = application.acquire_token_for_client(["mail"])
    assert _sign_in(bed, "imap", "XOAUTH2", _BOB, got["access_token"])[0] == "OK"
    assert authority.counts().client_credentials == 1


def test_assertion_is_good_for_many_uses(authority: Authority, session: requests.Session) -> None:
    """A workload reads its assertion from a file again and again, until it ends."""
    statuses = []
    valid, ended = (authority.clients.assertion(authority.issuer, seconds) for seconds in (600, -60))
    for assertion in (valid, valid, ended):
        form = {
            "grant_type": "client_credentials",
            "scope": "mail",
            "client_id": "daemon-assertion",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion,
        }
        statuses.append(session.post(f"{authority.issuer}/token", data=form, timeout=_TIMEOUT).status_code)
    assert statuses == [200, 200, 401]


def _public(issuer: str, session: requests.Session, client: str = "device") -> msal.PublicClientApplication:
    return msal.PublicClientApplication(client, oidc_authority=issuer, http_client=session)


def test_device_flow_rotation_and_replay(authority: Authority, session: requests.Session) -> None:
    """Refresh tokens are good for one use, also over a restart; a second use ends the grant."""
    application = _public(authority.issuer, session)
    flow = application.initiate_device_flow(["mail"])
    waiting = application.acquire_token_by_device_flow(flow, exit_condition=lambda flow: True)
    assert waiting["error"] == "authorization_pending"
    authority.approve(flow["user_code"], _ALICE)
    first = application.acquire_token_by_device_flow(flow)
    assert application.get_accounts()[0]["username"] == _ALICE
    authority.down()
    authority.up()
    second = application.acquire_token_by_refresh_token(first["refresh_token"], ["mail"])
    assert second["refresh_token"] != first["refresh_token"]
    assert authority.counts().replays == 0
    for old in (first, second):
        replayed = application.acquire_token_by_refresh_token(old["refresh_token"], ["mail"])
        assert replayed["error"] == "invalid_grant"
    counts = authority.counts()
    assert (counts.device_code, counts.refresh_token, counts.replays) == (2, 3, 1)


def test_refresh_token_used_at_once(authority: Authority, session: requests.Session) -> None:
    """Of several uses of one refresh token at the same instant only one succeeds."""
    application = _public(authority.issuer, session)
    flow = application.initiate_device_flow(["mail"])
    authority.approve(flow["user_code"], _ALICE)
    got = application.acquire_token_by_device_flow(flow)
    form = {"grant_type": "refresh_token", "client_id": "device", "refresh_token": got["refresh_token"]}

    def use(_: int) -> int:
        return requests.post(
            f"{authority.issuer}/token", data=form, timeout=_TIMEOUT, verify=str(authority.ca)
        ).status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(use, range(4))) == [200, 400, 400, 400]
    assert authority.counts().replays == 1


def test_device_flow_ends(authority: Authority, session: requests.Session) -> None:
    """A person may say no or wait too long, and there are clients without refresh tokens."""
    application = _public(authority.issuer, session, "device-no-refresh")
    flow = application.initiate_device_flow(["mail"])
    authority.deny(flow["user_code"])
    assert application.acquire_token_by_device_flow(flow)["error"] == "access_denied"
    authority.ttl(access=5)
    flow = application.initiate_device_flow(["mail"])
    authority.approve(flow["user_code"], _ALICE)
    got = application.acquire_token_by_device_flow(flow)
    assert "refresh_token" not in got
    assert got["expires_in"] == 5
    authority.ttl(device=1)
    flow = application.initiate_device_flow(["mail"])
    time.sleep(2)
    ended = application.acquire_token_by_device_flow({**flow, "expires_at": time.time() + 60})
    assert ended["error"] == "expired_token"


def test_faulty_authority_passes(faulty_authority: FaultyAuthority, session: requests.Session) -> None:
    """What it does not answer itself passes, and what a client learns leads through it."""
    found = session.get(
        f"{faulty_authority.issuer}/.well-known/openid-configuration", timeout=_TIMEOUT
    ).json()
    assert found["issuer"] == faulty_authority.issuer
    assert found["token_endpoint"] == f"{faulty_authority.issuer}/token"
    clients = faulty_authority.authority.clients
    credential = {"private_key": clients.private_key(), "public_certificate": clients.certificate()}
    application = msal.ConfidentialClientApplication(
        "daemon-certificate",
        client_credential=credential,
        oidc_authority=faulty_authority.issuer,
        http_client=session,
    )
    assert "access_token" in application.acquire_token_for_client(["mail"])
    assert faulty_authority.count("token") == 1
    assert faulty_authority.requests[-1].form["grant_type"] == "client_credentials"


def test_faulty_authority_misbehaves(faulty_authority: FaultyAuthority, session: requests.Session) -> None:
    """It answers in its own words, late, not at all, or after the authority has acted."""

    def ask() -> requests.Response:
        form = {"grant_type": "client_credentials", "client_id": "daemon", "client_secret": "daemon-secret"}
        return session.post(f"{faulty_authority.issuer}/token", data=form, timeout=0.5, allow_redirects=False)

    faulty_authority.answers["token"] = Answer(
        429, b"busy", {"Retry-After": "7", "Content-Type": "text/plain"}
    )
    busy = ask()
    assert (busy.status_code, busy.text, busy.headers["Retry-After"]) == (429, "busy", "7")
    faulty_authority.answers["token"] = Answer(body=b"x" * 30, rate=60)
    begin = time.monotonic()
    assert ask().content == b"x" * 30
    assert time.monotonic() - begin > 0.4
    faulty_authority.answers["token"] = Answer(kind="hang")
    with pytest.raises(requests.ReadTimeout):
        ask()
    faulty_authority.answers["token"] = Answer(kind="close", pass_on=True)
    with pytest.raises(requests.ConnectionError):
        ask()
    assert faulty_authority.authority.counts().client_credentials == 1
    del faulty_authority.answers["token"]
    assert ask().status_code == 200
    assert faulty_authority.count("token") == 5
