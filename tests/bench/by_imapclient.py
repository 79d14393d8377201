"""The jobs by IMAPClient, whose users take the answers apart themselves."""

from __future__ import annotations

import base64
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imapclient import IMAPClient

from tests.bench.mails import PATTERN, SENDER
from tests.servers.base import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.case import Begin, Place

__all__ = ["find_reports", "list_all", "save_large"]


def find_reports(place: Place, begin: Begin) -> None:
    """BODYSTRUCTURE of the sender's mails, then one FETCH for each number of a part."""
    begin()
    client = _client(place)
    found: dict[str, dict[int, str]] = {}
    for uid, items in client.fetch(client.search(["FROM", SENDER]), ["BODYSTRUCTURE"]).items():
        for part, name in _names(items[b"BODYSTRUCTURE"]):
            if fnmatch(name, PATTERN):
                found.setdefault(part, {})[uid] = name
    for part, names in found.items():
        for uid, items in client.fetch(list(names), [f"BODY.PEEK[{part}]"]).items():
            content = base64.b64decode(items[f"BODY[{part}]".encode()])
            Path(place.out, names[uid]).write_bytes(content)
    client.logout()


def _names(structure: Any) -> Iterator[tuple[str, str]]:
    """Number and file name of the parts of the first level."""
    if structure.is_multipart:
        for number, part in enumerate(structure[0], 1):
            for item in part[8:]:
                if isinstance(item, tuple) and len(item) == 2 and item[0] == b"attachment":
                    yield str(number), item[1][1].decode()


def list_all(place: Place, begin: Begin) -> int:
    """ENVELOPE and BODYSTRUCTURE."""
    begin()
    client = _client(place)
    wanted = ["FLAGS", "RFC822.SIZE", "INTERNALDATE", "ENVELOPE", "BODYSTRUCTURE"]
    found = client.fetch(client.search("ALL"), wanted)
    client.logout()
    return len(found)


def save_large(place: Place, begin: Begin) -> None:
    """One FETCH of the part."""
    begin()
    client = _client(place)
    (uid,) = client.search("ALL")
    content = base64.b64decode(client.fetch([uid], ["BODY.PEEK[2]"])[uid][b"BODY[2]"])
    Path(place.out, "large.bin").write_bytes(content)
    client.logout()


def _client(place: Place) -> Any:
    client = IMAPClient(HOST, place.port, ssl=False)
    client.login(place.user, place.password)
    client.select_folder(place.folder, readonly=True)
    return client
