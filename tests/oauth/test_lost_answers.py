"""The answer to a refresh is lost: the old refresh token is used up, and nobody has the new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_email_conn.client import open_mailbox
from airflow_email_conn.errors import EmailError, SignInRequiredError
from airflow_email_conn.oauth.keeper import Tokens
from airflow_email_conn.token_store import MemoryTokenStore
from tests.oauth.connections import PERSON, keeper_of, put, settings, sign_in
from tests.servers.authorityfaults import Answer

if TYPE_CHECKING:
    from typing import Literal

    from airflow_email_conn.model.settings import EmailSettings
    from airflow_email_conn.oauth.keeper import TokenKeeper
    from tests.servers.authority import Authority
    from tests.servers.authorityfaults import FaultyAuthority
    from tests.servers.bed import Bed


def _signed_in(used: EmailSettings, authority: Authority, *, seconds: float) -> tuple[Tokens, TokenKeeper]:
    """A person's sign-in whose access token has so many seconds left."""
    store = MemoryTokenStore()
    keeper = keeper_of(used.incoming, store)
    sign_in(authority, keeper)
    put(keeper, store, keeper.state().access_token, seconds=seconds)
    return Tokens(store, "mail"), keeper


@pytest.mark.parametrize("kind", ["close", "hang"])
def test_lost_answer(bed: Bed, faulty_authority: FaultyAuthority, kind: Literal["close", "hang"]) -> None:
    """One error that may pass, one replay, then the call for a person; nothing is asked until one comes."""
    faulty, authority = faulty_authority, faulty_authority.authority
    used = settings(bed, faulty, timeout=2, **PERSON)
    tokens, keeper = _signed_in(used, authority, seconds=-1)
    faulty.answers["token"] = Answer(kind=kind, pass_on=True)
    with pytest.raises(EmailError) as lost:
        open_mailbox(used, tokens=tokens)
    assert lost.value.retryable
    assert not keeper.state().is_dead
    del faulty.answers["token"]
    with pytest.raises(SignInRequiredError, match="run `airflow email-conn login mail`"):
        open_mailbox(used, tokens=tokens)
    assert (authority.counts().refresh_token, authority.counts().replays) == (2, 1)
    asked = len(faulty.requests)
    for _ in range(3):
        with pytest.raises(SignInRequiredError, match="run `airflow email-conn login mail`"):
            open_mailbox(used, tokens=tokens)
    assert len(faulty.requests) == asked
    sign_in(authority, keeper)
    open_mailbox(used, tokens=tokens).close()
    renewed = keeper.renewed(keeper.state())
    assert renewed.error == ""
    open_mailbox(used, tokens=tokens).close()
    assert authority.counts().replays == 1


def test_lost_answer_before_the_token_ends(bed: Bed, faulty_authority: FaultyAuthority) -> None:
    """The token that is still good is used on; a person must sign in when it has ended, and no sooner."""
    faulty, authority = faulty_authority, faulty_authority.authority
    used = settings(bed, faulty, timeout=2, **PERSON)
    tokens, keeper = _signed_in(used, authority, seconds=200)
    faulty.answers["token"] = Answer(kind="close", pass_on=True)
    open_mailbox(used, tokens=tokens).close()
    del faulty.answers["token"]
    put(keeper, tokens.store, keeper.state().access_token, seconds=-1)
    with pytest.raises(SignInRequiredError, match="run `airflow email-conn login mail`"):
        open_mailbox(used, tokens=tokens)
    assert authority.counts().replays == 1
    sign_in(authority, keeper)
    open_mailbox(used, tokens=tokens).close()
