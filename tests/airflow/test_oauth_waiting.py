"""A trigger that waits longer than its access tokens live: it signs in anew in time, and no mail is lost."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_email_conn.hooks.mail import EmailHook
from airflow_email_conn.hooks.tokens import tokens_of
from airflow_email_conn.model.query import MailQuery
from airflow_email_conn.watch import MailWatch
from tests.airflow.oauth import oauth_form, sign_in
from tests.airflow.waits import event, meanwhile, trigger
from tests.contract.mails import invoice, plain

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_email_conn.backends.base import Mailbox
    from tests.servers.authority import Authority
    from tests.servers.bed import Bed

ALICE = "alice@example.test"
LIFE = 4  # seconds of an access token


@pytest.fixture(autouse=True)
def signed_in(bed: Bed, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alice has signed in; her mailbox is empty."""
    bed.empty(ALICE)
    form = oauth_form(bed, authority, ALICE, kind="device_flow")
    monkeypatch.setenv("AIRFLOW_CONN_EMAIL_DEFAULT", json.dumps(form))
    store = "airflow_email_conn.token_store.FileTokenStore"  # needs no time to be sure of the lease
    monkeypatch.setenv("AIRFLOW__EMAIL_CONN__TOKEN_STORE", store)
    monkeypatch.setenv("AIRFLOW__EMAIL_CONN__TOKEN_STORE_KWARGS", json.dumps({"directory": str(tmp_path)}))
    authority.ttl(access=LIFE)
    sign_in(authority, ALICE)


def logins(bed: Bed) -> int:
    """How often Alice has signed in to IMAP by a token."""
    log = (bed.directory / "log/dovecot.log").read_text(encoding="utf-8", errors="replace")
    return len(re.findall(rf"imap-login: .*Login: user=<{ALICE}>, method=OAUTHBEARER", log))


def subjects(mailbox: Mailbox) -> set[str]:
    """Of all mails."""
    return {mail.subject for mail in mailbox.search(MailQuery())}


async def watched(watch: MailWatch, seconds: float) -> list[tuple[float, set[str]]]:
    """What is seen for so long, and when, as time.monotonic."""
    seen = []
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        found = await watch.ask(subjects)
        seen.append((time.monotonic(), found))
        await watch.change(left)
    return seen


async def delivered(bed: Bed, seconds: float) -> dict[str, float]:
    """Mails that arrive one after the other for so long, and when."""
    sent: dict[str, float] = {}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        subject = f"mail {len(sent)}"
        await asyncio.to_thread(bed.append, ALICE, plain(subject=subject))
        sent[subject] = time.monotonic()
        await asyncio.sleep(0.4)
    return sent


def test_each_mail_is_seen_at_once_around_the_renewals(bed: Bed, authority: Authority) -> None:
    """Mails come all the time, and the session is renewed again and again: each is told of by the server."""
    before = logins(bed)
    settings = EmailHook().settings
    watch = MailWatch(
        settings, "INBOX", flags=False, refresh=300, interval=300, tokens=tokens_of("email_default")
    )

    async def both() -> tuple[list[tuple[float, set[str]]], dict[str, float]]:
        seen, sent = await asyncio.gather(watched(watch, 3 * LIFE), delivered(bed, 3 * LIFE - 3))
        return seen, sent

    try:
        seen, sent = asyncio.run(both())
    finally:
        watch.close()
    late = {
        subject: delay
        for subject, when in sent.items()
        if (delay := next(at for at, found in seen if subject in found) - when) > 2.5
    }
    assert not late
    assert len(sent) > 10
    assert 3 <= logins(bed) - before <= 8
    assert authority.counts().replays == 0


def test_trigger_renews_and_finds(bed: Bed, authority: Authority) -> None:
    """Nothing comes for longer than two tokens live, then the mail."""
    before = logins(bed)

    async def run() -> dict[str, Any]:
        async with meanwhile(trigger(idle_refresh=300.0, poll_interval=300.0)) as (task,):
            await asyncio.sleep(2.5 * LIFE)
            assert not task.done()
            await asyncio.to_thread(bed.append, ALICE, invoice())
            return await asyncio.wait_for(task, 10)

    assert asyncio.run(run())["status"] == "found"
    assert logins(bed) - before >= 3
    assert authority.counts().refresh_token >= 2


def test_trigger_on_pop3(bed: Bed, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look is a sign-in of its own, with a token that lives."""
    form = oauth_form(bed, authority, ALICE, kind="device_flow", protocol="pop3")
    monkeypatch.setenv("AIRFLOW_CONN_EMAIL_DEFAULT", json.dumps(form))
    sign_in(authority, ALICE)

    async def run() -> dict[str, Any]:
        async with meanwhile(trigger(poll_interval=1.0)) as (task,):
            await asyncio.sleep(2 * LIFE)
            assert not task.done()
            await asyncio.to_thread(bed.append, ALICE, invoice())
            return await asyncio.wait_for(task, 10)

    payload = asyncio.run(run())
    assert payload["status"] == "found"
    assert authority.counts().refresh_token >= 1


def test_trigger_without_a_sign_in(bed: Bed, authority: Authority) -> None:
    """It ends at once, with what to do."""
    authority.revoke_grants(ALICE)
    server = EmailHook().settings.incoming
    assert server
    tokens_of("").of(server).forget()
    payload = asyncio.run(event(trigger()))
    assert payload["status"] == "error"
    assert "airflow email-conn login email_default" in payload["message"]
