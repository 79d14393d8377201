"""What ``FaultProxy`` can do to a connection, and when."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Fault", "Kind", "Side"]

#: ===========  ==========================================================
#: kind         what it does
#: ===========  ==========================================================
#: ``cut``      close both sides (FIN)
#: ``reset``    close the client's side with RST
#: ``stall``    forward nothing more and keep both sides open
#: ``halfopen`` close the server's side only; the client learns nothing
#: ``slow``     forward ``rate`` bytes a second
#: ``delay``    wait ``seconds`` before each piece
#: ``corrupt``  flip the bits of the byte in the middle of each piece
#: ``refuse``   accept, then RST at once
#: ``say``      send ``text`` to the client, as if the server had, and close
#: ``call``     call ``action`` in a thread, wait for its end, and go on
#: ===========  ==========================================================
Kind = Literal["cut", "reset", "stall", "halfopen", "slow", "delay", "corrupt", "refuse", "say", "call"]
Side = Literal["client", "server"]


@dataclass
class Fault:
    """What goes wrong, and when. Without ``when`` and ``after`` it does so at once."""

    kind: Kind
    #: A regular expression over the last bytes that came from ``side``.
    when: bytes | None = None
    #: Where the bytes come from that set it off; ``slow`` and ``delay`` act on both sides from then on.
    side: Side = "client"
    #: More than this number of bytes came from ``side``; a break comes exactly after them.
    after: int = 0
    #: The how-manieth piece from ``side``, counted from when the fault was set. A client that waits for each
    #: answer sends a command in one piece: so this finds a command inside TLS, where ``when`` cannot look.
    nth: int = 1
    #: Bytes a second, for ``slow``.
    rate: int = 1000
    #: For ``delay``.
    seconds: float = 1.0
    #: For ``say``.
    text: bytes = b""
    #: For ``call``.
    action: Callable[[], object] | None = None
    #: Only the first time; then the proxy heals.
    once: bool = False
    #: Whether the piece that set it off still reaches the other side; its answer never does.
    pass_on: bool = True
    #: How often it came true.
    hits: int = 0
    #: How many pieces it was asked about.
    pieces: int = 0

    def due(self, side: Side, count: int, tail: bytes) -> bool:
        """Return whether it acts on a piece.

        :param side: where the piece comes from.
        :param count: how many bytes came from there so far, with this piece.
        :param tail: the last of them.
        """
        if side != self.side:
            at_once = self.when is None and not self.after and self.nth == 1
            return at_once and self.kind in ("slow", "delay")
        self.pieces += 1
        if self.pieces < self.nth:
            return False
        return bool(re.search(self.when, tail)) if self.when is not None else count > self.after

    def passed_on(self, piece: bytes, count: int) -> bytes:
        """Return what of the piece that sets off a break still goes through."""
        if not self.pass_on:
            return b""
        if self.after and self.when is None:
            return piece[: max(0, self.after - (count - len(piece)))]
        return piece
