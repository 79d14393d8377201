"""Commands under way, each with whoever takes its answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from airflow_email_conn.errors import ProtocolError
from airflow_email_conn.wire.imap import fetch
from airflow_email_conn.wire.imap.engine import Data, LiteralPiece, LiteralStart, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable

    from airflow_email_conn.errors import EmailError
    from airflow_email_conn.wire.imap.commands import Command
    from airflow_email_conn.wire.imap.engine import Event

__all__ = ["NOT_ASKED", "Exchange", "OnData", "OnLiteral", "OnStatus", "Router", "UnclearAnswerError"]

NOT_ASKED = "the IMAP server answered a command that was not given"

OnData: TypeAlias = "Callable[[Data], None]"
OnLiteral: TypeAlias = "Callable[[LiteralStart | LiteralPiece], None]"
OnStatus: TypeAlias = "Callable[[Status], None]"


class UnclearAnswerError(ProtocolError):
    """A long literal is coming that may answer several commands; it was handed to none of them."""


def _never() -> bool:
    return False


def _nothing() -> None:
    pass


@dataclass(eq=False, slots=True)
class Exchange:
    """One command, to be sent alone or together with others.

    Nobody says which of several commands an untagged answer is for, and servers may mix those of two FETCHes
    (RFC 9051 5.5; Dovecot does when its output is full). So each exchange sees whatever may be its own.

    :param on_data: called with each untagged answer; they may belong to nobody (RFC 9051 7).
    :param on_literal: called with long literals, piece by piece; without it they are refused.
    :param on_status: called with each untagged status.
    :param uids: of the mails that the command names; answers about others are not handed out.
    :param section: that it asks for; an answer with a long literal goes to one exchange only.
    :param complete: whether all has come that was asked for, though not the tagged status.
    :param again: called before the command is sent once more.
    :param alone: it may be sent once more: not so where one mail of many may be to blame.
    :param answers: sent in base64, one each time the server asks for more; taken out as they are sent.
    :param challenge: what the server asked with, the last time that there was an answer.
    :param status: the tagged end, OK, NO or BAD, once it has come.
    :param early: the answer came before its turn and was let go; the command is to be sent once more.
    :param error: why there is no status: the session broke over this one.
    """

    command: Command
    on_data: OnData | None = None
    on_literal: OnLiteral | None = None
    on_status: OnStatus | None = None
    uids: Container[int] | None = None
    section: str | None = None
    complete: Callable[[], bool] = _never
    again: Callable[[], None] = _nothing
    alone: bool = True
    answers: list[bytes] = field(default_factory=list, repr=False)
    challenge: bytes = field(default=b"", repr=False)
    status: Status | None = None
    early: bool = False
    error: EmailError | None = None

    @property
    def done(self) -> bool:
        """Whether it has ended, one way or the other."""
        return bool(self.error or (self.status and not self.early)) or self.complete()

    def renew(self) -> None:
        """Make it ready to be sent once more."""
        self.status, self.early = None, False
        self.again()


class Router:
    """Hands what comes to the exchanges that are under way.

    :param exchanges: in the order in which they are sent.
    """

    def __init__(self, exchanges: Iterable[Exchange]) -> None:
        self._unfinished = dict.fromkeys(exchanges)
        self._by_tag: dict[str, Exchange] = {}
        self._owner: Exchange | None = None  # of the answer whose literal is coming

    @property
    def oldest(self) -> Exchange | None:
        """The one whose end comes next; None when all have ended."""
        return next(iter(self._unfinished), None)

    def sent(self, exchange: Exchange, tag: str) -> None:
        """An exchange's command goes out by this tag."""
        self._by_tag[tag] = exchange

    def finish(self, status: Status) -> None:
        """The end of a command. :raises ProtocolError: of one that was not given, or has ended."""
        exchange = self._by_tag.pop(status.tag, None)
        if exchange is None:
            raise ProtocolError(NOT_ASKED)
        exchange.status = status
        del self._unfinished[exchange]

    def keeps(self, event: Event) -> bool:
        """Whether somebody may keep an event in memory."""
        if isinstance(event, Status):
            return any(exchange.on_status for exchange in self._unfinished)
        return any(exchange.on_data for exchange in self._unfinished)

    def take(self, event: Event) -> None:
        """Hand out an untagged status, data, or a part of a literal."""
        if isinstance(event, Status):
            for exchange in self._unfinished:
                if exchange.on_status:
                    exchange.on_status(event)
        elif isinstance(event, Data):
            self._take_data(event)
        elif isinstance(event, LiteralStart | LiteralPiece):
            self._take_literal(event)

    def _take_data(self, data: Data) -> None:
        owner, self._owner = self._owner, None
        first = data.pieces[0]
        uid = fetch.leading_uid(first) if data.kind == "FETCH" and isinstance(first, bytes) else None
        for exchange in (owner,) if owner else self._unfinished:
            # Whoever has the literals must have the rest, or it would take them for the next answer's.
            if exchange.on_data and (owner or _names(exchange, uid)):
                exchange.on_data(data)

    def _take_literal(self, event: LiteralStart | LiteralPiece) -> None:
        if isinstance(event, LiteralStart) and self._owner is None:
            self._owner = self._asking(event.before)
        if self._owner is None or self._owner.on_literal is None:
            raise ProtocolError("the IMAP server sent a long literal where none belongs")
        self._owner.on_literal(event)

    def _asking(self, before: bytes) -> Exchange | None:
        """The oldest exchange that may have asked for it; if none has, the oldest one may know better.

        :raises UnclearAnswerError: it may be for several, since the UID comes only after the literal.
        """
        uid, section = fetch.leading_uid(before), fetch.section(before)
        takers = [exchange for exchange in self._unfinished if exchange.on_literal]
        asking = [e for e in takers if e.section in {None, section} and _names(e, uid)] or takers
        if uid is None and len(asking) > 1:
            raise UnclearAnswerError("the IMAP server sent a long literal without saying of which mail")
        return asking[0] if asking else None


def _names(exchange: Exchange, uid: int | None) -> bool:
    return uid is None or exchange.uids is None or uid in exchange.uids
