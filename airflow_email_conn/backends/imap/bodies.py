"""Where the body of a mail, or of one of its parts, goes: decoded into a file, or into memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_email_conn.backends.imap.exchange import Exchange
from airflow_email_conn.backends.imap.folders import uid_of
from airflow_email_conn.backends.imap.literals import LiteralBuffer
from airflow_email_conn.errors import MailNotFoundError, ProtocolError
from airflow_email_conn.model.message import Attachment
from airflow_email_conn.wire import mime
from airflow_email_conn.wire.imap import commands, fetch, servers
from airflow_email_conn.wire.imap.engine import Data, LiteralPiece, LiteralStart
from airflow_email_conn.wire.imap.grammar import Streamed
from airflow_email_conn.wire.mime.transfer import TransferDecoder

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    from airflow_email_conn.backends.base import What, Writable
    from airflow_email_conn.errors import EmailError
    from airflow_email_conn.model.message import Mail, MailRef

__all__ = ["Download", "WholeMail", "failure", "gone", "too_large"]


class Download:
    """Decodes the body section of one mail into a file while it comes.

    :param target: gives the file, which is opened when its first bytes are there.
    :ivar queue: the downloads that have a file open one after the other, from the one whose turn it is.
    """

    queue: deque[Download] | None = None

    def __init__(self, what: What, target: Callable[[What], Writable]) -> None:
        if isinstance(what, Attachment):
            self.ref, self._part, encoding = what.ref, what.part, what.encoding
        else:
            self.ref, self._part, encoding = what, "", "binary"
        self.what = what
        self.found = False
        self.uid = uid_of(self.ref) or 0
        self._decoder = TransferDecoder(encoding)
        self._open = target
        self._target: Writable | None = None
        self._written = 0
        self._streamed = False
        self._received = 0  # octets of the section
        self._skip = 0  # of them to pass over: the section comes once more from its beginning
        self.exchange = Exchange(
            commands.uid_fetch(str(self.uid), commands.section(self._part)),
            on_data=self._take_data,
            on_literal=self._take_literal,
            uids=(self.uid,),
            section=self._part,
            complete=lambda: self.found,
            again=self._again,
            error=None if self.uid else gone(self.ref),
        )

    @property
    def size(self) -> int:
        """Bytes written in all."""
        return self._written

    def _finish(self) -> None:
        """Write what is left."""
        self.found = True
        self._write(self._decoder.finish())
        if self._target is None:  # an empty file is one, too
            self._target = self._open(self.what)

    def _again(self) -> None:
        """What was written to the file stays: a mail never changes."""
        self._skip, self._streamed = self._received, False

    def _comes_early(self) -> bool:
        """Whether the files before this one are still to be written; its answer is let go then."""
        while self.queue and self.queue[0].exchange.done:
            self.queue.popleft()
        if self.queue and self.queue[0] is not self:
            self.exchange.early = True
        return self.exchange.early

    def _take_literal(self, event: LiteralStart | LiteralPiece) -> None:
        if self.exchange.error or self._comes_early():
            return
        if isinstance(event, LiteralPiece):
            self._feed(event.data)
        elif self._streamed or self.found:
            raise ProtocolError("the IMAP server sent a part of a mail twice")
        else:
            self._streamed = True

    def _take_data(self, data: Data) -> None:
        """Take an answer, which holds the section itself when it is short."""
        if data.kind != "FETCH" or self.found or self.exchange.error:
            return
        items = fetch.items(data)
        if fetch.uid(items) != self.uid:
            if any(isinstance(piece, Streamed) for piece in data.pieces):  # it has gone into this file
                self.exchange.error = ProtocolError("the IMAP server sent a part of another mail")
            return
        body = fetch.body(items, self._part)
        if body is not None and not self._comes_early():
            self._feed(body)
            self._finish()
        elif self._streamed:
            self._finish()

    def _feed(self, data: bytes) -> None:
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        self._received += len(data) - skipped
        self._write(self._decoder.feed(data[skipped:] if skipped else data))

    def _write(self, data: bytes) -> None:
        if data:
            if self._target is None:
                self._target = self._open(self.what)
            self._target.write(data)
            self._written += len(data)


class WholeMail:
    """Takes a whole mail into memory.

    :param max_size: octets; a larger one is cut behind the first octet too many.
    """

    def __init__(self, ref: MailRef, max_size: int) -> None:
        self.ref = ref
        self.uid = uid_of(ref) or 0
        self._max_size = max_size
        self._buffer = LiteralBuffer(limit=max_size + 1)
        self._items: fetch.Items = {}
        # One octet more than allowed tells that it is too large, and no more than that is sent.
        item = commands.whole(first_octets=max_size + 1)
        self.exchange = Exchange(
            commands.uid_fetch(str(self.uid), item),
            on_data=self._take,
            on_literal=self._buffer.take,
            uids=(self.uid,),
            section="",
            complete=lambda: self.found,
            again=self._again,
            error=None if self.uid else gone(ref),
        )

    @property
    def found(self) -> bool:
        """Whether its octets are there."""
        return fetch.body(self._items) is not None

    def raw(self) -> bytes:
        """The mail's octets. :raises MailNotFoundError: ProtocolError when it is too large."""
        raw = fetch.body(self._items)
        if raw is None:
            raise gone(self.ref)
        if len(raw) > self._max_size:
            raise too_large(self._max_size)
        return raw

    def parsed(self) -> Mail:
        """The mail, whose octets are let go. Raises what `raw` does."""
        raw, items = self.raw(), self._items
        self._items = {}
        return mime.parse(raw, ref=self.ref, received=fetch.received(items), **fetch.flags(items))

    def _take(self, data: Data) -> None:
        items = fetch.items(self._buffer.fill(data)) if data.kind == "FETCH" else {}
        if fetch.uid(items) == self.uid:
            self._items.update(items)

    def _again(self) -> None:
        self._buffer.clear()
        self._items.clear()


def failure(item: Download | WholeMail) -> EmailError | None:
    """Why it was not fetched, if so."""
    status = item.exchange.status
    if item.exchange.error:
        return item.exchange.error
    if status and status.kind != "OK" and not servers.is_gone(status):
        return servers.fetch_refusal(status)
    return None if item.found else gone(item.ref)


def gone(ref: MailRef) -> MailNotFoundError:
    """The error for a mail, or a part, that the server does not have."""
    return MailNotFoundError(f"the mail {ref.uid} in {ref.folder!r} is gone, or has no such part")


def too_large(max_size: int) -> ProtocolError:
    """The error for a mail that is not to be held in memory."""
    return ProtocolError(f"the mail is larger than {max_size} bytes; stream it to a file with save()")
