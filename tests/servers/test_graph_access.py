"""The fake Graph: who may do what, and whose mailbox it is."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING

from tests.contract.mails import plain
from tests.servers.graph.behaviours import Behaviour
from tests.servers.graph.probe import ROBOT, VENDOR, at, proves

if TYPE_CHECKING:
    from tests.servers.graph.probe import Probe


@proves(Behaviour.TOKEN_NEEDED)
def test_no_token_is_401(probe: Probe) -> None:
    """Neither without a token, nor with one that nobody issued."""
    for token in ("", "made-up"):
        probe.token = token
        probe.refused(probe.ask("GET", "/messages"), 401, "InvalidAuthenticationToken")


@proves(Behaviour.TOKEN_ENDS)
def test_an_old_token_is_401(probe: Probe) -> None:
    """A token that has ended."""
    probe.token = probe.graph.token(ROBOT, seconds=-1)
    probe.refused(probe.ask("GET", "/messages"), 401, "InvalidAuthenticationToken")


@proves(Behaviour.CLAIMS_CHALLENGE)
def test_a_challenge_names_the_claims(probe: Probe) -> None:
    """A token of before meets it, one of after does not."""
    probe.graph.challenge(ROBOT)
    response = probe.ask("GET", "/messages")
    probe.refused(response, 401, "InvalidAuthenticationToken")
    header = response.headers["www-authenticate"]
    assert 'error="insufficient_claims"' in header
    claims = json.loads(base64.b64decode(header.partition('claims="')[2].partition('"')[0]))
    assert int(claims["access_token"]["nbf"]["value"]) <= time.time()
    probe.token = probe.graph.token(ROBOT)
    probe.get("/messages")


@proves(Behaviour.PERMISSION_NEEDED)
def test_permissions(probe: Probe) -> None:
    """Reading does not write, writing reads, only sending sends."""
    probe.graph.append(ROBOT, plain())
    probe.token = probe.graph.token(None, {"Mail.Read"})
    probe.get("/messages")
    probe.refused(probe.post("/messages", {"subject": "x"}), 403, "ErrorAccessDenied")
    probe.token = probe.graph.token(None, {"Mail.ReadWrite"})
    probe.get("/messages")
    probe.refused(probe.post_mime("/sendMail", plain(sender=ROBOT)), 403, "ErrorAccessDenied")


@proves(Behaviour.OWN_MAILBOX_ONLY)
def test_a_person_opens_what_is_shared(probe: Probe) -> None:
    """The vendor's mailbox is closed to the robot until it is shared; an application opens all."""
    probe.root = probe.root.replace(ROBOT, VENDOR)
    probe.refused(probe.ask("GET", "/messages"), 403, "ErrorAccessDenied")
    probe.graph.mailbox(VENDOR).shared_with.add(ROBOT)
    probe.get("/messages")
    probe.token = probe.graph.token(None)
    probe.get("/messages")


@proves(Behaviour.ME_NEEDS_A_PERSON)
def test_me(probe: Probe) -> None:
    """/me is the token's person; an application has none."""
    sent = probe.graph.append(ROBOT, plain())
    probe.root = f"{probe.graph.url}/v1.0/me"
    assert probe.get(at(sent))["subject"] == "Hello"
    probe.token = probe.graph.token(None)
    probe.refused(probe.ask("GET", "/messages"), 400, "BadRequest")


@proves(Behaviour.MAILBOX_UNKNOWN)
def test_an_address_nobody_has(probe: Probe) -> None:
    """404, and a code that says it."""
    probe.token = probe.graph.token(None)
    probe.root = probe.root.replace(ROBOT, "nobody@example.test")
    probe.refused(probe.ask("GET", "/mailFolders/inbox"), 404, "ErrorInvalidUser")


@proves(Behaviour.MAILBOX_NOT_ENABLED)
def test_a_mailbox_without_licence(probe: Probe) -> None:
    """404, and another code."""
    probe.graph.mailbox(ROBOT).enabled = False
    probe.refused(probe.ask("GET", "/mailFolders/inbox"), 404, "MailboxNotEnabledForRESTAPI")


@proves(Behaviour.REQUEST_ID)
def test_request_ids(probe: Probe) -> None:
    """The client's id comes back; the server's stands in the header and in the error."""
    response = probe.ask("GET", "/messages", headers={"client-request-id": "mine"})
    assert response.headers.get("client-request-id") == "mine"
    response = probe.ask("GET", "/mailFolders/x")
    assert response.json()["error"]["innerError"].get("request-id") == response.headers["request-id"]


def test_wrong_ways(probe: Probe) -> None:
    """What there is not is 400, what cannot be done with it 405."""
    probe.refused(probe.ask("GET", "/nothing"), 400)
    probe.refused(probe.ask("PUT", "/messages"), 405)
    probe.refused(probe.ask("GET", f"{probe.graph.url}/"), 400)
    probe.refused(probe.ask("GET", "/messages", {"$nonsense": "1"}), 400)
    probe.refused(probe.ask("GET", f"{probe.root}/messages?$top=1&$top=2"), 400)
