"""What a mailbox holds: folders and messages."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from tests.servers.graph.mime import Parsed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from tests.servers.graph.blobs import Blob
    from tests.servers.graph.mime import Attachment

__all__ = ["Folder", "Message", "made_id"]


def made_id(prefix: str, *what: object) -> str:
    """An id as Exchange makes them: base64, so case-sensitive and with ``/``, ``+`` and ``=``."""
    digest = hashlib.sha512("\0".join(map(str, what)).encode()).digest()
    return prefix + base64.b64encode(digest[:61]).decode("ascii")


@dataclass(eq=False)
class Folder:
    """A folder; its messages are in the order in which they came into it."""

    id: str
    name: str
    parent: Folder | None
    well_known: str = ""
    hidden: bool = False
    children: list[Folder] = field(default_factory=list)
    messages: dict[str, Message] = field(default_factory=dict)

    def tree(self) -> Iterator[Folder]:
        """It and all below it."""
        yield self
        for child in self.children:
            yield from child.tree()


@dataclass(eq=False)
class Message:
    """A message. Its MIME is `base`, with the attachments `added` that came to it later.

    :param id: the immutable one.
    :param ordinary_id: the one that changes when it is moved.
    :param received: with a fraction of a second, which is not shown.
    :param came_by_wire: whether it has been received: no draft, and no copy of what was sent.
    """

    id: str
    ordinary_id: str
    folder: Folder
    base: Blob
    received: datetime
    changed: datetime
    is_read: bool = False
    is_draft: bool = False
    came_by_wire: bool = True
    flag: str = "notFlagged"
    importance: str = "normal"
    categories: list[str] = field(default_factory=list)
    inference: str = "focused"
    version: int = 1
    added: list[Attachment] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)

    @cached_property
    def parsed(self) -> Parsed:
        """What the base says."""
        return Parsed(self.base.read())

    @cached_property
    def message_id(self) -> str:
        """The Message-ID; Exchange makes one where there is none."""
        return self.parsed.text("Message-ID") or f"<{self.id[-16:-2].lower()}@made.example.test>"

    def read(self) -> None:
        """Read it now, and not when it is first asked for."""
        self.parsed  # noqa: B018

    @property
    def attachments(self) -> list[Attachment]:
        """All of them; those of the base are named by their order."""
        both = [*self.parsed.attachments, *self.added]
        for number, attachment in enumerate(both):
            attachment.id = attachment.id or made_id("AAMkA", self.id, "attachment", number)
        return both
