"""A mail that comes in pieces, read without ever holding it: envelope, attachments, the bytes of one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_email_conn.model.message import MailRef
from airflow_email_conn.wire.mime.cutter import Cutter
from airflow_email_conn.wire.mime.envelope import MAX_DEFECTS, Envelope, envelope
from airflow_email_conn.wire.mime.sizes import Measure, measure
from airflow_email_conn.wire.mime.structure import attachment, is_text
from airflow_email_conn.wire.mime.transfer import CHUNK, TransferDecoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_email_conn.model.message import Attachment
    from airflow_email_conn.wire.mime.node import Node

__all__ = ["PartScanner"]


class PartScanner:
    """Reads a mail as its bytes come, and says of it what `mime.parse` says, but for the text.

    For protocols that send nothing but whole mails (POP3). Never raises of its own; what `target` raises
    passes through. Memory: a few times the bytes that are fed at once, and the header while it is read.

    :param part: number of the part whose decoded bytes go to `target`, as an Attachment has it.
    :param target: gets these bytes while they come, in pieces of at most some 64 kB; the last may be empty,
        so that it is called for an empty part too.
    :param ref: where the mail lies; its `message_id` is filled in from the header when it has none.
    :ivar envelope: what the header says, as `parse_envelope` does; empty until the header has come.
    :ivar fields: the header itself, as `headers.split` gives it.
    :ivar attachments: those that have come to their end; sizes as `mime.parse` counts them.
    :ivar found: whether the part has begun to come.
    """

    def __init__(
        self,
        part: str | None = None,
        target: Callable[[bytes], object] | None = None,
        ref: MailRef | None = None,
    ) -> None:
        self.ref = ref or MailRef(folder="", uid="")
        self.envelope = Envelope()
        self.fields: list[tuple[str, bytes]] = []
        self.found = False
        self._wanted = part
        self._target = target
        self._cutter = Cutter(self)
        self._attachments: list[Attachment] = []
        self._measure: Measure = measure("7bit")
        self._decoder: TransferDecoder | None = None

    def feed(self, data: bytes) -> None:
        """The next bytes of the mail, cut anywhere; 16 to 64 kB at once are fastest."""
        self._cutter.feed(data)

    def finish(self) -> None:
        """The mail is complete; call it once."""
        self._cutter.finish()

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """As `mime.parse` lists them."""
        return tuple(self._attachments)

    @property
    def defects(self) -> tuple[str, ...]:
        """What was wrong and how it was read nevertheless, one line each; at most MAX_DEFECTS."""
        return tuple(dict.fromkeys([*self._cutter.defects, *self.envelope.defects]))[:MAX_DEFECTS]

    # What the cutter calls.

    def header(self, fields: list[tuple[str, bytes]], defects: list[str]) -> None:
        """The header of the mail."""
        self.envelope = envelope(fields, defects)
        self.fields = fields
        if self.ref.message_id is None:
            self.ref = replace(self.ref, message_id=self.envelope.message_id)

    def begin(self, leaf: Node) -> None:
        """A part begins."""
        self._measure = measure(leaf.encoding)
        if self._wanted and self._wanted == (leaf.number or "1"):
            self.found = True
            self._decoder = TransferDecoder(leaf.encoding)

    def body(self, source: bytes, start: int, end: int) -> None:
        """The next bytes of its body."""
        self._measure.feed(source, start, end)
        if self._decoder:
            for at in range(start, end, CHUNK):
                self._write(self._decoder.feed(source[at : min(at + CHUNK, end)]), is_last=False)

    def end(self, node: Node) -> None:
        """A part is complete."""
        if node.boundary:
            return
        if self._decoder:
            self._write(self._decoder.finish(), is_last=True)
            self._decoder = None
        part = node.part()
        if not is_text(part):
            self._attachments.append(attachment(part, self.ref, self._measure.size(), related=node.related))

    def _write(self, data: bytes, *, is_last: bool) -> None:
        if self._target and (data or is_last):
            self._target(data)
