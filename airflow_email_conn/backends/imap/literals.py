"""Where the long literals of an answer go: into memory up to a limit, or decoded into a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_email_conn.errors import ProtocolError
from airflow_email_conn.wire.imap import fetch
from airflow_email_conn.wire.imap.engine import Data, LiteralPiece, LiteralStart
from airflow_email_conn.wire.imap.grammar import Streamed
from airflow_email_conn.wire.mime.transfer import TransferDecoder

if TYPE_CHECKING:
    from airflow_email_conn.backends.base import Writable

__all__ = ["Download", "LiteralBuffer"]

_MAX_HELD = 64 * 1024 * 1024  # octets of all literals of a command: 250 mails with the largest headers


class LiteralBuffer:
    """Gathers the long literals of one command's answers.

    :param limit: octets kept of each; what goes beyond is dropped.
    """

    def __init__(self, limit: int = 1024 * 1024) -> None:
        self._limit = limit
        self._room = max(limit, _MAX_HELD)
        self._literals: list[bytearray] = []

    def take(self, event: LiteralStart | LiteralPiece) -> None:
        """Take the next event of a literal."""
        if isinstance(event, LiteralStart):
            self._literals.append(bytearray())
        else:
            literal = self._literals[-1]
            kept = event.data[: max(0, self._limit - len(literal))]
            literal += kept
            self._room -= len(kept)
            if self._room < 0:
                raise ProtocolError(f"the IMAP server sent more than {_MAX_HELD} octets of literals")

    def fill(self, data: Data) -> Data:
        """The answer with its literals in their places."""
        if not self._literals:
            return data
        literals, self._literals = iter(self._literals), []
        pieces = (bytes(next(literals)) if isinstance(piece, Streamed) else piece for piece in data.pieces)
        return Data(data.kind, data.number, tuple(pieces))


class Download:
    """Decodes the body section of one mail into a file while it comes.

    :param uid: of the mail; answers about others are ignored.
    :param encoding: its Content-Transfer-Encoding.
    """

    def __init__(self, uid: int, encoding: str, target: Writable) -> None:
        self.found = False
        self._uid = uid
        self._decoder = TransferDecoder(encoding)
        self._target = target
        self._written = 0
        self._streamed = False

    def take_literal(self, event: LiteralStart | LiteralPiece) -> None:
        """Take the next event of a literal."""
        if isinstance(event, LiteralPiece):
            self._write(self._decoder.feed(event.data))
        elif self._streamed:
            raise ProtocolError("the IMAP server sent a part of a mail twice")
        else:
            self._streamed = True

    def take_data(self, data: Data) -> None:
        """Take an answer, which holds the section itself when it is short."""
        if data.kind != "FETCH":
            return
        items = fetch.items(data)
        if fetch.uid(items) != self._uid:
            return
        body = fetch.body(items)
        if body is not None and not self.found:
            self._write(self._decoder.feed(body))
        self.found = self.found or body is not None or self._streamed

    def finish(self) -> int:
        """Write what is left; returns the bytes written in all."""
        self._write(self._decoder.finish())
        return self._written

    def _write(self, data: bytes) -> None:
        if data:
            self._target.write(data)
            self._written += len(data)
