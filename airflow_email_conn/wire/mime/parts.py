"""The tree of the parts of a mail whose bytes are all there, with their places in them (RFC 2046 5.1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_email_conn.wire.mime.cutter import Cutter
from airflow_email_conn.wire.mime.structure import Part

if TYPE_CHECKING:
    from airflow_email_conn.wire.mime.node import Node

__all__ = ["Scanned", "scan_parts"]


@dataclass(frozen=True, slots=True)
class Scanned:
    """A mail in parts.

    :param root: the tree; offsets count from the first byte of the mail.
    :param fields: the header of the mail, as `headers.split` gives it.
    :param defects: what was wrong and how it was read nevertheless, one line each.
    """

    root: Part
    fields: list[tuple[str, bytes]]
    defects: list[str]


def scan_parts(raw: bytes) -> Scanned:
    """Cut a mail into its parts. Copies nothing, never raises."""
    tree = _Tree()
    cutter = Cutter(tree)
    cutter.finish(raw)
    return Scanned(tree.root, tree.fields, list(cutter.defects))


@dataclass(slots=True)
class _Tree:
    """Receives parts and puts each below its parent."""

    root: Part = field(default_factory=lambda: Part("1"))
    fields: list[tuple[str, bytes]] = field(default_factory=list)

    def header(self, fields: list[tuple[str, bytes]], _: list[str]) -> None:
        """Keeps them."""
        self.fields = fields

    def begin(self, leaf: Node) -> None:
        """Its end tells everything."""

    def body(self, source: bytes, start: int, end: int) -> None:
        """Its place is enough: the bytes are at hand."""

    def end(self, node: Node) -> None:
        """Complete: so are its children."""
        if node.parent:
            node.parent.children.append(node.part())
        else:
            self.root = node.part()
