"""The state of one mailbox, and the log of its changes that delta reads."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Literal

from tests.servers.graph.errors import GraphError, bad_request, not_found
from tests.servers.graph.items import Folder, Message, made_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.graph.blobs import Blob

__all__ = ["WELL_KNOWN", "Change", "Mailbox"]

#: The folders of a new mailbox, as a German one shows them: names are nothing to go by.
WELL_KNOWN = {
    "inbox": "Posteingang",
    "drafts": "Entwürfe",
    "sentitems": "Gesendete Elemente",
    "deleteditems": "Gelöschte Elemente",
    "junkemail": "Junk-E-Mail",
    "outbox": "Postausgang",
    "archive": "Archiv",
}
_SPECIAL = {"inbox": "INBOX"}
#: What receivedDateTime does not show of the time.
_HIDDEN_FRACTION = timedelta(milliseconds=250)
_counter = itertools.count(1)


@dataclass(frozen=True)
class Change:
    """What happened to a message in a folder."""

    number: int
    folder: Folder
    message: str
    ordinary_id: str
    kind: Literal["created", "updated", "removed"]


class Mailbox:
    """Folders and messages of one address.

    :param enabled: whether it can be reached by Graph.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.enabled = True
        #: Who may use it besides its owner, and who may send as it.
        self.shared_with: set[str] = set()
        self.send_as: set[str] = set()
        self._make()

    def _make(self) -> None:
        """Begin anew: other ids, nothing in it."""
        self.root = Folder(
            self._new_id("AQMkR"), "Oberste Ebene des Informationsspeichers", None, "msgfolderroot"
        )
        self.messages: dict[str, Message] = {}
        self._by_ordinary: dict[str, Message] = {}
        self.log: list[Change] = []
        for known, name in WELL_KNOWN.items():
            self.add_folder(self.root, name, known)
        self.add_folder(self.root, "Verborgen", "clutter", hidden=True)

    def empty(self) -> None:
        """Delete all messages and all folders but the well-known ones, which stay the same."""
        for message in list(self.messages.values()):
            self.remove(message)
        for folder in self.root.tree():
            folder.children = [child for child in folder.children if child.well_known]

    # ------------------------------------------------------------ folders

    def folders(self) -> Iterator[Folder]:
        """All of them, the root too."""
        return self.root.tree()

    def folder(self, key: str, *, by_name: bool = True) -> Folder:
        """A folder by its id or its well-known name.

        :raises GraphError: 404, or 400 for what is no id.
        """
        for folder in self.folders():
            if folder.id == key or (by_name and folder.well_known and folder.well_known == key.lower()):
                return folder
        if len(key) < 40:
            raise bad_request("ErrorInvalidIdMalformed", "Id is malformed.")
        raise not_found()

    def add_folder(self, parent: Folder, name: str, known: str = "", *, hidden: bool = False) -> Folder:
        """Make a folder.

        :raises GraphError: 409, there is one of this name, in whatever case.
        """
        if any(child.name.casefold() == name.casefold() for child in parent.children):
            raise GraphError(409, "ErrorFolderExists", "A folder with the specified name already exists.")
        folder = Folder(self._new_id("AQMkF"), name, parent, known, hidden)
        parent.children.append(folder)
        return folder

    def folder_at(self, path: str | list[str]) -> Folder:
        r"""A folder by its path, which is made when it is missing.

        :param path: names with ``/`` between them, or a list of names, which may hold slashes; the first may
            be ``INBOX`` or a well-known name.
        """
        names = path.split("/") if isinstance(path, str) else path
        here = self.root
        for name in names:
            known = "inbox" if name.upper() == "INBOX" else name.lower()
            for child in here.children:
                if child.name == name or (here is self.root and child.well_known == known):
                    here = child
                    break
            else:
                here = self.add_folder(here, name)
        return here

    # ----------------------------------------------------------- messages

    def message(self, key: str) -> Message:
        """A message by either of its ids.

        :raises GraphError: 404, or 400 for what is no id.
        """
        found = self.messages.get(key) or self._by_ordinary.get(key)
        if found:
            return found
        if len(key) < 40:
            raise bad_request("ErrorInvalidIdMalformed", "Id is malformed.")
        raise not_found()

    def add(
        self, folder: Folder, base: Blob, received: datetime | None = None, *, is_draft: bool = False
    ) -> Message:
        """Put a message into a folder."""
        now = datetime.now(timezone.utc)
        message = Message(
            self._new_id("AAkAL"),
            self._new_id("AAMkA"),
            folder,
            base,
            (received or now).astimezone(timezone.utc).replace(microsecond=0) + self._fraction(),
            now,
            is_draft=is_draft,
            came_by_wire=not is_draft,
        )
        self.messages[message.id] = message
        self._put(message, folder)
        return message

    def _fraction(self) -> timedelta:
        """Of the second in which a mail came: those of one second came one after the other."""
        return _HIDDEN_FRACTION + timedelta(microseconds=len(self.log) % 500_000)

    def changed(self, message: Message) -> None:
        """Note that a message is not what it was."""
        message.version += 1
        message.changed = datetime.now(timezone.utc)
        self._log(message, "updated")

    def move(self, message: Message, folder: Folder, *, keep_id: bool = False) -> None:
        """Move a message: its ordinary id changes.

        :param keep_id: as if it did not.
        """
        self._take(message)
        if not keep_id:
            message.ordinary_id = self._new_id("AAMkA")
        message.version += 1
        self._put(message, folder)

    def remove(self, message: Message) -> None:
        """Delete a message for good."""
        self._take(message)
        del self.messages[message.id]

    def _put(self, message: Message, folder: Folder) -> None:
        message.folder = folder
        folder.messages[message.id] = message
        self._by_ordinary[message.ordinary_id] = message
        self._log(message, "created")

    def _take(self, message: Message) -> None:
        del message.folder.messages[message.id]
        del self._by_ordinary[message.ordinary_id]
        self._log(message, "removed")

    def _log(self, message: Message, kind: Literal["created", "updated", "removed"]) -> None:
        number = len(self.log) + 1
        self.log.append(Change(number, message.folder, message.id, message.ordinary_id, kind))

    def _new_id(self, prefix: str) -> str:
        return made_id(prefix, self.address, next(_counter))
