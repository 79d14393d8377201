"""The fake Graph: sending."""

from __future__ import annotations

import base64
import email
import time
from typing import TYPE_CHECKING, Any

from tests.contract.mails import invoice, plain
from tests.servers.graph.app import BODY_LIMIT
from tests.servers.graph.behaviours import Behaviour
from tests.servers.graph.probe import IMMUTABLE, ROBOT, VENDOR, at, proves

if TYPE_CHECKING:
    from tests.servers.graph.probe import Probe

SENT = "/mailFolders/sentitems/messages"


def mail(to: str = VENDOR, extra: str = "") -> bytes:
    """A mail of the robot's."""
    return (
        f"{extra}From: {ROBOT}\r\nTo: {to}\r\nMessage-ID: <sent-1@x.test>\r\nSubject: S\r\n\r\nT\r\n".encode()
    )


def as_json(**more: Any) -> dict[str, Any]:
    """The same as JSON."""
    recipient = {"emailAddress": {"address": VENDOR}}
    body = {"contentType": "text", "content": "T"}
    return {"message": {"subject": "S", "body": body, "toRecipients": [recipient], **more}}


@proves(Behaviour.SEND_ACCEPTS)
def test_accepted(probe: Probe) -> None:
    """202, nothing more; it is delivered and in Sent Items, both ways."""
    for response in (probe.post_mime("/sendMail", mail()), probe.post("/sendMail", as_json())):
        assert (response.status_code, response.content) == (202, b"")
    for received in probe.graph.messages(VENDOR):
        assert received.parsed.text("Subject") == "S"
        assert received.parsed.body[1].strip() == "T"
        assert received.parsed.addresses("From")[0]["emailAddress"]["address"] == ROBOT
    assert len(probe.graph.messages(VENDOR)) == 2
    assert [sent.recipients for sent in probe.graph.sent] == [(VENDOR,), (VENDOR,)]
    probe.eventually(lambda: (len(probe.get(SENT)["value"]) == 2 and [True]) or [])


@proves(Behaviour.SENT_ITEMS_LATER)
def test_sent_items_come_later(probe: Probe) -> None:
    """Not at once; then with the Message-ID that was given."""
    probe.graph.site.sent_delay = 0.2
    probe.post_mime("/sendMail", mail())
    query = {"$filter": "internetMessageId eq '<sent-1@x.test>'"}
    assert probe.get(SENT, query)["value"] == []
    [copy] = probe.eventually(lambda: probe.get(SENT, query)["value"])
    assert (copy["isDraft"], copy["isRead"]) == (False, True)


@proves(Behaviour.SAVE_TO_SENT_ITEMS)
def test_no_copy(probe: Probe) -> None:
    """When none is wanted."""
    probe.graph.site.sent_delay = 0.0
    assert probe.post("/sendMail", {**as_json(), "saveToSentItems": False}).status_code == 202
    time.sleep(0.05)
    assert probe.get("/messages")["value"] == []
    assert len(probe.graph.messages(VENDOR)) == 1


@proves(Behaviour.MIME_IN_BASE64)
def test_mime_is_base64(probe: Probe) -> None:
    """In lines or not."""
    headers = {"Content-Type": "text/plain"}
    response = probe.ask("POST", "/sendMail", headers=headers, content=mail())
    probe.refused(response, 400, "ErrorMimeContentInvalidBase64String")
    response = probe.ask("POST", "/sendMail", headers=headers, content=base64.encodebytes(mail()))
    assert response.status_code == 202


