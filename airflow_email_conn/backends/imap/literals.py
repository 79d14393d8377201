"""The long literals of an answer, held in memory up to a limit."""

from __future__ import annotations

from airflow_email_conn.errors import ProtocolError
from airflow_email_conn.wire.imap.engine import Data, LiteralPiece, LiteralStart
from airflow_email_conn.wire.imap.grammar import Streamed

__all__ = ["LiteralBuffer"]

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
            if event.size > self._room:  # not even to be read and dropped: 4 GiB would take hours
                raise ProtocolError(f"the IMAP server announced {event.size} more octets of literals")
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

    def clear(self) -> None:
        """Forget what has come."""
        self._literals = []
