"""Requests about folders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.servers.graph.behaviours import Behaviour
from tests.servers.graph.call import Reply
from tests.servers.graph.errors import bad_request
from tests.servers.graph.odata import parse_filter
from tests.servers.graph.pages import listed, page_of
from tests.servers.graph.projection import folder_json

if TYPE_CHECKING:
    from tests.servers.graph.call import Call
    from tests.servers.graph.items import Folder

__all__ = ["create", "find", "get", "list_children", "list_top"]


def find(call: Call, key: str) -> Folder:
    """The folder that a path names.

    :raises GraphError: there is none.
    """
    return call.mailbox.folder(key, by_name=call.site.has(Behaviour.WELL_KNOWN_NAMES))


def list_top(call: Call) -> Reply:
    """GET mailFolders."""
    return _listed(call, call.mailbox.root)


def list_children(call: Call, folder: str) -> Reply:
    """GET mailFolders/{id}/childFolders."""
    return _listed(call, find(call, folder))


def get(call: Call, folder: str) -> Reply:
    """GET mailFolders/{id}."""
    return Reply(200, _selected(call, folder_json(find(call, folder))))


def create(call: Call, folder: str = "msgfolderroot") -> Reply:
    """POST mailFolders, or mailFolders/{id}/childFolders."""
    body = call.request.json()
    name = body.get("displayName")
    if not isinstance(name, str) or not name:
        raise bad_request("ErrorInvalidArgument", "displayName is needed.")
    parent = find(call, folder) if folder != "msgfolderroot" else call.mailbox.root
    if not call.site.has(Behaviour.FOLDER_EXISTS):
        for child in parent.children:
            if child.name.casefold() == name.casefold():
                return Reply(201, folder_json(child))
    return Reply(201, folder_json(call.mailbox.add_folder(parent, name, hidden=bool(body.get("isHidden")))))


def _listed(call: Call, parent: Folder) -> Reply:
    query = {name.lower(): value for name, value in call.request.query.items()}
    with_hidden = query.get("includehiddenfolders", "").lower() == "true"
    found = parent.children if call.site.has(Behaviour.FOLDERS_ONE_LEVEL) else list(parent.tree())[1:]
    if not with_hidden and call.site.has(Behaviour.FOLDERS_HIDDEN):
        found = [folder for folder in found if not folder.hidden]
    if query.get("$filter") and call.site.has(Behaviour.FOLDER_FILTER):
        condition = parse_filter(query["$filter"], {"displayName": lambda folder: folder.name.casefold()})
        found = [folder for folder in found if condition.matches(folder)]
    usual = 10 if call.site.has(Behaviour.FOLDERS_BY_TEN) else 1000
    page, link = page_of(call.request, found, call.site, usual)
    shown = [_selected(call, folder_json(folder)) for folder in page]
    return listed(call.request, shown, "users('x')/mailFolders", link)


def _selected(call: Call, made: dict[str, Any]) -> dict[str, Any]:
    names = {name.strip() for name in call.request.query.get("$select", "").split(",") if name.strip()}
    if names - made.keys():
        raise bad_request(
            "RequestBroker--ParseUri", f"Could not find a property named {names - made.keys()}."
        )
    return {name: value for name, value in made.items() if not names or name in names or name == "id"}
