"""The fake Graph: folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.servers.graph.behaviours import Behaviour
from tests.servers.graph.probe import ROBOT, proves

if TYPE_CHECKING:
    from tests.servers.graph.probe import Probe


@proves(Behaviour.WELL_KNOWN_NAMES)
def test_well_known_names(probe: Probe) -> None:
    """They stand for ids, though the folders are shown in German."""
    response = probe.ask("GET", "/mailFolders/inbox")
    assert response.status_code == 200
    assert response.json()["displayName"] == "Posteingang"


@proves(Behaviour.FOLDERS_BY_TEN)
def test_ten_folders_a_page(probe: Probe) -> None:
    """And more when asked for."""
    for number in range(8):
        assert probe.post("/mailFolders", {"displayName": f"Folder {number}"}).status_code == 201
    pages = list(probe.pages("/mailFolders"))
    assert [len(page["value"]) for page in pages] == [10, 5]
    assert len(probe.get("/mailFolders", {"$top": "100"})["value"]) == 15


@proves(Behaviour.FOLDERS_ONE_LEVEL)
def test_one_level(probe: Probe) -> None:
    """A folder's children are listed below it alone."""
    probe.graph.mailbox(ROBOT).folder_at(["A", "with / in it"])
    top = probe.get("/mailFolders", {"$top": "100"})["value"]
    [parent] = [folder for folder in top if folder["displayName"] == "A"]
    assert "with / in it" not in {folder["displayName"] for folder in top}
    assert parent["childFolderCount"] == 1
    below = probe.get(f"/mailFolders/{parent['id'].replace('/', '%2F')}/childFolders")["value"]
    assert [folder["displayName"] for folder in below] == ["with / in it"]
    assert below[0]["parentFolderId"] == parent["id"]


@proves(Behaviour.FOLDERS_HIDDEN)
def test_hidden_folders(probe: Probe) -> None:
    """They come when they are asked for."""
    assert "Verborgen" not in {folder["displayName"] for folder in probe.get("/mailFolders")["value"]}
    shown = probe.get("/mailFolders", {"includeHiddenFolders": "true"})["value"]
    assert [folder["displayName"] for folder in shown if folder["isHidden"]] == ["Verborgen"]


@proves(Behaviour.FOLDER_EXISTS)
def test_a_name_is_taken_once(probe: Probe) -> None:
    """In whatever case."""
    assert probe.post("/mailFolders", {"displayName": "Done"}).status_code == 201
    probe.refused(probe.post("/mailFolders", {"displayName": "DONE"}), 409, "ErrorFolderExists")


@proves(Behaviour.FOLDER_FILTER)
def test_a_folder_by_name(probe: Probe) -> None:
    """Quotes are doubled; the case does not matter."""
    for name in ("Ann's mail", "Others"):
        probe.graph.mailbox(ROBOT).folder_at(name)
    found = probe.get("/mailFolders", {"$filter": "displayName eq 'ann''s mail'"})["value"]
    assert [folder["displayName"] for folder in found] == ["Ann's mail"]
