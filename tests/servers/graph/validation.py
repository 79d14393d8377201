"""What was sent either way, held against ``schema.json``.

A test must not pass because the fake is easy-going: the request that a real Graph would refuse for its form
is noted (``GraphServer.violations``), and so is an answer that Graph would not give.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.graph.call import Reply, Request

__all__ = ["problems_of_reply", "problems_of_request"]

_SCHEMA = Path(__file__).with_name("schema.json")
#: Request bodies by method and the route's last segment; of actions, whose names are read in any case, True.
_BODIES = {
    ("PATCH", "{message}"): ("changes", False),
    ("POST", "move"): ("destination", True),
    ("POST", "copy"): ("destination", True),
    ("POST", "sendMail"): ("mailToSend", True),
    ("POST", "createUploadSession"): ("newUpload", True),
    ("POST", "attachments"): ("newAttachment", False),
    ("POST", "messages"): ("newMessage", False),
    ("POST", "mailFolders"): ("newFolder", False),
    ("POST", "childFolders"): ("newFolder", False),
}
#: Of a page, so many items are looked at, from both ends: all are made by the same lines.
_ITEMS = 20


@cache
def _validator(name: str) -> Draft202012Validator:
    schema = json.loads(_SCHEMA.read_text(encoding="utf-8"))
    return Draft202012Validator({**schema, "$ref": f"#/$defs/{name}"})


def _problems(name: str, value: object, where: str) -> Iterator[str]:
    for error in _validator(name).iter_errors(value):
        yield f"{where}: {error.json_path}: {error.message[:300]}"


def problems_of_request(route: str, request: Request) -> list[str]:
    """What is wrong with the body of a request.

    :param route: its path as the table of routes has it.
    """
    where = f"request {request.method} {route}"
    kind = _BODIES.get((request.method, route.rpartition("/")[2]))
    if kind is None:
        return [f"{where}: has a body"] if request.body else []
    if request.is_mime:
        return []
    try:
        body = json.loads(request.body)
    except ValueError:
        return [f"{where}: is no JSON"]
    name, is_action = kind
    if is_action and isinstance(body, dict):
        body = {key.lower(): value for key, value in body.items()}
    return list(_problems(name, body, where))


def problems_of_reply(request: Request, reply: Reply) -> list[str]:
    """What is wrong with an answer."""
    body = reply.body
    if not isinstance(body, dict):
        return [] if reply.status < 400 else [f"status {reply.status} without an error"]
    where = f"answer to {request.method} {request.path}"
    if (reply.status >= 400) != ("error" in body):
        return [f"{where}: status {reply.status} does not fit the body"]
    found = list(_problems(_kind_of(body), body, where))
    for item in _some(body.get("value")):
        found += _problems(_kind_of(item), item, where)
    return found


def _kind_of(body: dict[str, Any]) -> str:
    """Which definition an answer has to fit."""
    if str(body.get("@odata.type", "")).endswith("Attachment"):
        return "attachment"
    signs = {
        "error": "error",
        "value": "list",
        "nextExpectedRanges": "uploadSession",
        "@removed": "removed",
        "@odata.etag": "message",
    }
    return next((name for sign, name in signs.items() if sign in body), "folder")


def _some(items: object) -> list[dict[str, Any]]:
    if not isinstance(items, list):
        return []
    return items if len(items) <= 2 * _ITEMS else items[:_ITEMS] + items[-_ITEMS:]
