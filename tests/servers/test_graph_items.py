"""The fake Graph: one message, its id, its content, its changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.contract.mails import CSV, PNG, invoice, plain
from tests.servers.graph.behaviours import Behaviour
from tests.servers.graph.blobs import Blob
from tests.servers.graph.mime import Attachment
from tests.servers.graph.probe import IMMUTABLE, ROBOT, at, proves

if TYPE_CHECKING:
    from tests.servers.graph.probe import Probe

ARCHIVE = {"destinationId": "archive"}


@proves(Behaviour.MOVING_CHANGES_ID)
def test_moving_changes_the_ordinary_id(probe: Probe) -> None:
    """The old one is 404."""
    mail = probe.graph.append(ROBOT, plain())
    old = at(mail)
    response = probe.post(f"{old}/move", ARCHIVE)
    assert response.status_code == 201
    assert at(response.json()["id"]) != old
    probe.refused(probe.ask("GET", old), 404, "ErrorItemNotFound")
    assert probe.get(at(response.json()["id"]))["subject"] == "Hello"


@proves(Behaviour.IMMUTABLE_ID)
def test_an_immutable_id_stays(probe: Probe) -> None:
    """Whatever folder the mail is in; it is another one than the ordinary id."""
    mail = probe.graph.append(ROBOT, plain())
    key = probe.get(at(mail), **IMMUTABLE)["id"]
    assert key != probe.get(at(mail))["id"]
    moved = probe.post(f"{at(key)}/move", ARCHIVE, **IMMUTABLE).json()
    assert moved["id"] == key
    assert probe.get(at(key), **IMMUTABLE)["parentFolderId"] == moved["parentFolderId"]


@proves(Behaviour.ID_CASE)
def test_ids_have_a_case(probe: Probe) -> None:
    """Another case is another mail."""
    mail = probe.graph.append(ROBOT, plain())
    probe.get(at(mail))
    assert probe.ask("GET", at(mail.ordinary_id.swapcase())).status_code == 404


@proves(Behaviour.ID_NEEDS_QUOTING)
def test_ids_need_quoting(probe: Probe) -> None:
    """They hold what means something in a path."""
    keys = [probe.get(at(probe.graph.append(ROBOT, plain(number))))["id"] for number in range(20)]
    assert {"/", "+", "="} <= set("".join(keys))
    with_slash = next(key for key in keys if "/" in key)
    assert probe.ask("GET", f"/messages/{with_slash}").status_code == 400


@proves(Behaviour.ID_MALFORMED)
def test_what_is_no_id(probe: Probe) -> None:
    """400, not 404."""
    probe.refused(probe.ask("GET", "/messages/nonsense"), 400, "ErrorInvalidIdMalformed")


@proves(Behaviour.VALUE_IS_MIME)
def test_the_value_of_a_message(probe: Probe) -> None:
    """Its MIME; a folder in the path does not matter."""
    raw = invoice()
    mail = probe.graph.append(ROBOT, raw)
    assert probe.ask("GET", f"{at(mail)}/$value").content == raw
    assert probe.ask("GET", f"/mailFolders/inbox{at(mail)}/$value").content == raw


@proves(Behaviour.ATTACHMENT_VALUE)
def test_the_values_of_attachments(probe: Probe) -> None:
    """Files as they are, items as MIME or iCalendar."""
    mail = probe.graph.append(ROBOT, invoice())
    event = b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"
    probe.graph.attach(ROBOT, mail, Attachment("Meeting", Blob([event]), kind="item", item="event"))
    listed = probe.get(f"{at(mail)}/attachments", {"$select": "name,contentType"})["value"]
    kinds = [one["@odata.type"].removeprefix("#microsoft.graph.") for one in listed]
    assert kinds == ["fileAttachment", "fileAttachment", "itemAttachment", "itemAttachment"]
    paths = [f"{at(mail)}/attachments/{one['id'].replace('/', '%2F')}" for one in listed]
    values = [probe.ask("GET", f"{path}/$value").content for path in paths]
    assert values[:2] == [PNG, CSV]
    assert values[2].startswith(b"Subject: The order")
    assert values[3] == event
    item = probe.get(paths[3], {"$expand": "microsoft.graph.itemattachment/item"})["item"]
    assert item["@odata.type"] == "#microsoft.graph.event"


@proves(Behaviour.REFERENCE_HAS_NO_VALUE)
def test_a_reference_has_no_value(probe: Probe) -> None:
    """It is a link."""
    mail = probe.graph.append(ROBOT, plain())
    probe.graph.attach(ROBOT, mail, Attachment("Plan.docx", Blob(), kind="reference", url="https://x.test/"))
    [reference] = probe.get(f"{at(mail)}/attachments")["value"]
    assert reference["@odata.type"] == "#microsoft.graph.referenceAttachment"
    path = f"{at(mail)}/attachments/{reference['id'].replace('/', '%2F')}/$value"
    assert probe.ask("GET", path).status_code == 405


@proves(Behaviour.ATTACHMENT_SIZE)
def test_the_size_of_an_attachment(probe: Probe) -> None:
    """More than the file's."""
    mail = probe.graph.append(ROBOT, invoice())
    file = probe.get(f"{at(mail)}/attachments")["value"][1]
    assert file["size"] > len(CSV)


