"""Many rounds of waiting for mails while everything goes wrong, and a count of what was found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_email_conn.backends.position import Position
from airflow_email_conn.errors import EmailError
from airflow_email_conn.model.query import MailQuery
from tests.contract.mails import RECEIVED, plain
from tests.contract.places import graph_mailbox

if TYPE_CHECKING:
    import random

    from tests.servers.graph.delta import Loss
    from tests.servers.graph.server import GraphServer

__all__ = ["Rounds"]

_DELTA = r"/delta\?"
_ONE_MAIL = r"GET .*/messages/(?!delta)[^/?]+\?"
_LOSSES: tuple[Loss, ...] = ("410", "syncStateNotFound", "resyncRequired")


@dataclass
class Rounds:
    """A mailbox, somebody who waits for its mails, and all others.

    :param login: whose mailbox.
    :ivar delivered: Message-IDs of all mails that came into the folder, and stayed until they were found.
    :ivar found: how often each was found.
    :ivar failures: looks that failed; the next one went on from the same position.
    """

    graph: GraphServer
    login: str
    chance: random.Random
    delivered: set[str] = field(default_factory=set)
    found: Counter[str] = field(default_factory=Counter)
    failures: int = 0
    position: Position | None = None
    _number: int = 0

    def run(self, count: int) -> None:
        """So many rounds from now on, then one in peace."""
        with graph_mailbox(self.graph, self.login) as mailbox:
            self.position = mailbox.position()
        for _ in range(count):
            self._others_act()
            self._something_breaks()
            try:
                self._look()
            except EmailError as exc:
                if not exc.retryable:
                    raise
                self.failures += 1
        self.graph.faults.clear()
        self._look(in_peace=True)

    def _look(self, *, in_peace: bool = False) -> None:
        """As a Lookout does, but going on after what was found. The position goes through JSON at times."""
        assert self.position
        if self.chance.random() < 0.5:
            self.position = Position.from_dict(self.position.as_dict())
        with graph_mailbox(self.graph, self.login) as mailbox:
            here = mailbox.position("INBOX", self.position)
            assert self.position.fits(here)
            if not in_peace and self.chance.random() < 0.2:
                self._arrives()
            mails = list(mailbox.search(MailQuery(sender="@acme.com"), after=self.position))
            self.position = here.short_of(mailbox.undecided)
        self.found.update(mail.message_id or "" for mail in mails)

    # ------------------------------------------------------------ what others do

    def _others_act(self) -> None:
        for _ in range(self.chance.choice((0, 0, 1, 2, 5))):
            self._arrives()
        if self.chance.random() < 0.3:
            self._old_ones_change()

    def _arrives(self) -> None:
        """By delivery, many in one second; or moved from elsewhere, however old."""
        self._number += 1
        when = RECEIVED + timedelta(seconds=self._number // 10)
        moved = self.chance.random() < 0.2
        old = RECEIVED - timedelta(days=self._number)
        message = self.graph.append(
            self.login, plain(self._number), "Elsewhere" if moved else "INBOX", when=old if moved else when
        )
        if moved:
            with self.graph.site.lock:
                box = self.graph.mailbox(self.login)
                box.move(message, box.folder("inbox"))
        self.delivered.add(f"<plain-{self._number}@acme.com>")

    def _old_ones_change(self) -> None:
        """Those that were found are read by people, moved away, or deleted."""
        for message in self.graph.messages(self.login):
            if self.found[message.message_id] and self.chance.random() < 0.05:
                with self.graph.site.lock:
                    box = self.graph.mailbox(self.login)
                    self.chance.choice((box.changed, box.remove))(message)

    def _something_breaks(self) -> None:
        if self.chance.random() < 0.15:
            self.graph.lose_delta_tokens(self.chance.choice(_LOSSES))
        if self.position and not self.position.owed and self.chance.random() < 0.1:  # not the same mail twice
            self.graph.faults.clear()
            skip = self.chance.randrange(3)
            self.graph.fault(_ONE_MAIL, status=404, code="ErrorItemNotFound", skip=skip)
        elif self.chance.random() < 0.4:
            kind = self.chance.choice(("status", "close", "cut"))
            self.graph.faults.clear()
            self.graph.fault(
                self.chance.choice((_DELTA, _ONE_MAIL)),
                kind=kind,
                status=self.chance.choice((429, 429, 503, 504, 500)),
                headers=self.chance.choice(({}, {"Retry-After": "0"})),
                octets=self.chance.randrange(300),
                skip=self.chance.randrange(3),
                times=self.chance.choice((1, 2, 6)),
            )
