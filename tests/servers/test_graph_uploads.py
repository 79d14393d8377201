"""The fake Graph: upload sessions."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from tests.contract.mails import plain
from tests.servers.graph.attachments import SMALL
from tests.servers.graph.behaviours import Behaviour
from tests.servers.graph.probe import ROBOT, VENDOR, at, proves
from tests.servers.graph.uploads import PIECE_LIMIT

if TYPE_CHECKING:
    import httpx

    from tests.servers.graph.probe import Probe

SIZE = SMALL + 1000
HALF = SIZE // 2
CONTENT = bytes(range(256)) * (SIZE // 256 + 1)


def draft(probe: Probe) -> str:
    """The path of a new draft."""
    raw = plain(sender=ROBOT).replace(b"To: robot@example.test", f"To: {VENDOR}".encode())
    return at(probe.post_mime("/messages", raw).json()["id"])


def ask_for(probe: Probe, where: str, size: int = SIZE) -> httpx.Response:
    """A session."""
    item = {"attachmentType": "file", "name": "large.bin", "size": size}
    return probe.post(f"{where}/attachments/createUploadSession", {"AttachmentItem": item})


def session(probe: Probe, size: int = SIZE) -> dict[str, Any]:
    """A session of a new draft."""
    response = ask_for(probe, draft(probe), size)
    assert response.status_code == 201
    answer: dict[str, Any] = response.json()
    return answer


@proves(Behaviour.UPLOAD_MINIMUM)
def test_small_files_have_no_session(probe: Probe) -> None:
    """Below 3 MB."""
    where = draft(probe)
    response = ask_for(probe, where, SMALL - 1)
    probe.refused(response, 400, "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize")
    assert ask_for(probe, where, SMALL).status_code == 201


@proves(Behaviour.ATTACH_MAXIMUM)
def test_large_files_need_a_session(probe: Probe) -> None:
    """The limit of bodies comes first, where it is in force."""
    with probe.graph.without(Behaviour.BODY_LIMIT, *probe.graph.site.off):
        content = base64.b64encode(bytes(SMALL)).decode()
        file = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "x", "contentBytes": content}
        probe.refused(probe.post(f"{draft(probe)}/attachments", file), 413)


@proves(Behaviour.UPLOAD_ELSEWHERE)
def test_the_address_is_elsewhere(probe: Probe) -> None:
    """Another host, another port."""
    url = session(probe)["uploadUrl"]
    assert url.startswith("https://127.0.0.1:")
    assert str(probe.graph.port) not in url


@proves(Behaviour.UPLOAD_WITHOUT_TOKEN)
def test_no_token_there(probe: Probe) -> None:
    """It is refused, and noted."""
    url = session(probe)["uploadUrl"]
    response = probe.put(url, CONTENT[:HALF], 0, SIZE, Authorization=f"Bearer {probe.token}")
    assert response.status_code == 401
    assert "Authorization" in probe.graph.violations.pop()
    assert probe.put(url, CONTENT[:HALF], 0, SIZE).status_code == 200


@proves(Behaviour.UPLOAD_IN_ORDER)
def test_pieces_come_in_order(probe: Probe) -> None:
    """Neither later ones nor the same once more; and the range fits the body."""
    url = session(probe)["uploadUrl"]
    assert probe.put(url, CONTENT[HALF:SIZE], HALF, SIZE).status_code == 416
    assert probe.put(url, CONTENT[:HALF], 0, SIZE).status_code == 200
    assert probe.put(url, CONTENT[:HALF], 0, SIZE).status_code == 416
    assert probe.put(url, CONTENT[:10], HALF, SIZE + 1).status_code == 400


@proves(Behaviour.UPLOAD_PIECE_LIMIT)
def test_the_size_of_pieces(probe: Probe) -> None:
    """Below 4 MB."""
    url = session(probe, 2 * PIECE_LIMIT)["uploadUrl"]
    assert probe.put(url, bytes(PIECE_LIMIT), 0, 2 * PIECE_LIMIT).status_code == 413
    assert probe.put(url, bytes(PIECE_LIMIT - 1), 0, 2 * PIECE_LIMIT).status_code == 200


@proves(Behaviour.UPLOAD_NEXT)
def test_what_is_next(probe: Probe) -> None:
    """With a dash at first, without one later."""
    made = session(probe)
    assert made["nextExpectedRanges"] == ["0-"]
    answer = probe.put(made["uploadUrl"], CONTENT[:HALF], 0, SIZE).json()
    assert answer["nextExpectedRanges"] == [str(HALF)]


@proves(Behaviour.UPLOAD_ANSWER)
def test_the_spelling_of_answers(probe: Probe) -> None:
    """Graph's at first, then Outlook's."""
    made = session(probe)
    assert "expirationDateTime" in made
    answer = probe.put(made["uploadUrl"], CONTENT[:HALF], 0, SIZE).json()
    assert answer.get("ExpirationDateTime") == made["expirationDateTime"]


@proves(Behaviour.UPLOAD_STATUS)
def test_asking_what_is_next(probe: Probe) -> None:
    """After a fault."""
    url = session(probe)["uploadUrl"]
    probe.put(url, CONTENT[:HALF], 0, SIZE)
    response = probe.http.get(url)
    assert response.status_code == 200
    assert response.json()["nextExpectedRanges"] == [str(HALF)]


@proves(Behaviour.UPLOAD_LAST)
def test_the_last_piece(probe: Probe) -> None:
    """201 and Location; the attachment is there, is sent, and arrives."""
    where = draft(probe)
    url = ask_for(probe, where).json()["uploadUrl"]
    probe.put(url, CONTENT[:HALF], 0, SIZE)
    response = probe.put(url, CONTENT[HALF:SIZE], HALF, SIZE)
    assert (response.status_code, response.content) == (201, b"")
    [file] = probe.get(f"{where}/attachments", {"$select": "id,name,size"})["value"]
    assert f"Attachments('{file['id']}')" in response.headers["location"]
    assert probe.http.get(url).status_code == 404
    assert probe.post(f"{where}/send").status_code == 202
    [received] = probe.graph.messages(VENDOR)
    assert received.attachments[-1].content.read() == CONTENT[:SIZE]


@proves(Behaviour.UPLOAD_CANCEL)
def test_cancelling(probe: Probe) -> None:
    """204, and it is gone."""
    url = session(probe)["uploadUrl"]
    assert probe.http.delete(url).status_code == 204
    assert probe.put(url, CONTENT[:HALF], 0, SIZE).status_code == 404
