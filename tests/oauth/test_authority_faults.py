"""What an authority can do wrong at each step: the error that fits, in time, and it heals at once."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest

from airflow_email_conn.client import open_mailbox
from airflow_email_conn.errors import (
    AuthenticationError,
    ConnectError,
    DeadlineError,
    EmailError,
    NetworkError,
    ProtocolError,
    SettingsError,
    SignInRequiredError,
    TLSError,
    UnavailableError,
)
from airflow_email_conn.oauth.keeper import Tokens
from airflow_email_conn.token_store import MemoryTokenStore
from tests.oauth.connections import PERSON, keeper_of, put, settings, sign_in
from tests.servers.authorityfaults import Answer
from tests.servers.certificates import client_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.authority import Authority
    from tests.servers.authorityfaults import FaultyAuthority, Step
    from tests.servers.bed import Bed

TIMEOUT = 1.0
#: Each way to fail, and the errors that may come of it.
FAULTS: dict[str, tuple[Answer, tuple[type[EmailError], ...]]] = {
    "close": (Answer(kind="close"), (NetworkError,)),
    "hang": (Answer(kind="hang"), (DeadlineError,)),
    "slow": (Answer(body=b"{" + b" " * 5000, rate=100), (DeadlineError,)),
    "garbage": (Answer(body=b"\xff\xfe<html>"), (ProtocolError, AuthenticationError)),
    "empty": (Answer(), (ProtocolError, AuthenticationError)),
    "number": (Answer(body=b"7"), (ProtocolError,)),
    "list": (Answer(body=b"[]"), (ProtocolError,)),
    "empty object": (Answer(body=b"{}"), (ProtocolError, AuthenticationError)),
    "wrong types": (
        Answer(body=b'{"access_token": 7, "issuer": [], "token_endpoint": {}, "user_code": []}'),
        (ProtocolError, AuthenticationError),
    ),
    "deep": (Answer(body=b"[" * 200_000), (ProtocolError, AuthenticationError)),
    "id_token": (
        Answer(body=b'{"access_token": "x", "id_token": "x", "expires_in": "soon", "issuer": 7}'),
        (ProtocolError, AuthenticationError),
    ),
    "huge": (Answer(body=b"x" * 3_000_000), (ProtocolError,)),
    "302": (
        Answer(302, headers={"Location": "https://elsewhere.test/"}),
        (ProtocolError, AuthenticationError),
    ),
    "400": (Answer(400, b'{"error": "invalid_request"}'), (AuthenticationError,)),
    "401": (Answer(401, b'{"error": "invalid_client"}'), (AuthenticationError,)),
    "404": (Answer(404, b"not here"), (ProtocolError, AuthenticationError)),
    "429": (Answer(429, headers={"Retry-After": "7"}), (UnavailableError,)),
    "500": (Answer(500, b"{}"), (UnavailableError,)),
    "503": (Answer(503, b'{"error": "x"}', headers={"Retry-After": "7"}), (UnavailableError,)),
}
STEPS: tuple[Step, ...] = ("discovery", "device_authorization", "token")


class Scene:
    """A person's sign-in, and an application's, at the faulty authority."""

    def __init__(self, bed: Bed, faulty: FaultyAuthority) -> None:
        """Prepare both; nobody has signed in."""
        self.faulty = faulty
        self.store = MemoryTokenStore()
        self.person = settings(bed, faulty, timeout=TIMEOUT, **PERSON)
        self.application = settings(bed, faulty, timeout=TIMEOUT)
        self.keeper = keeper_of(self.person.incoming, self.store)
        self.daemon = keeper_of(self.application.incoming, self.store)

    def actions(self, step: Step) -> dict[str, Callable[[], Any]]:
        """What asks for that step."""
        begin: dict[str, Callable[[], Any]] = {"begin": self.keeper.begin_sign_in}
        if step == "device_authorization":
            return begin
        known = self.keeper.state()
        others: dict[str, Callable[[], Any]] = {
            "refresh": lambda: self.keeper.renewed(known),
            "fetch": lambda: self.daemon.renewed(self.daemon.state()),
        }
        return others if step == "token" else begin | others


@pytest.fixture
def scene(bed: Bed, faulty_authority: FaultyAuthority) -> Scene:
    """A person who has signed in."""
    made = Scene(bed, faulty_authority)
    sign_in(faulty_authority.authority, made.keeper)
    return made


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", STEPS)
def test_fault(scene: Scene, step: Step, fault: str) -> None:
    """One error of the right kind, in time, that shows nothing of the answer; and it heals at once."""
    answer, kinds = FAULTS[fault]
    for name, act in scene.actions(step).items():
        kept = scene.store.get(scene.keeper.key)
        scene.faulty.answers[step] = answer
        begin = time.monotonic()
        with pytest.raises(kinds) as caught:
            act()
        assert time.monotonic() - begin < 2.5 * TIMEOUT, name
        assert not isinstance(caught.value, SignInRequiredError), name
        assert caught.value.retryable == isinstance(caught.value, (NetworkError, UnavailableError)), name
        if "Retry-After" in answer.headers:
            assert getattr(caught.value, "retry_after", None) == 7.0
        del scene.faulty.answers[step]
        act()
        assert kept is None or scene.keeper.state().error == ""


def test_a_date_to_come_back(scene: Scene) -> None:
    """Retry-After may be a date; one that is nonsense is left out."""
    later = datetime.now(timezone.utc) + timedelta(seconds=100)
    for text, expected in ((format_datetime(later, usegmt=True), 100), ("soon", None), ("99999999", 86400)):
        scene.faulty.answers["token"] = Answer(429, headers={"Retry-After": text})
        with pytest.raises(UnavailableError) as caught:
            scene.daemon.token()
        assert caught.value.retry_after == (expected and pytest.approx(expected, abs=3))


@pytest.mark.parametrize("fault", ["close", "hang", "garbage", "400", "401", "429", "503"])
def test_a_token_that_is_still_good(scene: Scene, fault: str) -> None:
    """It is used on while it cannot be renewed; the authority is left alone for a while, then asked again."""
    put(scene.keeper, scene.store, scene.keeper.state().access_token, seconds=200)
    token = scene.faulty.authority.token()
    put(scene.daemon, scene.store, token, seconds=200, secret_digest=scene.daemon._shared.secret_digest)
    for keeper, used in ((scene.keeper, scene.person), (scene.daemon, scene.application)):
        old = keeper.state()
        scene.faulty.answers["token"] = FAULTS[fault][0]
        with open_mailbox(used, tokens=Tokens(scene.store, "mail")) as mailbox:
            assert mailbox.folders()
        assert keeper.state().access_token == old.access_token
        assert keeper.state().refresh_token == old.refresh_token
        del scene.faulty.answers["token"]
        asked = scene.faulty.count("token")
        failed = keeper.state()
        assert failed.retry_at - failed.failed_at >= 30
        if not failed.is_dead:
            assert keeper.token().access_token == old.access_token
            assert scene.faulty.count("token") == asked
            scene.store.set(keeper.key, replace(failed, retry_at=0.0).as_text())  # half a minute later
            assert keeper.token().access_token != old.access_token
            assert keeper.state().error == ""


def test_nobody_there(bed: Bed, authority: Authority) -> None:
    """An authority that is down refuses connections; mail waits, and goes on when it is back."""
    keeper = keeper_of(settings(bed, authority).incoming, MemoryTokenStore())
    authority.down()
    with pytest.raises(ConnectError, match="cannot connect to localhost port"):
        keeper.token()
    authority.up()
    assert keeper.token().access_token


def _told(scene: Scene, **changes: object) -> Answer:
    """The discovery document with something else in it."""
    url = f"{scene.faulty.issuer}/.well-known/openid-configuration"
    with urlopen(url, context=client_context(scene.faulty.ca), timeout=10) as answer:
        document = json.load(answer) | changes
    return Answer(
        body=json.dumps({key: value for key, value in document.items() if value is not None}).encode()
    )


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"issuer": "https://other.test/x"}, ProtocolError, "under the name of another"),
        ({"token_endpoint": None}, ProtocolError, "without token_endpoint"),
        ({"token_endpoint": "http://localhost/x/token"}, ProtocolError, "localhost|address"),
        ({"token_endpoint": "https://localhost"}, ProtocolError, "localhost|address"),
        ({"token_endpoint": 7}, ProtocolError, "localhost|address"),
        ({"token_endpoint": "https://elsewhere.test/x/token"}, SettingsError, "allowed_hosts"),
        ({"device_authorization_endpoint": None}, AuthenticationError, "does not offer the device flow"),
    ],
)
def test_discovery_that_misleads(
    bed: Bed, scene: Scene, changes: dict[str, object], error: type[EmailError], text: str
) -> None:
    """What an authority says of itself is not believed blindly; no secret goes anywhere."""
    scene.faulty.answers["discovery"] = _told(scene, **changes)
    used = settings(bed, scene.faulty, timeout=TIMEOUT, allowed_hosts=("localhost",), **PERSON)
    keeper = keeper_of(used.incoming, scene.store)
    act = (
        keeper.begin_sign_in
        if "device_authorization_endpoint" in changes
        else lambda: keeper.renewed(keeper.state())
    )
    before = scene.faulty.count("token")
    with pytest.raises(error, match=text):
        act()
    assert scene.faulty.count("token") == before


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_environment_does_not_say_whom_to_trust(
    bed: Bed, authority: Authority, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """The connection does."""
    monkeypatch.setenv(variable, "/nowhere.pem")
    assert keeper_of(settings(bed, authority).incoming, MemoryTokenStore()).token().access_token


@pytest.mark.parametrize("checked", ["true", "false"])
def test_certificate_is_verified(bed: Bed, authority: Authority, checked: str) -> None:
    """Even where that of the mail server is not."""
    used = settings(bed, authority, incoming_check_server_identity=checked, ca_certificates=None)
    with pytest.raises(TLSError, match=r"put that one into ca_certificates|put that root into"):
        keeper_of(used.incoming, MemoryTokenStore()).token()