def test_changes(probe: Probe) -> None:
    """What may be changed is changed, and nothing else; reading changes nothing."""
    mail = probe.graph.append(ROBOT, plain())
    before = probe.get(at(mail))
    assert before["isRead"] is False
    changes = {
        "isRead": True,
        "flag": {"flagStatus": "flagged"},
        "categories": ["Red"],
        "importance": "high",
        "inferenceClassification": "other",
    }
    after = probe.ask("PATCH", at(mail), json=changes).json()
    assert after == {**before, **changes, **{name: after[name] for name in _STAMPS}}
    found = probe.get("/messages", {"$filter": "categories/any(c:c eq 'red')"})["value"]
    assert [one["id"] for one in found] == [before["id"]]


_STAMPS = ("@odata.etag", "changeKey", "lastModifiedDateTime")


@proves(Behaviour.SENSITIVE_PROPERTIES)
def test_sensitive_properties(probe: Probe) -> None:
    """The subject of what is no draft stays."""
    mail = probe.graph.append(ROBOT, plain())
    probe.refused(probe.ask("PATCH", at(mail), json={"subject": "Other"}), 403, "ErrorAccessDenied")
    assert "changes" not in probe.graph.violations.pop()


@proves(Behaviour.DELETE_KEEPS)
def test_deleting_twice_is_for_good(probe: Probe) -> None:
    """At first a mail goes to Deleted Items."""
    mail = probe.graph.append(ROBOT, plain())
    assert probe.ask("DELETE", at(mail)).status_code == 204
    [kept] = probe.get("/mailFolders/deleteditems/messages")["value"] or [None]
    assert kept
    assert probe.ask("DELETE", at(kept["id"])).status_code == 204
    assert probe.get("/messages")["value"] == []
    gone = probe.graph.append(ROBOT, plain())
    assert probe.post(f"{at(gone)}/permanentDelete").status_code == 204
    assert probe.get("/messages")["value"] == []


@proves(Behaviour.COPY_IS_NEW)
def test_copies(probe: Probe) -> None:
    """They have ids of their own, and the flags of what they are copies of."""
    mail = probe.graph.append(ROBOT, plain(), flags="\\Seen")
    response = probe.post(f"{at(mail)}/copy", ARCHIVE, **IMMUTABLE)
    assert response.status_code == 201
    assert response.json()["id"] != mail.id
    assert response.json()["isRead"] is True
    assert len(probe.get("/messages")["value"]) == 2