@proves(Behaviour.BODY_LIMIT)
def test_the_limit_of_bodies(probe: Probe) -> None:
    """4 MB, of base64."""
    text = mail() + b"x" * (BODY_LIMIT // 4 * 3)
    probe.refused(probe.post_mime("/sendMail", text), 413)
    assert probe.post_mime("/sendMail", text[: BODY_LIMIT // 4 * 3]).status_code == 202


@proves(Behaviour.BCC_IS_STRIPPED)
def test_bcc(probe: Probe) -> None:
    """Delivered to, and not shown to anybody but in Sent Items."""
    probe.post_mime("/sendMail", mail("other@elsewhere.test", f"Bcc: a@elsewhere.test,\r\n {VENDOR}\r\n"))
    [received] = probe.graph.messages(VENDOR)
    assert received.parsed.addresses("Bcc") == []
    [copy] = probe.eventually(lambda: probe.get(SENT)["value"])
    assert len(copy["bccRecipients"]) == 2


@proves(Behaviour.RECIPIENTS_NEEDED)
def test_recipients_are_needed(probe: Probe) -> None:
    """At least one."""
    probe.refused(probe.post_mime("/sendMail", mail("")), 400, "ErrorInvalidRecipients")
    assert probe.get("/messages")["value"] == []


@proves(Behaviour.SEND_AS_DENIED)
def test_send_as(probe: Probe) -> None:
    """Another's address needs a right; then it works."""
    raw = mail().replace(f"From: {ROBOT}".encode(), f"From: {VENDOR}".encode())
    probe.refused(probe.post_mime("/sendMail", raw), 403, "ErrorSendAsDenied")
    probe.graph.mailbox(ROBOT).send_as.add(VENDOR)
    assert probe.post_mime("/sendMail", raw).status_code == 202


@proves(Behaviour.UNDELIVERABLE)
def test_undeliverable(probe: Probe) -> None:
    """Accepted; a report comes. Of other domains nothing is known."""
    assert probe.post_mime("/sendMail", mail("no@elsewhere.test, nobody@example.test")).status_code == 202
    [report] = probe.get("/mailFolders/inbox/messages")["value"] or [{"subject": ""}]
    assert report["subject"] == "Undeliverable"


@proves(Behaviour.FIVE_HEADERS)
def test_five_headers(probe: Probe) -> None:
    """More only as MIME."""
    headers = [{"name": f"X-{number}", "value": "v"} for number in range(6)]
    response = probe.post("/sendMail", as_json(internetMessageHeaders=headers))
    probe.refused(response, 400, "InvalidInternetMessageHeaderCollection")
    assert probe.post("/sendMail", as_json(internetMessageHeaders=headers[:5])).status_code == 202
    assert probe.graph.messages(VENDOR)[0].parsed.text("X-4") == "v"


@proves(Behaviour.X_HEADERS)
def test_headers_begin_with_x(probe: Probe) -> None:
    """In-Reply-To cannot be given so."""
    headers = [{"name": "In-Reply-To", "value": "<a@b>"}]
    response = probe.post("/messages", {"internetMessageHeaders": headers})
    probe.refused(response, 400, "InvalidInternetMessageHeader")


@proves(Behaviour.SEND_DRAFT)
def test_a_sent_draft_keeps_its_id(probe: Probe) -> None:
    """The immutable one: in Drafts, and in Sent Items."""
    probe.graph.site.sent_delay = 0.1
    draft = probe.post_mime("/messages", mail(), **IMMUTABLE).json()
    assert (draft["isDraft"], draft["internetMessageId"]) == (True, "<sent-1@x.test>")
    assert draft["parentFolderId"] == probe.get("/mailFolders/drafts")["id"]
    response = probe.post(f"{at(draft['id'])}/send")
    assert (response.status_code, response.content) == (202, b"")
    [copy] = probe.eventually(lambda: probe.get(SENT, **IMMUTABLE)["value"])
    assert (copy["id"], copy["isDraft"]) == (draft["id"], False)
    assert len(probe.graph.messages(VENDOR)) == 1


@proves(Behaviour.SENT_DRAFT_IS_AWAY)
def test_a_sent_draft_is_away_for_a_while(probe: Probe) -> None:
    """Neither a draft any more, nor in Sent Items."""
    probe.graph.site.sent_delay = 0.2
    draft = probe.post_mime("/messages", mail(), **IMMUTABLE).json()
    probe.post(f"{at(draft['id'])}/send")
    probe.refused(probe.ask("GET", at(draft["id"])), 404, "ErrorItemNotFound")
    probe.eventually(lambda: probe.get(SENT)["value"])
    assert probe.get(at(draft["id"]))["isDraft"] is False


@proves(Behaviour.SEND_DRAFTS_ONLY)
def test_only_drafts_are_sent(probe: Probe) -> None:
    """Nothing is sent twice by mistake."""
    received = probe.graph.append(ROBOT, plain(sender=ROBOT))
    assert probe.post(f"{at(received)}/send").status_code == 400
    assert not probe.graph.sent


def test_drafts_by_json(probe: Probe) -> None:
    """With attachments, properties of one's own, and a small attachment that comes later."""
    file = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "ä.txt", "contentBytes": "aGVsbG8="}
    properties = [{"id": "String {00020329-0000-0000-C000-000000000046} Name key", "value": "1"}]
    message = {**as_json()["message"], "attachments": [file], "singleValueExtendedProperties": properties}
    draft = probe.post("/messages", message).json()
    assert probe.post(f"{at(draft['id'])}/attachments", {**file, "name": "b.txt"}).status_code == 201
    expand = f"singleValueExtendedProperties($filter=id eq '{properties[0]['id']}')"
    shown = probe.get(at(draft["id"]), {"$expand": expand})
    assert shown["singleValueExtendedProperties"] == properties
    listed = probe.get(f"{at(draft['id'])}/attachments")["value"]
    assert [one["name"] for one in listed] == ["ä.txt", "b.txt"]
    probe.post(f"{at(draft['id'])}/send")
    [received] = probe.graph.messages(VENDOR)
    assert [one.content.read() for one in received.attachments] == [b"hello", b"hello"]


def test_the_mime_of_a_draft_with_attachments(probe: Probe) -> None:
    """Whole, and of one piece: what was there and what came to it."""
    draft = probe.post_mime("/messages", invoice()).json()
    file = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "n.bin", "contentBytes": "AAEC"}
    probe.post(f"{at(draft['id'])}/attachments", {**file, "contentId": "c@x", "isInline": True})
    read = email.message_from_bytes(probe.ask("GET", f"{at(draft['id'])}/$value").content)
    assert read["Message-ID"] == "<invoice-1@acme.com>"
    assert not read.defects
    parts = list(read.walk())
    assert "rechnung märz.csv" in {str(part.get_filename()) for part in parts} | {"rechnung märz.csv"}
    assert parts[-1].get_payload(decode=True) == b"\0\1\2"
    assert parts[-1]["Content-ID"] == "<c@x>"
