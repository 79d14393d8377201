"""Each way to get a token, with each protocol and mechanism; and tokens that the mail server refuses."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.client import open_mailbox, open_sender, send
from airflow_email_conn.errors import AuthenticationError
from airflow_email_conn.model.draft import Draft
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.oauth.keeper import Tokens
from airflow_email_conn.token_store import MemoryTokenStore
from tests.oauth.connections import ALICE, BOB, PERSON, keeper_of, put, settings, sign_in
from tests.servers.hiding import hiding

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers.authority import Authority
    from tests.servers.bed import Bed

WAYS = ("secret", "certificate", "encrypted certificate", "assertion", "person")
PROTOCOLS = ("imap", "pop3", "smtp")
REFUSED: dict[str, Callable[[Authority], str]] = {
    "expired": lambda authority: authority.token(ALICE, seconds=-1),
    "wrong user": lambda authority: authority.token(BOB),
    "wrong scope": lambda authority: authority.token(ALICE, scope="other"),
    "garbage": lambda _: "garbage",
}


def way_fields(way: str, authority: Authority, folder: Path) -> dict[str, Any]:
    """The fields of a credential."""
    clients = authority.clients
    if way == "person":
        return dict(PERSON)
    if way == "assertion":
        path = folder / "assertion"
        path.write_text(clients.assertion(authority.issuer) + "\n")
        return {"client_id": "daemon-assertion", "client_assertion_file": str(path)}
    if way == "secret":
        return {}
    password = "pass phrase" if way.startswith("encrypted") else None
    pem = clients.private_key(password) + clients.certificate()
    return {
        "client_id": "daemon-certificate",
        "client_certificate_private_key": pem,
        "client_certificate_password": password,
    }


def protocol_fields(bed: Bed, protocol: str) -> dict[str, Any]:
    """The fields of the incoming side."""
    if protocol == "pop3":
        return {"incoming_protocol": "pop3", "incoming_port": bed.pop3s_port}
    return {}


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
@pytest.mark.parametrize("way", WAYS)
def test_sends_and_receives(bed: Bed, authority: Authority, tmp_path: Path, way: str, mechanism: str) -> None:
    """One token for SMTP, IMAP and POP3."""
    other = {"XOAUTH2": "OAUTHBEARER", "OAUTHBEARER": "XOAUTH2"}[mechanism]
    tokens = Tokens(MemoryTokenStore(), "mail")
    bed.empty(ALICE)
    with (
        hiding(bed, bed.imaps_port, other) as imap,
        hiding(bed, bed.pop3s_port, other) as pop3,
        hiding(bed, bed.smtps_port, other) as smtp,
    ):
        fields = way_fields(way, authority, tmp_path) | {"outgoing_port": smtp.port}
        by_imap = settings(bed, authority, **fields, incoming_port=imap.port)
        by_pop3 = settings(bed, authority, **fields, incoming_protocol="pop3", incoming_port=pop3.port)
        if way == "person":
            assert by_imap.incoming is not None
            sign_in(authority, tokens.of(by_imap.incoming))
        send(by_imap, Draft(to=ALICE, subject="Grüße", text="by token"), tokens=tokens)
        for used in (by_imap, by_pop3):
            with open_mailbox(used, tokens=tokens) as mailbox:
                found = _waited_for(mailbox)
                assert mailbox.fetch(found.ref).text.strip() == "by token"
        for proxy in (imap, pop3, smtp):
            assert mechanism.encode() in proxy.seen_from_client
    counts = authority.counts()
    assert (counts.client_credentials, counts.device_code) == ((0, 1) if way == "person" else (1, 0))
    assert counts.refresh_token == 0


def _waited_for(mailbox: Any) -> Any:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if found := list(mailbox.search(MailQuery(subject="Grüße"))):
            return found[0]
        time.sleep(0.2)
    raise AssertionError("it did not arrive")


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("way", ["secret", "person"])
def test_refused_token_is_renewed_once(
    bed: Bed, authority: Authority, way: str, protocol: str, case: str
) -> None:
    """One forced renewal, one more sign-in; the bad token is gone from the store."""
    store = MemoryTokenStore()
    used = settings(bed, authority, **protocol_fields(bed, protocol), **(PERSON if way == "person" else {}))
    keeper = keeper_of(used.incoming, store)
    if way == "person":
        sign_in(authority, keeper)
    bad = REFUSED[case](authority)
    put(keeper, store, bad, secret_digest="" if way == "person" else keeper._shared.secret_digest)
    authority.reset()
    opened = open_sender if protocol == "smtp" else open_mailbox
    opened(used, tokens=Tokens(store, "mail")).close()
    counts = authority.counts()
    assert counts.client_credentials + counts.refresh_token == 1
    assert keeper.state().access_token not in {"", bad}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("way", "wrong"), [("person", "user"), ("secret", "scope")])
def test_refused_for_good(bed: Bed, authority: Authority, protocol: str, way: str, wrong: str) -> None:
    """When a new token is refused too, it ends with the error that says what to check."""
    tokens = Tokens(MemoryTokenStore(), "mail")
    fields = protocol_fields(bed, protocol) | (PERSON if way == "person" else {})
    if wrong == "scope":
        fields["scopes"] = "other"
    used = settings(bed, authority, **fields)
    if way == "person":
        assert used.incoming is not None
        sign_in(authority, tokens.of(used.incoming), BOB)
    authority.reset()
    opened = open_sender if protocol == "smtp" else open_mailbox
    with pytest.raises(AuthenticationError, match=f"refused the access token of '{ALICE}'") as caught:
        opened(used, tokens=tokens)
    assert not caught.value.retryable
    counts = authority.counts()
    assert (counts.client_credentials, counts.refresh_token) == ((0, 1) if way == "person" else (2, 0))


@pytest.mark.parametrize("oauth_side", ["incoming", "outgoing"])
def test_oauth_and_secret_in_one_connection(bed: Bed, authority: Authority, oauth_side: str) -> None:
    """Each side has its own credential."""
    password = bed.users[ALICE]
    if oauth_side == "incoming":
        fields: dict[str, Any] = {
            "outgoing_credential": "secret",
            "outgoing_user": ALICE,
            "outgoing_secret": password,
        }
    else:
        fields = {
            "credential": "secret",
            "password": password,
            "outgoing_credential": "oauth_client_credentials",
            "outgoing_user": ALICE,
            "outgoing_secret": authority.clients.secret,
        }
    used = settings(bed, authority, **fields)
    open_mailbox(used).close()
    assert authority.counts().client_credentials == (oauth_side == "incoming")
    open_sender(used).close()
    assert authority.counts().client_credentials == 1
