"""The fake Graph: how many requests at one time; what goes wrong on demand; how quick it is."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.contract.mails import RECEIVED, plain
from tests.servers.graph.behaviours import Behaviour
from tests.servers.graph.probe import ROBOT, VENDOR, at, proves

if TYPE_CHECKING:
    from tests.servers.graph.probe import Probe

BROKEN = (httpx.RemoteProtocolError, httpx.ReadError)
INBOX = "/mailFolders/inbox/messages"


@proves(Behaviour.FOUR_IN_FLIGHT)
def test_four_at_a_time(probe: Probe) -> None:
    """The fifth is refused; the peak is known, and is each mailbox's own."""
    probe.graph.site.latency = 0.3
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: probe.ask("GET", INBOX), range(6)))
    assert sorted({answer.status_code for answer in answers}) == [200, 429]
    refused = next(answer for answer in answers if answer.status_code == 429)
    probe.refused(refused, 429, "ApplicationThrottled")
    assert refused.headers["retry-after"].isdecimal()
    assert probe.graph.peak(ROBOT) == 6
    assert probe.graph.peak(VENDOR) == 0


def test_a_fault_hits_certain_requests(probe: Probe) -> None:
    """The second of its kind, once."""
    when = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=5), usegmt=True)
    fault = probe.graph.fault(
        r"GET .*/messages", status=429, code="TooManyRequests", headers={"Retry-After": when}, skip=1
    )
    answers = [probe.ask("GET", INBOX) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 429, 200]
    assert parsedate_to_datetime(answers[1].headers["retry-after"]) > datetime.now(timezone.utc)
    probe.refused(answers[1], 429, "TooManyRequests")
    assert fault.hits == 1


def test_a_fault_after_the_deed(probe: Probe) -> None:
    """The answer is lost, the mail is sent."""
    probe.graph.fault("POST .*/sendMail", status=504, after=True)
    assert probe.post_mime("/sendMail", plain(sender=ROBOT)).status_code == 504
    assert len(probe.graph.sent) == 1
    probe.graph.fault("POST .*/sendMail", status=504)
    assert probe.post_mime("/sendMail", plain(sender=ROBOT)).status_code == 504
    assert len(probe.graph.sent) == 1


@pytest.mark.parametrize("after", [False, True])
def test_connections_that_end(probe: Probe, *, after: bool) -> None:
    """Without an answer."""
    probe.graph.fault("POST .*/sendMail", kind="close", after=after)
    with pytest.raises(BROKEN):
        probe.post_mime("/sendMail", plain(sender=ROBOT))
    assert len(probe.graph.sent) == after


@pytest.mark.parametrize("path", ["/messages", "/$value"])
def test_connections_that_end_in_a_body(probe: Probe, path: str) -> None:
    """Of JSON, and of a stream."""
    mail = probe.graph.append(ROBOT, plain())
    probe.graph.fault("GET", kind="cut", octets=50)
    with pytest.raises(BROKEN):
        probe.ask("GET", at(mail) + path if path == "/$value" else path)


@pytest.mark.parametrize("kind", ["stall", "stall-body"])
def test_stalls(probe: Probe, kind: str) -> None:
    """Until the client gives up; then nothing is in flight any more."""
    probe.graph.fault("GET", kind=kind, octets=10)
    with pytest.raises(httpx.ReadTimeout):
        probe.ask("GET", INBOX, timeout=0.2)
    probe.eventually(lambda: [True] if not probe.graph.site.in_flight[ROBOT] else [])


def test_garbage(probe: Probe) -> None:
    """200, and no JSON."""
    probe.graph.fault("GET", kind="garbage")
    response = probe.ask("GET", INBOX)
    assert response.status_code == 200
    with pytest.raises(ValueError, match="decode"):
        response.json()


def test_what_came(probe: Probe) -> None:
    """Without the token, so that it can be shown."""
    probe.ask("GET", INBOX, {"$top": "1"}, headers={"client-request-id": "mine"})
    seen = probe.graph.requests[-1]
    assert (seen.method, seen.path, seen.query) == (
        "GET",
        f"/v1.0/users/{ROBOT}{INBOX}",
        "%24top=1",
    )
    assert (seen.headers["client-request-id"], seen.status, seen.in_flight) == ("mine", 200, 1)
    assert probe.token not in repr(seen.headers)


def test_what_breaks_the_schema_is_noted(probe: Probe) -> None:
    """A misspelt name, and a body where none belongs."""
    mail = probe.graph.append(ROBOT, plain())
    probe.ask("PATCH", at(mail), json={"isread": True})
    probe.ask("POST", f"{at(mail)}/permanentDelete", json={"x": 1})
    assert len(probe.graph.violations) == 2
    probe.graph.violations.clear()


def test_a_fault_of_the_fakes_own_is_noted(probe: Probe) -> None:
    """It does not pass for an outage of Graph."""
    assert probe.post("/messages", {"toRecipients": [{}]}).status_code == 500
    assert any("the fake failed" in text for text in probe.graph.violations)
    probe.graph.violations.clear()


def test_ten_thousand(probe: Probe) -> None:
    """Lists and pages of delta take less than 0.2 s each."""
    raw = plain(7)
    for number in range(10_000):
        made = raw.replace(b"plain-7", b"plain-%d" % number)
        probe.graph.append(ROBOT, made, when=RECEIVED + timedelta(seconds=number))
    condition = "receivedDateTime ge 1900-01-01T00:00:00Z and contains(subject,'ell')"
    query = {"$filter": condition, "$orderby": "receivedDateTime desc", "$top": "500"}
    took = []
    for path, options in (
        (INBOX, {**query, "$select": "subject,from"}),
        (f"{INBOX}/delta", {"$select": "id"}),
    ):
        begin, count = time.perf_counter(), 0
        for page in probe.pages(path, options, Prefer="odata.maxpagesize=500"):
            count += len(page["value"])
            took.append(time.perf_counter() - begin)
            begin = time.perf_counter()
        assert count >= 10_000
    assert sorted(took)[len(took) // 2] < 0.2
